import { WspError } from '../../protocol/errors.ts';

/** How many there are, and how many of them one may have. */
export interface Limits {
  readonly all: number;
  readonly each: number;
}

/** Places that all share, and of which nobody may have so many that others are kept out. */
export class Shares {
  readonly #what: string;
  readonly #limits: Limits;
  readonly #taken = new Map<string, number>();
  #all = 0;

  /** `what`: several of them, as in "512 event streams are open already". */
  constructor(what: string, limits: Limits) {
    this.#what = what;
    this.#limits = limits;
  }

  /** Takes a place. Returns what gives it back, once. Throws `WspError` (`busy`). */
  take(who: string): () => void {
    const { all, each } = this.#limits;
    const own = this.#taken.get(who) ?? 0;
    if (own >= each) throw busy(`${each} ${this.#what} of ${who} already, which is the most of one`);
    if (this.#all >= all) throw busy(`${all} ${this.#what} already`);
    this.#all += 1;
    this.#taken.set(who, own + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#all -= 1;
      const left = (this.#taken.get(who) ?? 1) - 1;
      if (left === 0) this.#taken.delete(who);
      else this.#taken.set(who, left);
    };
  }
}

function busy(message: string): WspError {
  return new WspError('busy', message, { hint: 'try again in a few seconds' });
}
