import createFetch from 'openapi-fetch';
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

/** Requests to one service by one user. */
export function asker(options: {
  readonly url: string;
  readonly token: string;
  readonly timeoutMs: number;
  readonly fetch?: (request: Request) => Promise<Response>;
}): Asker {
  const { url, timeoutMs } = options;
  const api = createFetch<paths>({
    baseUrl: url,
    headers: { authorization: `Bearer ${options.token}` },
    ...(options.fetch ? { fetch: options.fetch } : {}),
  });
  return {
    api,
    async ask(send, { waitMs = 0, stop } = {}) {
      const deadline = AbortSignal.timeout(timeoutMs + waitMs);
      const signal = stop ? AbortSignal.any([deadline, stop]) : deadline;
      const answer = await send(signal).catch((cause: unknown) => {
        throw unreachable(url, cause, deadline.aborted ? timeoutMs + waitMs : undefined);
      });
      if (answer.data === undefined) throw errorOfAnswer(url, answer.response.status, answer.error);
      return answer.data;
    },
  };
}
