import { createWebSocketStream } from 'ws';
import type { Clock } from '../platform/clock.ts';
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
    connect: handlers =>
      openLink(target(`/nodes/${encodeURIComponent(node)}`), clock, {
        message: text => handlers.message(JSON.parse(text) as ServiceMessage),
        closed: why => handlers.closed(why),
      }),
    openStream: streamId =>
      dial(target(`/streams/${encodeURIComponent(streamId)}`), clock, socket =>
        createWebSocketStream(socket),
      ),
  };
}
