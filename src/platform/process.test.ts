import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemProcesses } from './process.ts';

it('ends at the deadline, whatever the command has left behind that holds its output open', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-process-'));
  const pidFile = join(directory, 'pid');
  onTestFinished(() => {
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
    rmSync(directory, { recursive: true });
  });
  const program = 'sleep 600 & echo $! > "$0"; wait';
  const run = systemProcesses.run(['sh', '-c', program, pidFile], { deadlineMs: 300 });
  await expect(run).rejects.toMatchObject({ kind: 'timeout' });
});
