import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../platform/random.ts';
import { loadTokens } from './tokens.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-tokens-'));
  path = join(directory, 'deep', 'tokens');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const load = (text: string, mode = 0o600) => {
  path = join(directory, 'tokens');
  writeFileSync(path, text, { mode });
  return loadTokens(path, systemRandom);
};

describe('the tokens file', () => {
  it('is made with a token for admin that only its owner can read', () => {
    const tokens = loadTokens(path, systemRandom);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const [user, token = ''] = readFileSync(path, 'utf8').trim().split(' ');
    expect(user).toBe('admin');
    expect(token).toMatch(/^[\w-]{32}$/);
    expect(tokens.userOf(token)).toBe('admin');
    expect(loadTokens(path, systemRandom).userOf(token)).toBe('admin');
  });

  it('gives each token’s user, and nobody for any other', () => {
    const tokens = load('# users\n\nadmin aaaaaaaaaaaaaaaa\nann  bbbbbbbbbbbbbbbb\nann cccccccccccccccc\n');
    expect(tokens.userOf('aaaaaaaaaaaaaaaa')).toBe('admin');
    expect(tokens.userOf('cccccccccccccccc')).toBe('ann');
    for (const wrong of ['', 'aaaaaaaaaaaaaaa', 'aaaaaaaaaaaaaaaaa', '#'])
      expect(tokens.userOf(wrong)).toBeUndefined();
  });

  it.each([
    ['others can read it', 'admin aaaaaaaaaaaaaaaa\n', 0o640, /mode 0640/],
    ['no token', 'admin\n', 0o600, /line 1: must be: user token/],
    ['three words', 'admin aaaaaaaaaaaaaaaa x\n', 0o600, /line 1: must be/],
    ['bad user', 'A/b aaaaaaaaaaaaaaaa\n', 0o600, /line 1: the user name/],
    ['short token', '\nann short\n', 0o600, /line 2: the token of ann is shorter/],
    ['empty', '# nobody\n', 0o600, /holds no token/],
  ])('is refused when %s, without repeating a token', (_what, text, mode, message) => {
    const refused = (): unknown => load(text, mode);
    expect(refused).toThrow(message);
    expect(refused).toThrow(expect.objectContaining({ code: 'invalid_file' }));
    expect(refused).not.toThrow(/aaaa/);
  });
});
