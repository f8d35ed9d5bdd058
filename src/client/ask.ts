import createFetch from 'openapi-fetch';
import type { Connection } from './connection.ts';
import { errorOfAnswer, unreachable } from './failures.ts';
import { allPages } from './pages.ts';
import type { paths } from './schema.gen.ts';

/** Sends a request, until the signal is aborted. */
type Send<Data> = (
  signal: AbortSignal,
) => Promise<{ readonly data?: Data; readonly error?: unknown; readonly response: Response }>;

/** How requests are sent: the typed paths, and what every request has in common. */
export type Asker = ReturnType<typeof asker>;

/** The token of requests. */
export interface TokenSource {
  token(): Promise<string>;
  /** The service does not know this one: true when the next `token()` is another. */
  refused(token: string): boolean;
}

/** Requests to one service by one user; without `tokens`, by nobody. */
export function asker(options: {
  readonly url: string;
  readonly tokens?: TokenSource;
  readonly timeoutMs: number;
  readonly connection: Connection;
}) {
  const { url, timeoutMs, connection, tokens } = options;
  const api = createFetch<paths>({ baseUrl: connection.baseUrl, fetch: connection.fetch });
  let sent = '';
  if (tokens)
    api.use({
      async onRequest({ request }) {
        sent = await tokens.token();
        request.headers.set('authorization', `Bearer ${sent}`);
        return request;
      },
    });
  /** One request: a deadline, and one mapping of everything that can go wrong. Throws `WspError`. */
  const ask = async <Data>(
    send: Send<Data>,
    {
      waitMs = 0,
      stop,
    }: { readonly waitMs?: number | undefined; readonly stop?: AbortSignal | undefined } = {},
  ): Promise<Data> => {
    const deadline = AbortSignal.timeout(timeoutMs + waitMs);
    const signal = stop ? AbortSignal.any([deadline, stop]) : deadline;
    const trySend = () =>
      send(signal).catch((cause: unknown) => {
        throw unreachable(url, cause, deadline.aborted ? timeoutMs + waitMs : undefined);
      });
    let answer = await trySend();
    // A login lasts as long as the service that it was to.
    if (answer.response.status === 401 && tokens?.refused(sent)) answer = await trySend();
    if (answer.data === undefined) throw errorOfAnswer(url, answer.response.status, answer.error);
    return answer.data;
  };
  /** All entries of a list, which are under this name in each of its pages. */
  const list = <Name extends string, Page extends Record<Name, readonly unknown[]> & Paged>(
    name: Name,
    send: (query: { readonly cursor?: string }, signal: AbortSignal) => ReturnType<Send<Page>>,
  ): Promise<readonly Page[Name][number][]> =>
    allPages(async (cursor: string | undefined) => {
      const page = await ask(signal => send(cursor === undefined ? {} : { cursor }, signal));
      return { entries: page[name], next: page.next };
    });
  return { api, ask, list };
}

interface Paged {
  readonly next: string | null;
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
