import type { Clock } from '../platform/clock.ts';
import type { SlotAssignment } from '../protocol/pilot.ts';
import { httpAsk } from './http-ask.ts';
import { openPipe } from './http-pipe.ts';
import { linkOver } from './message-lines.ts';
import type { Transport } from './transport.ts';

/** Plain requests, of which one always waits for what the service has to say; a pipe for messages, one more for each stream. */
export function httpTransport(assignment: SlotAssignment, node: string, clock: Clock): Transport {
  const ask = httpAsk(assignment, clock);
  const slotPath = `/pilot/v1/slots/${assignment.slotId}`;
  return {
    async connect(handlers) {
      const path = `/nodes/${encodeURIComponent(node)}`;
      const { pipe, localAddress } = await openPipe(ask, clock, slotPath, path);
      return linkOver(pipe, localAddress, clock, handlers);
    },
    async openStream(streamId) {
      const { pipe } = await openPipe(ask, clock, slotPath, `/streams/${encodeURIComponent(streamId)}`);
      return pipe;
    },
  };
}
