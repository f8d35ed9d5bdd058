import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../platform/clock.ts';
import { WspError } from '../../protocol/errors.ts';
import { formatDuration } from '../../protocol/units.ts';
import { addressOf, bearerOf } from './auth.ts';

/** How many requests a second one may send in the long run, and how many at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Requests with no token that anybody knows, from one address or over the socket: enough for a mistake in a config file, not for guessing. Good ones are never counted. */
const wrongTokens: Rate = { perSecond: 1, burst: 20 };
/** Logins, and requests without a token, from one address or over the socket: each is a line in the audit log that anybody can have written. */
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

/** Who asks too often is told when to come again; so is who tries tokens: `guessed` is for requests without a good one. Call `limitLogins` before callers are known, `limitCallers` after. */
export function rateLimits(app: FastifyInstance, clock: Clock, rate: Rate) {
  const callers = new Buckets(clock, rate);
  const strangers = new Buckets(clock, wrongTokens);
  const logins = new Buckets(clock, linesOfOne);
  const nameless = new Buckets(clock, linesOfOne);
  return {
    guessed(request: FastifyRequest, reply: FastifyReply): void {
      // Who sends none does not guess.
      const bucket = bearerOf(request) === undefined ? nameless : strangers;
      const waitMs = bucket.take(addressOf(request) ?? 'socket');
      if (waitMs > 0) throw tooOften(waitMs, reply);
    },
    limitLogins(): void {
      app.addHook('onRequest', async (request, reply) => {
        if (request.method !== 'POST' || request.routeOptions.url?.startsWith('/v1/login') !== true) return;
        const waitMs = logins.take(addressOf(request) ?? 'socket');
        if (waitMs > 0) throw tooOften(waitMs, reply);
      });
    },
    limitCallers(): void {
      app.addHook('onRequest', async (request, reply) => {
        const user = request.caller?.user;
        const waitMs = user === undefined ? 0 : callers.take(user);
        if (waitMs > 0) throw tooOften(waitMs, reply);
      });
    },
  };
}

/** The refusal of one who asks too often, with its header. */
export function tooOften(waitMs: number, reply: { header(name: string, value: string): unknown }): WspError {
  const seconds = Math.ceil(waitMs / 1_000);
  reply.header('retry-after', String(seconds));
  return new WspError('rate_limited', 'too many requests in too short a time', {
    hint: `try again in ${formatDuration(seconds * 1_000)}; to hear of news use wsp wait, wsp events -f or a webhook instead of asking again and again`,
  });
}
