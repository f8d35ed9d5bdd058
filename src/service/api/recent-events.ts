import type { Engine, StoredEvent } from '../core/engine-api.ts';

/** Held at most twice as many, about 4 MiB. Who is further behind reads the store. */
const mostHeld = 2_000;
/** Read from the store at once. */
const readLimit = 500;

/**
 * The newest events in memory, so that all who follow what happens are answered of one reading of
 * the store. What is further back, or before anybody has reached the end, is read from the store.
 *
 *   nothing held ─ a reading of everything reaches the end ─► held ◄─► behind, until it is read on
 */
export class RecentEvents {
  readonly #engine: Pick<Engine, 'events' | 'onEvents'>;
  /** From the first reading on it hears of news. */
  #stop: (() => void) | undefined;
  /** All events after this number are held, up to the newest that was read. */
  #from: number | undefined;
  #held: StoredEvent[] = [];
  #isBehind = false;
  #readingOn: Promise<void> | undefined;

  constructor(engine: Pick<Engine, 'events' | 'onEvents'>) {
    this.#engine = engine;
  }

  /** As `Engine.events`. */
  async read(query: Parameters<Engine['events']>[0]): Promise<readonly StoredEvent[]> {
    this.#stop ??= this.#engine.onEvents(() => {
      this.#isBehind = true;
    });
    while (this.has(query.after) && (this.#isBehind || this.#readingOn)) {
      this.#readingOn ??= this.#readOn().finally(() => {
        this.#readingOn = undefined;
      });
      await this.#readingOn;
    }
    if (this.has(query.after)) return this.#heldOf(query);
    const found = await this.#engine.events(query);
    const isAll = query.workspaceId === undefined && query.types === undefined;
    if (this.#from === undefined && isAll && found.length < query.limit) {
      // What has happened since that reading began is read on after it.
      [this.#from, this.#held, this.#isBehind] = [query.after, [...found], true];
    }
    return found;
  }

  /** Hears of no more news. */
  close(): void {
    this.#stop?.();
  }

  /** Whether all that is newer than this number is held, or about to be. */
  has(after: number): boolean {
    return this.#from !== undefined && after >= this.#from;
  }

  #heldOf({ after, workspaceId, types, limit }: Parameters<Engine['events']>[0]): readonly StoredEvent[] {
    const found: StoredEvent[] = [];
    for (let index = firstAfter(this.#held, after); index < this.#held.length; index += 1) {
      const event = this.#held[index];
      if (event === undefined || found.length === limit) break;
      if (workspaceId !== undefined && event.workspaceId !== workspaceId) continue;
      if (types === undefined || types.includes(event.type)) found.push(event);
    }
    return found;
  }

  async #readOn(): Promise<void> {
    this.#isBehind = false;
    const after = this.#held.at(-1)?.seq ?? this.#from ?? 0;
    try {
      const page = await this.#engine.events({ after, limit: readLimit });
      this.#held.push(...page);
      if (page.length === readLimit) this.#isBehind = true;
    } catch (cause) {
      this.#isBehind = true;
      throw cause;
    }
    if (this.#held.length <= 2 * mostHeld) return;
    const dropped = this.#held.splice(0, this.#held.length - mostHeld);
    this.#from = dropped.at(-1)?.seq;
  }
}

/** Index of the first event with a higher number. */
function firstAfter(events: readonly StoredEvent[], seq: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.seq ?? 0) > seq) high = middle;
    else low = middle + 1;
  }
  return low;
}
