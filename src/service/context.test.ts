import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemProcesses } from '../platform/process.ts';
import { makeSshKeyPair } from './context.ts';

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

  it('never hangs, whenever garbage is collected', async () => {
    const program = `import { makeSshKeyPair } from '${new URL('context.ts', import.meta.url).href}';
      for (let made = 0; made < 20_000; made += 1) makeSshKeyPair('x');`;
    // Little room for new objects: garbage is collected often. What waited for itself did so within 9,000 keys.
    const often = ['--max-semi-space-size=1', '--import', 'tsx', '--input-type=module'];
    const result = await systemProcesses.run([process.execPath, ...often, '--eval', program], {
      deadlineMs: 60_000,
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  }, 70_000);

  it('makes a new one each time', () => {
    expect(makeSshKeyPair('x').publicKey).not.toBe(makeSshKeyPair('x').publicKey);
  });
});
