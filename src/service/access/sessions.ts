import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import { hashOf } from './tokens.ts';

/**
 * Tokens of logins: in memory alone, so a restart ends them and clients log in anew. Each lasts `lifetimeMs`; of one user there are at most
 * `mostPerUser`, the oldest ends.
 */
const lifetimeMs = 12 * 3_600_000;
const mostPerUser = 100;
/** For so long a login shows who somebody is, as well as a new one would. */
const freshMs = 5 * 60_000;

/** Who has logged in. */
export class Sessions {
  readonly #clock: Clock;
  readonly #random: Random;
  /** By the token's hash, the oldest first. */
  readonly #sessions = new Map<string, { readonly user: string; readonly expiresAt: number }>();

  constructor(parts: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** A new token for the user. */
  begin(user: string): { readonly token: string; readonly expiresAt: number } {
    const now = this.#clock.now();
    for (const [hash, { expiresAt }] of this.#sessions) if (expiresAt <= now) this.#sessions.delete(hash);
    const own = [...this.#sessions].filter(([, session]) => session.user === user);
    for (const [hash] of own.slice(0, Math.max(0, own.length - mostPerUser + 1))) this.#sessions.delete(hash);
    const token = `wsps_${Buffer.from(this.#random.bytes(32)).toString('base64url')}`;
    const expiresAt = now + lifetimeMs;
    this.#sessions.set(hashOf(token).toString('base64url'), { user, expiresAt });
    return { token, expiresAt };
  }

  /** When what it gives out must end: with itself, unless it is fresh. Undefined: no login's. */
  latestEnd(token: string): number | undefined {
    const expiresAt = this.#sessions.get(hashOf(token).toString('base64url'))?.expiresAt;
    if (expiresAt === undefined) return undefined;
    return this.#clock.now() < expiresAt - lifetimeMs + freshMs ? Infinity : expiresAt;
  }

  /** Whose token this is; undefined when it is nobody's (any more). */
  userOf(token: string): string | undefined {
    const session = this.#sessions.get(hashOf(token).toString('base64url'));
    return session && session.expiresAt > this.#clock.now() ? session.user : undefined;
  }
}
