import { readFileSync } from 'node:fs';
import { WspError } from '../protocol/errors.ts';
import { audienceOf, bootIdFile, mungeForm, mungeText } from '../protocol/login.ts';
import { asker } from './ask.ts';
import { type Connection, socketPathOf } from './connection.ts';
import { checkSocket, writeProof } from './login-file.ts';

/** How to log in without a token. */
export interface LoginMeans {
  /** A MUNGE credential with this text, which this user alone can read. Absent: no MUNGE here. */
  readonly munge?: ((text: string, readerUid: number) => Promise<string>) | undefined;
  /** Who, besides root and ourselves, may have made the socket of the service. */
  readonly serviceUids?: (() => Promise<readonly number[]>) | undefined;
}

/**
 * Logs in as the Unix user that we are, with no password: by a file that only they could have
 * written beside the service's socket, else by a MUNGE credential for this service alone. Who
 * answers in the service's place gets nothing that is good anywhere else. Resolves with a token
 * that lasts for hours. Throws `WspError`: `unauthorized` when the service takes neither from here.
 */
export async function logIn(
  url: string,
  connection: Connection,
  timeoutMs: number,
  { munge, serviceUids }: LoginMeans,
): Promise<string> {
  const { api, ask } = asker({ url, connection, timeoutMs });
  const socket = socketPathOf(url);
  if (socket !== undefined) await checkSocket(socket, (await serviceUids?.()) ?? []);
  const ways = await ask(signal => api.GET('/v1/login', { signal }));
  if (socket !== undefined && ways.file) {
    const { claim, ...proof } = await ask(signal => api.POST('/v1/login/file', { signal }));
    const remove = await writeProof(socket, proof);
    try {
      return (await ask(signal => api.POST('/v1/login/file/claim', { body: { claim }, signal }))).token;
    } finally {
      await remove();
    }
  }
  if (socket === undefined && ways.munge !== null && munge !== undefined) {
    const { text, reader } = textFor(url, ways);
    const credential = await munge(text, reader);
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

/** What is signed: made by us, and good for the service at this URL alone. */
function textFor(
  url: string,
  { munge, nonce, uid }: { munge: string | null; nonce?: string | null; uid?: number | null },
): { readonly text: string; readonly reader: number } {
  const hint = 'log in with a token: WSP_TOKEN or WSP_TOKEN_FILE';
  if (munge !== mungeForm || typeof nonce !== 'string' || typeof uid !== 'number')
    throw new WspError(
      'unauthorized',
      'no token is known, and the service and this wsp are of different versions, which log in differently',
      { hint },
    );
  const audience = audienceOf(url, () => readFileSync(bootIdFile, 'utf8').trim());
  if (audience === undefined)
    throw new WspError(
      'unauthorized',
      `no token is known, and no MUNGE credential is sent over plain HTTP to ${url}, where anybody could answer`,
      { hint: `${hint}; or use https://, or on the host of the service itself http://127.0.0.1` },
    );
  return { text: mungeText(audience, nonce), reader: uid };
}
