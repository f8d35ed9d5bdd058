import { createHash, timingSafeEqual } from 'node:crypto';
import type { Random } from '../../platform/random.ts';
import { userPattern } from '../../protocol/access.ts';
import { invalidFile } from '../../protocol/document.ts';
import { WspError, type ErrorDetail } from '../../protocol/errors.ts';
import { readOrMakeSecret, secretFileMistake } from '../../platform/secret-file.ts';

/** Who a token belongs to. Holds hashes, never tokens, so that neither a dump nor a log can give one away. */
export interface Tokens {
  userOf(token: string): string | undefined;
  users(): readonly string[];
}

const minimumLength = 16;

/**
 * Reads the tokens file (`user token` a line, `#` comments); a file that is absent is made, mode
 * 0600, with a new token for `admin`. Throws `WspError` (`invalid_file`): readable by others,
 * malformed, empty.
 */
export function loadTokens(path: string, random: Random): Tokens {
  const wrong = tokensFileMistake(path);
  if (wrong !== undefined) throw invalidFile(`tokens file ${path}`, [{ path: '', message: wrong }]);
  return parseTokens(`tokens file ${path}`, readOrMake(path, random));
}

/** What is wrong with the file's mode or kind; undefined when nothing is, or when it is not there yet. */
export function tokensFileMistake(path: string): string | undefined {
  return secretFileMistake(path, 'the tokens');
}

function readOrMake(path: string, random: Random): string {
  try {
    return readOrMakeSecret(path, random, token => `admin ${token}\n`);
  } catch (cause) {
    throw new WspError('invalid_file', `tokens file ${path}: ${(cause as Error).message}`, { cause });
  }
}

function parseTokens(file: string, text: string): Tokens {
  const details: ErrorDetail[] = [];
  const entries: { readonly user: string; readonly hash: Buffer }[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [user = '', token = '', ...more] = line.split(/\s+/);
    const at = { path: `line ${index + 1}` };
    // The message never repeats the line: it may hold a token.
    if (token === '' || more.length > 0) details.push({ ...at, message: 'must be: user token' });
    else if (!new RegExp(userPattern).test(user))
      details.push({ ...at, message: 'the user name is malformed' });
    else if (token.length < minimumLength)
      details.push({ ...at, message: `the token of ${user} is shorter than ${minimumLength} characters` });
    else entries.push({ user, hash: hashOf(token) });
  }
  if (entries.length === 0 && details.length === 0)
    details.push({
      path: '',
      message: 'holds no token: add a line `user token`, or remove the file to have one made',
    });
  if (details.length > 0) throw invalidFile(file, details);
  return {
    users: () => [...new Set(entries.map(({ user }) => user))],
    userOf(token) {
      const hash = hashOf(token);
      let user: string | undefined;
      // Every entry is compared, whether or not one has matched, so that time tells nothing.
      for (const entry of entries) if (timingSafeEqual(entry.hash, hash)) user = entry.user;
      return user;
    },
  };
}

/** What is kept of a token. */
export function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
