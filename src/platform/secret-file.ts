import { mkdirSync, readFileSync, type Stats, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Random } from './random.ts';
import { statIfThere } from './stat.ts';

const ownerOnly = 0o600;

/** What is wrong with a secret file's mode or kind, if it is there. `what`: the secret in words. */
export function secretFileMistake(path: string, what: string): string | undefined {
  let stat: Stats | undefined;
  try {
    stat = statIfThere(path);
  } catch (cause) {
    return `${path} cannot be read: ${(cause as Error).message}`;
  }
  if (!stat) return undefined;
  if (!stat.isFile()) return `${path} is not a file`;
  const mode = stat.mode & 0o777;
  if ((mode & 0o077) === 0) return undefined;
  return `${path} has mode ${mode.toString(8).padStart(4, '0')}: others can read ${what}; run chmod 600 on it`;
}

/** The file's text; an absent one is made, mode 0600, of what `make` makes of a new secret. */
export function readOrMakeSecret(path: string, random: Random, make: (secret: string) => string): string {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const secret = Buffer.from(random.bytes(24)).toString('base64url');
    // 'wx' fails when the file is there: two services that start at once do not make two secrets.
    writeFileSync(path, make(secret), { mode: ownerOnly, flag: 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
  return readFileSync(path, 'utf8');
}
