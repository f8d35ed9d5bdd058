import { chmod, rm, writeFile } from 'node:fs/promises';
import createFetch from 'openapi-fetch';
import { WspError } from '../protocol/errors.ts';
import type { Connection } from './connection.ts';
import { errorOfAnswer, unreachable } from './failures.ts';
import type { paths } from './schema.gen.ts';

/** Makes a MUNGE credential with this text in it. */
export type Munge = (text: string) => Promise<string>;

const fileMode = 0o644;

/**
 * Logs in as the Unix user that we are, with no password: by a file that only he could have written where the service says (on its host), else by a
 * MUNGE credential. Resolves with a token that lasts for hours. Throws `WspError`: `unauthorized` when the service takes neither from here.
 */
export async function logIn(
  url: string,
  connection: Connection,
  timeoutMs: number,
  munge: Munge | undefined,
): Promise<string> {
  const api = createFetch<paths>({ baseUrl: connection.baseUrl, fetch: connection.fetch });
  const ask = async <Data>(
    send: (signal: AbortSignal) => Promise<{ data?: Data; error?: unknown; response: Response }>,
  ): Promise<Data> => {
    const answer = await send(AbortSignal.timeout(timeoutMs)).catch((cause: unknown) => {
      throw unreachable(url, cause);
    });
    if (answer.data === undefined) throw errorOfAnswer(url, answer.response.status, answer.error);
    return answer.data;
  };
  const ways = await ask(signal => api.GET('/v1/login', { signal }));
  if (ways.file && url.startsWith('unix:')) {
    const { path, content, claim } = await ask(signal => api.POST('/v1/login/file', { signal }));
    await writeProof(path, content);
    try {
      return (await ask(signal => api.POST('/v1/login/file/claim', { body: { claim }, signal }))).token;
    } finally {
      await rm(path, { force: true });
    }
  }
  if (ways.munge !== null && munge !== undefined) {
    const credential = await munge(ways.munge);
    return (await ask(signal => api.POST('/v1/login/munge', { body: { credential }, signal }))).token;
  }
  throw new WspError(
    'unauthorized',
    'no token is known, and the service takes no login without one from here',
    {
      hint: 'set WSP_TOKEN or WSP_TOKEN_FILE; or ask on the host of the service (WSP_URL=unix:/path of its socket)',
    },
  );
}

/** Where the service says, but nothing that is there already is touched. */
async function writeProof(path: string, content: string): Promise<void> {
  try {
    await writeFile(path, content, { flag: 'wx', mode: fileMode });
    // Whatever the umask says: the service must be able to read it, and nobody but us to write it.
    await chmod(path, fileMode);
  } catch (cause) {
    throw new WspError(
      'unauthorized',
      `the login file ${path} cannot be written: ${(cause as Error).message}`,
      {
        hint: 'log in with a token (WSP_TOKEN), or on the host of the service',
        cause,
      },
    );
  }
}
