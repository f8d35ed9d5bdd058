import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../platform/clock.ts';
import type { Rate } from '../../platform/token-bucket.ts';
import { WspError } from '../../protocol/errors.ts';
import { formatDuration } from '../../protocol/units.ts';
import { addressOf, bearerOf } from './auth.ts';

/**
 * Requests with no token that anybody knows, from one address or over the socket: enough for a
 * mistake in a config file, not for guessing. Good ones are never counted.
 */
const wrongTokens: Rate = { perSecond: 1, burst: 20 };
/**
 * Logins that fail, and requests without a token, from one address or over the socket; and logins
 * of one user: each is a line in the audit log that takes no token to have written.
 */
const linesOfOne: Rate = { perSecond: 20, burst: 200 };
/** Callers that are remembered; one that has not asked for a while has a full bucket, and need not be. */
const mostCallers = 10_000;

interface Bucket {
  left: number;
  atMs: number;
}

/** A bucket for each caller, which fills at the rate and holds the burst. */
export class Buckets {
  readonly #clock: Clock;
  readonly #rate: Rate;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** Takes one; the milliseconds until there is one, when there is none. */
  take(who: string): number {
    const bucket = this.#fill(who);
    if (bucket.left < 1) return Math.ceil(((1 - bucket.left) / this.#rate.perSecond) * 1_000);
    bucket.left -= 1;
    // The one that was used last is the last to be forgotten.
    this.#buckets.delete(who);
    this.#buckets.set(who, bucket);
    this.#forgetOld();
    return 0;
  }

  /** Takes one. Throws `WspError` (`rate_limited`), with its header, when there is none. */
  spend(who: string, reply: { header(name: string, value: string): unknown }): void {
    const seconds = Math.ceil(this.take(who) / 1_000);
    if (seconds === 0) return;
    reply.header('retry-after', String(seconds));
    throw new WspError('rate_limited', 'too many requests in too short a time', {
      hint: `try again in ${formatDuration(seconds * 1_000)}; to hear of news use wsp wait, wsp events -f or a webhook instead of asking again and again`,
    });
  }

  #fill(who: string): Bucket {
    const nowMs = this.#clock.monotonicMs();
    const { burst, perSecond } = this.#rate;
    const bucket = this.#buckets.get(who) ?? { left: burst, atMs: nowMs };
    bucket.left = Math.min(burst, bucket.left + ((nowMs - bucket.atMs) / 1_000) * perSecond);
    bucket.atMs = nowMs;
    return bucket;
  }

  #forgetOld(): void {
    for (const who of this.#buckets.keys()) {
      if (this.#buckets.size <= mostCallers) return;
      this.#buckets.delete(who);
    }
  }
}

/** Limits of the API; what is over one is refused with `rate_limited`. */
export type RateLimits = ReturnType<typeof rateLimits>;

/**
 * Who asks too often is told when to come again; so is who tries tokens or logins. Only what fails
 * is counted of an address, because many may have one: what is good is never refused for what
 * others try. Call `limitCallers` once callers are known.
 */
export function rateLimits(app: FastifyInstance, clock: Clock, rate: Rate) {
  const callers = new Buckets(clock, rate);
  const strangers = new Buckets(clock, wrongTokens);
  const logins = new Buckets(clock, linesOfOne);
  const nameless = new Buckets(clock, linesOfOne);
  return {
    guessed(request: FastifyRequest, reply: FastifyReply): void {
      // Who sends none does not guess.
      const bucket = bearerOf(request) === undefined ? nameless : strangers;
      bucket.spend(addressOf(request) ?? 'socket', reply);
    },
    loginFailed(request: FastifyRequest, reply: FastifyReply): void {
      nameless.spend(addressOf(request) ?? 'socket', reply);
    },
    loggedIn: (user: string, reply: FastifyReply): void => logins.spend(user, reply),
    limitCallers(): void {
      app.addHook('onRequest', async (request, reply) => {
        if (request.caller) callers.spend(request.caller.user, reply);
      });
    },
  };
}
