import { PassThrough, type Duplex } from 'node:stream';
import type { PilotMessage, StreamTarget } from '../../src/protocol/pilot.ts';
import type { PilotConnection, PilotHub } from '../../src/service/core/engine-api.ts';

/** The slot's secret that the fake hub takes. */
export const slotSecret = 'the-secret-of-the-slot';

/** The other end of what carries pilots' messages and streams: keeps what came in. */
export class FakeHub implements PilotHub {
  readonly attached: {
    slotId: string;
    node: string;
    connection: PilotConnection;
    received: PilotMessage[];
    closed: boolean;
  }[] = [];
  readonly opened: { slotId: string; node: string; target: StreamTarget }[] = [];
  readonly accepted: { slotId: string; streamId: string; stream: Duplex }[] = [];
  /** What `openStream` gives; by default what is written comes back. */
  openStream = (slotId: string, node: string, target: StreamTarget): Promise<Duplex> => {
    this.opened.push({ slotId, node, target });
    return Promise.resolve(new PassThrough());
  };

  authenticate(_slotId: string, secret: string): boolean {
    return secret === slotSecret;
  }
  attach(slotId: string, node: string, connection: PilotConnection) {
    const session = { slotId, node, connection, received: [] as PilotMessage[], closed: false };
    this.attached.push(session);
    return {
      received: (message: PilotMessage) => void session.received.push(message),
      closed: () => {
        session.closed = true;
      },
    };
  }
  acceptStream(slotId: string, streamId: string, stream: Duplex): boolean {
    if (streamId === 'unwanted') return false;
    this.accepted.push({ slotId, streamId, stream });
    return true;
  }
}
