/** Held at most. Each is at most a few KiB. */
const most = 5_000;

/**
 * What is made of an event, by the event's number, so that many who read the same have it made
 * once. Events never change. When it is full it begins anew. (Not a WeakMap: with thousands of
 * entries that are made and dropped all the time, the garbage collector stops the service for
 * longer than everything else does.)
 */
export class MadeOnce<T> {
  readonly #made = new Map<number, T>();

  /** What was made of this event before, or is made now. */
  of(seq: number, make: () => T): T {
    const known = this.#made.get(seq);
    if (known !== undefined) return known;
    if (this.#made.size >= most) this.#made.clear();
    const made = make();
    this.#made.set(seq, made);
    return made;
  }
}
