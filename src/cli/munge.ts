import { systemProcesses } from '../platform/process.ts';
import { WspError } from '../protocol/errors.ts';

const deadlineMs = 10_000;
/** Longer than a login takes. */
const goodSeconds = 60;

/**
 * A MUNGE credential of whoever runs the command, with this text in it, which this user alone can
 * read (munge(1)). Throws `WspError` (`unauthorized`) when MUNGE gives none.
 */
export async function mungeCredential(text: string, readerUid: number): Promise<string> {
  const hint = 'log in with a token: WSP_TOKEN or WSP_TOKEN_FILE';
  const socket = process.env['WSP_MUNGE_SOCKET'];
  const where = socket === undefined ? [] : ['-S', socket];
  const argv: [string, ...string[]] = ['munge', ...where, '-u', String(readerUid), '-t', String(goodSeconds)];
  const result = await systemProcesses.run(argv, { deadlineMs, input: text }).catch((cause: unknown) => {
    throw new WspError(
      'unauthorized',
      `no token is known, and munge cannot be run: ${(cause as Error).message}`,
      {
        hint,
        cause,
      },
    );
  });
  if (result.code === 0) return result.stdout.trim();
  throw new WspError(
    'unauthorized',
    `no token is known, and MUNGE gives no credential: ${result.stderr.trim()}`,
    { hint },
  );
}
