import type { LoginMeans } from '../client/login.ts';
import { messageOf } from '../platform/message-of.ts';
import { systemProcesses } from '../platform/process.ts';
import { WspError } from '../protocol/errors.ts';
import { usageError } from './values.ts';

const deadlineMs = 10_000;
/** How long a MUNGE credential is good: longer than a login takes. */
const goodSeconds = 60;

/** How to log in without a token. `serviceUser`: who may run the service, besides root and us. */
export function loginMeans(serviceUser: string | undefined): LoginMeans {
  return {
    munge: mungeCredential,
    serviceUids: async () => (serviceUser === undefined ? [] : [await uidOf(serviceUser)]),
  };
}

async function uidOf(user: string): Promise<number> {
  if (/^[0-9]+$/.test(user)) return Number(user);
  const { code, stdout } = await systemProcesses.run(['id', '-u', '--', user], { deadlineMs });
  if (code === 0) return Number(stdout);
  throw usageError(
    `this host has no user ${user}, who runs the service according to your settings`,
    'correct WSP_SERVICE_USER, or serviceUser in the config file',
  );
}

/** A credential with this text, for this reader alone. Throws `WspError` (`unauthorized`). */
async function mungeCredential(text: string, readerUid: number): Promise<string> {
  const socket = process.env['WSP_MUNGE_SOCKET'];
  const where = socket === undefined ? [] : ['-S', socket];
  const argv = ['munge', ...where, '-u', String(readerUid), '-t', String(goodSeconds)] as const;
  const result = await systemProcesses.run(argv, { deadlineMs, input: text }).catch((cause: unknown) => {
    throw noCredential(`munge cannot be run: ${messageOf(cause)}`, cause);
  });
  if (result.code === 0) return result.stdout.trim();
  throw noCredential(`MUNGE gives no credential: ${result.stderr.trim()}`);
}

function noCredential(why: string, cause?: unknown): WspError {
  const hint = 'log in with a token: WSP_TOKEN or WSP_TOKEN_FILE';
  return new WspError('unauthorized', `no token is known, and ${why}`, { hint, cause });
}
