import { timingSafeEqual } from 'node:crypto';
import type { Random } from '../../platform/random.ts';
import { WspError } from '../../protocol/errors.ts';
import { readOrMakeSecret, secretFileMistake } from '../../platform/secret-file.ts';
import { hashOf } from './tokens.ts';

const shortest = 16;

/**
 * Reads the secret that the agents of a pool join with; an absent file is made. Returns the way to
 * check one, in constant time. Throws `WspError` (`invalid_file`): readable by others, too short,
 * cannot be read or made.
 */
export function loadJoinSecret(path: string, random: Random): (secret: string) => boolean {
  const invalid = (why: string, cause?: unknown): WspError =>
    new WspError('invalid_file', `join secret file ${path}: ${why}`, { cause });
  const wrong = secretFileMistake(path, 'the secret');
  if (wrong !== undefined) throw invalid(wrong);
  let text: string;
  try {
    text = readOrMakeSecret(path, random, secret => `${secret}\n`).trim();
  } catch (cause) {
    throw invalid((cause as Error).message, cause);
  }
  if (text.length < shortest || /\s/.test(text))
    throw invalid(`must hold one word of at least ${shortest} characters`);
  const hash = hashOf(text);
  return secret => timingSafeEqual(hash, hashOf(secret));
}
