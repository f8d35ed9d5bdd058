import type { Clock } from '../platform/clock.ts';
import { webSocketStream } from '../platform/websocket-stream.ts';
import type { ServiceMessage, SlotAssignment } from '../protocol/pilot.ts';
import type { Transport } from './transport.ts';
import { dial, openLink, type WebSocketTarget } from './websocket-link.ts';

/** One WebSocket for messages, one more for each stream. */
export function webSocketTransport(assignment: SlotAssignment, node: string, clock: Clock): Transport {
  const base = assignment.serviceUrl.replace(/\/$/, '');
  const target = (path: string): WebSocketTarget => ({
    url: `${base}/pilot/v1/slots/${assignment.slotId}${path}`,
    secret: assignment.secret,
    ca: assignment.serviceCa,
  });
  return {
    async connect(handlers) {
      const link = await openLink(target(`/nodes/${encodeURIComponent(node)}`), clock, {
        message: text => handlers.message(JSON.parse(text) as ServiceMessage),
        closed: why => handlers.closed(why),
      });
      return { ...link, send: message => link.send(JSON.stringify(message)) };
    },
    openStream: streamId => dial(target(`/streams/${encodeURIComponent(streamId)}`), clock, webSocketStream),
  };
}
