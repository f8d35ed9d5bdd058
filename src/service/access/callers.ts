import type { Clock } from '../../platform/clock.ts';
import { WspError } from '../../protocol/errors.ts';
import type { Accounts, Caller } from './accounts.ts';
import type { Sessions } from './sessions.ts';

/** How often we ask again whether a caller still is one, though no account has changed: a token may have expired. */
const lookAgainMs = 15_000;

/** What a caller has begun and goes on for longer than one answer: a stream, a wait for news. */
export interface Standing {
  /** Who it is now. Throws `WspError` (`unauthorized`): the token is nobody's any more. */
  caller(): Caller;
  /** Aborted at once when the token is revoked or its user disabled, soon when it has expired. */
  readonly ended: AbortSignal;
  /** It is over: nobody looks any more. */
  release(): void;
}

/** Whose a token is: one that was given out, one of the tokens file, or one of a login. */
export class Callers {
  readonly #parts: { readonly accounts: Accounts; readonly sessions: Sessions; readonly clock: Clock };

  constructor(parts: { readonly accounts: Accounts; readonly sessions: Sessions; readonly clock: Clock }) {
    this.#parts = parts;
  }

  /** Undefined when the token is nobody's (any more). */
  callerOf(token: string): Caller | undefined {
    const { accounts, sessions } = this.#parts;
    const loggedIn = sessions.userOf(token);
    return loggedIn === undefined ? accounts.callerOf(token) : accounts.callerOfUser(loggedIn);
  }

  /** When a token must end that is given out by the bearer of this one. */
  latestEnd(token: string): number {
    const { accounts, sessions } = this.#parts;
    return sessions.latestEnd(token) ?? accounts.endOf(token);
  }

  /** Begins something in its bearer's name, who must `release` it; ends when `may` says no. */
  stand(token: string, may: (caller: Caller) => boolean = () => true): Standing {
    const { accounts, clock } = this.#parts;
    const over = new AbortController();
    const look = (): void => {
      const caller = this.callerOf(token);
      if (!caller || !may(caller)) over.abort();
    };
    const stopListening = accounts.onChange(look);
    let stopTimer = clock.after(lookAgainMs, function again() {
      look();
      stopTimer = clock.after(lookAgainMs, again);
    });
    return {
      ended: over.signal,
      caller: () => {
        look();
        const caller = over.signal.aborted ? undefined : this.callerOf(token);
        if (!caller) throw unknownToken();
        return caller;
      },
      release: () => {
        stopListening();
        stopTimer();
      },
    };
  }
}

/** The refusal of a token that is nobody's. */
export function unknownToken(): WspError {
  return new WspError('unauthorized', 'the service does not know this token, or no longer accepts it', {
    hint: 'check WSP_TOKEN; wsp tokens shows which tokens have expired or were revoked',
  });
}
