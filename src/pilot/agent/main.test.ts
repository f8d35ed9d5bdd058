import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runAgent } from './main.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-agent-'));
  file = join(directory, 'secret');
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

/** What the agent says of this secret, with which it must not begin. */
async function complaint(secret: string, mode: number): Promise<string> {
  writeFileSync(file, secret);
  chmodSync(file, mode);
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const args = ['--service', 'http://127.0.0.1:9', '--pool', 'default', '--secret-file', file];
  expect(await runAgent(args)).toBe(2);
  return String(write.mock.calls[0]?.[0]);
}

describe('the join secret of an agent', () => {
  it.each([0o640, 0o604, 0o644, 0o660])('is not taken from a file with mode %o', async mode => {
    expect(await complaint('0123456789abcdef', mode)).toContain('can be read by others: run chmod 600 on it');
  });

  it.each(['', '0123456789abcde', '01234567 89abcdef'])('is not %j', async secret => {
    expect(await complaint(secret, 0o600)).toContain('does not hold a join secret');
  });
});
