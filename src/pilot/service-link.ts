import type { Clock, StopTimer } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import type { PilotMessage, ServiceMessage } from '../protocol/pilot.ts';
import { protocolGap } from '../protocol/versions.ts';
import { type Link, NotAcceptedError, type Transport } from './transport.ts';

/**
 * A pilot's link to the service, made again whenever it is lost, until it is closed.
 *
 *   connecting ─► linked ─┐        each try that fails makes the pause before the next one longer, up to a bound
 *       ▲                 │
 *       └──── pause ◄─────┘ lost, or cannot be made
 *
 * What is sent while there is no link is not kept: the journal has what matters, and the greeting says it again.
 */
export interface ServiceLinkParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly transport: Transport;
  /** A link has just been made: says who we are. */
  readonly greet: (link: Link) => void;
  readonly received: (message: ServiceMessage) => void;
  /** The service has refused us for so long that nobody can be waiting for this slot. */
  readonly notAccepted: () => void;
}

/** That the slot is not known may be a proxy's moment; after this long it is believed. */
const notAcceptedDeadlineMs = 60_000;
const firstRetryMs = 100;
const longestRetryMs = 5_000;

/** See above; nothing happens before `open`. */
export class ServiceLink {
  readonly #parts: ServiceLinkParts;
  #link: Link | undefined;
  #retryMs = firstRetryMs;
  /** Since when the service has refused us at every try, on the monotonic clock. */
  #notAcceptedSinceMs: number | undefined;
  #closed = false;
  #stopRetry: StopTimer = () => undefined;

  constructor(parts: ServiceLinkParts) {
    this.#parts = parts;
  }

  open(): void {
    void this.#connect();
  }

  send(message: PilotMessage): void {
    this.#link?.send(message);
  }

  /** False: a service whose protocol is not spoken here is left as if it were away; VMs stay. */
  isSpokenWith(protocol: number | undefined): boolean {
    const gap = protocolGap('pilot', 'the service', protocol);
    if (gap === undefined) return true;
    this.#parts.log.error('the service speaks a protocol that this pilot does not know', { why: gap });
    this.#retryMs = longestRetryMs;
    this.#link?.close();
    return false;
  }

  close(): void {
    this.#closed = true;
    this.#stopRetry();
    this.#link?.close();
  }

  async #connect(): Promise<void> {
    const { transport, log, greet, received, notAccepted } = this.#parts;
    try {
      const link = await transport.connect({
        message: received,
        closed: why => {
          log.warn('link to the service closed', { why });
          this.#link = undefined;
          this.#connectLater();
        },
      });
      if (this.#closed) return link.close();
      this.#retryMs = firstRetryMs;
      this.#notAcceptedSinceMs = undefined;
      this.#link = link;
      greet(link);
    } catch (cause) {
      log.warn('cannot reach the service', { ...errorFields(cause), nextTryMs: this.#retryMs });
      if (this.#isNotAccepted(cause)) notAccepted();
      this.#connectLater();
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
    }
  }

  #connectLater(): void {
    if (!this.#closed) this.#stopRetry = this.#parts.clock.after(this.#retryMs, () => void this.#connect());
  }

  #isNotAccepted(cause: unknown): boolean {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#notAcceptedSinceMs =
      cause instanceof NotAcceptedError ? (this.#notAcceptedSinceMs ?? nowMs) : undefined;
    return (
      this.#notAcceptedSinceMs !== undefined && nowMs - this.#notAcceptedSinceMs >= notAcceptedDeadlineMs
    );
  }
}
