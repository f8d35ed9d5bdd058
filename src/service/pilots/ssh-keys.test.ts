import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../platform/process.ts';
import { makeSshKeyPair } from './ssh-keys.ts';

describe('makeSshKeyPair', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'wsp-keys-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  // Comments of every length modulo the padding's block.
  it.each(['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'ws-aaaaaaaaaa.head-0'])(
    'makes what ssh-keygen reads (comment %j)',
    async comment => {
      const pair = makeSshKeyPair(comment);
      const file = join(directory, `key-${comment.length}`);
      writeFileSync(file, pair.privateKey, { mode: 0o600 });
      const result = await systemProcesses.run(['ssh-keygen', '-y', '-P', '', '-f', file], {
        deadlineMs: 10_000,
      });
      expect(result).toMatchObject({ code: 0, stderr: '' });
      expect(result.stdout.trim()).toBe(pair.publicKey.trim());
    },
  );

  it('makes a new one each time', () => {
    expect(makeSshKeyPair('x').publicKey).not.toBe(makeSshKeyPair('x').publicKey);
  });
});
