import type { Duplex } from 'node:stream';
import type { PilotMessage, ServiceMessage } from '../protocol/pilot.ts';

/**
 * How a pilot's messages reach the service. The session numbers, journals and repeats them; a transport only carries them, in order,
 * while a link lasts. Another way (HTTP, SSH) is another file with this interface.
 */
export interface Transport {
  /** Opens one link. Rejects when it cannot be made within the transport's own deadline; with `NotAcceptedError` when the service does not take our secret. */
  connect(handlers: LinkHandlers): Promise<Link>;
  /** Opens the pilot's side of a byte stream that the service asked for. */
  openStream(streamId: string): Promise<Duplex>;
}

/** Who is told of what comes over a link. */
export interface LinkHandlers {
  message(message: ServiceMessage): void;
  /** Called once, when an opened link has ended. */
  closed(why: string): void;
}

/** A connection to the service while it lasts. */
export interface Link {
  /** This node's address on the way to the service: what its peers can reach it by. */
  readonly localAddress: string;
  /** Hands a message over; on a link that has closed, nothing happens (the session sends again on the next). */
  send(message: PilotMessage): void;
  close(): void;
}

/** The service answers, but does not know this slot by this secret. */
export class NotAcceptedError extends Error {
  constructor(status: number) {
    super(`the service does not know this slot (HTTP ${status})`);
    this.name = 'NotAcceptedError';
  }
}
