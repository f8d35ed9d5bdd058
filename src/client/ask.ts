import createFetch from 'openapi-fetch';
import type { Connection } from './connection.ts';
import { errorOfAnswer, unreachable } from './failures.ts';
import type { paths } from './schema.gen.ts';

/** How requests are sent: the typed paths, and what every request has in common. */
export interface Asker {
  readonly api: ReturnType<typeof createFetch<paths>>;
  /** One request: a deadline, and one mapping of everything that can go wrong. Throws `WspError`. */
  ask<Data>(
    send: (signal: AbortSignal) => Promise<{ data?: Data; error?: unknown; response: Response }>,
    options?: { readonly waitMs?: number | undefined; readonly stop?: AbortSignal | undefined },
  ): Promise<Data>;
}

/** The token of requests. */
export interface TokenSource {
  token(): Promise<string>;
  /** The service does not know this one: true when the next `token()` is another. */
  refused(token: string): boolean;
}

/** Requests to one service by one user. */
export function asker(options: {
  readonly url: string;
  readonly tokens: TokenSource;
  readonly timeoutMs: number;
  readonly connection: Connection;
}): Asker {
  const { url, timeoutMs, connection, tokens } = options;
  const api = createFetch<paths>({ baseUrl: connection.baseUrl, fetch: connection.fetch });
  let sent = '';
  api.use({
    async onRequest({ request }) {
      sent = await tokens.token();
      request.headers.set('authorization', `Bearer ${sent}`);
      return request;
    },
  });
  return {
    api,
    async ask(send, { waitMs = 0, stop } = {}) {
      const deadline = AbortSignal.timeout(timeoutMs + waitMs);
      const signal = stop ? AbortSignal.any([deadline, stop]) : deadline;
      const trySend = () =>
        send(signal).catch((cause: unknown) => {
          throw unreachable(url, cause, deadline.aborted ? timeoutMs + waitMs : undefined);
        });
      let answer = await trySend();
      // A login lasts as long as the service that it was to.
      if (answer.response.status === 401 && tokens.refused(sent)) answer = await trySend();
      if (answer.data === undefined) throw errorOfAnswer(url, answer.response.status, answer.error);
      return answer.data;
    },
  };
}

/** The token that was given, or else one of a login, which is made when it is first needed. */
export function tokenSource(given: string | undefined, logIn: () => Promise<string>): TokenSource {
  if (given !== undefined) return { token: () => Promise.resolve(given), refused: () => false };
  let current: Promise<string> | undefined;
  let last: string | undefined;
  return {
    token() {
      current ??= logIn().then(token => {
        last = token;
        return token;
      });
      // A login that has failed is tried again by who asks next.
      current.catch(() => {
        current = undefined;
      });
      return current;
    },
    refused(token) {
      if (token === last) current = undefined;
      return true;
    },
  };
}
