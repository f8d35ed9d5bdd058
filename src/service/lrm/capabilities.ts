import type { Pool } from '../../lease/settings.ts';
import { type Lrm, type LrmCapabilities, LrmError } from '../../lrm/lrm.ts';
import { type Clock, type StopTimer, withDeadline } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import type { PoolTrouble } from '../core/engine-api.ts';
import { messageOf } from '../../platform/message-of.ts';

const refreshMs = 5 * 60_000;
const firstRetryMs = 1_000;
const longestRetryMs = 60_000;
/** How long a start waits for the LRM: without its answer the service runs, and refuses nothing for its size. */
const startDeadlineMs = 5_000;

/** What is asked, and who is told. */
export interface CapabilitiesParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly lrm: Lrm;
  readonly changed: (site: Pool['site']) => void;
}

/** Keeps what the LRM says that it can give: asked at start and every few minutes, because nodes come and go. */
export class SiteCapabilities {
  readonly #parts: CapabilitiesParts;
  #known: LrmCapabilities | undefined;
  #stopTimer: StopTimer = () => undefined;
  #stopListening: () => void = () => undefined;
  #retryMs = firstRetryMs;
  #trouble: PoolTrouble | undefined;
  #stopped = false;

  constructor(parts: CapabilitiesParts) {
    this.#parts = parts;
  }

  /**
   * Asks once, and again whenever the LRM tells that something has changed. Resolves when the LRM
   * has answered, has failed, or the deadline is over; never rejects.
   */
  async start(): Promise<void> {
    const { clock, log, lrm } = this.#parts;
    this.#stopListening = lrm.onChange(() => void this.#ask().catch(() => undefined));
    await withDeadline(clock, startDeadlineMs, "the LRM's answer", this.#refresh()).catch((cause: unknown) =>
      log.warn('starting without knowing what the LRM can give', errorFields(cause)),
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#stopListening();
    this.#stopTimer();
  }

  /** What the LRM says now; undefined when it does not answer. */
  async now(): Promise<LrmCapabilities | undefined> {
    const { clock } = this.#parts;
    return withDeadline(clock, startDeadlineMs, "the LRM's answer", this.#ask()).catch((cause: unknown) =>
      this.#troubled(cause),
    );
  }

  /** The last answer; asks when there is none. Throws `LrmError` (`unavailable`). */
  async known(): Promise<LrmCapabilities> {
    return this.#known ?? (await this.#ask());
  }

  /** Why it did not answer when it was last asked; undefined: it did. */
  get trouble(): PoolTrouble | undefined {
    return this.#trouble;
  }

  #troubled(cause: unknown): undefined {
    const kind = cause instanceof LrmError ? cause.kind : 'unavailable';
    const message = messageOf(cause);
    this.#trouble = { kind, message, since: this.#trouble?.since ?? this.#parts.clock.now() };
  }

  async #refresh(): Promise<void> {
    const { clock, log, lrm } = this.#parts;
    let nextMs = refreshMs;
    try {
      await this.#ask();
      this.#retryMs = firstRetryMs;
    } catch (cause) {
      if (!this.#trouble)
        log.warn('the LRM does not tell what it can give', { lrm: lrm.kind, ...errorFields(cause) });
      this.#troubled(cause);
      nextMs = this.#retryMs;
      this.#retryMs = Math.min(nextMs * 2, longestRetryMs);
    }
    if (this.#stopped) return;
    this.#stopTimer = clock.after(nextMs, () => void this.#refresh());
  }

  async #ask(): Promise<LrmCapabilities> {
    const known = await this.#parts.lrm.capabilities();
    this.#known = known;
    this.#trouble = undefined;
    const { sizes = null, maxWalltimeMs = null, free = null } = known;
    this.#parts.changed({ ...known, sizes, maxWalltimeMs, free });
    return known;
  }
}
