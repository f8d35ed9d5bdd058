import type { Duplex } from 'node:stream';
import type { Clock } from '../platform/clock.ts';
import { lineLink } from '../platform/line-link.ts';
import type { ServiceMessage } from '../protocol/pilot.ts';
import type { Link, LinkHandlers } from './transport.ts';

/** A link whose messages are lines in a byte stream. `localAddress`: this node's, on the way to the service. */
export function linkOver(stream: Duplex, localAddress: string, clock: Clock, handlers: LinkHandlers): Link {
  const lines = lineLink(stream, clock, {
    line(text) {
      let message: ServiceMessage;
      try {
        message = JSON.parse(text) as ServiceMessage;
      } catch {
        lines.close('a message is not JSON');
        return;
      }
      handlers.message(message);
    },
    closed: why => handlers.closed(why),
  });
  return {
    localAddress,
    send: message => lines.send(JSON.stringify(message)),
    close: () => lines.close('the pilot has closed it'),
  };
}
