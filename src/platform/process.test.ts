import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type CommandResult, systemProcesses } from './process.ts';

/** Runs a program of sh that writes down, in the file `$0`, whom it leaves behind. */
function leaving(program: string): Promise<CommandResult> {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-process-'));
  const pidFile = join(directory, 'pid');
  onTestFinished(() => {
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
    rmSync(directory, { recursive: true });
  });
  return systemProcesses.run(['sh', '-c', program, pidFile], { deadlineMs: 300 });
}

it('ends at the deadline, whatever the command has left behind that holds its output open', async () => {
  await expect(leaving('sleep 600 & echo $! > "$0"; wait')).rejects.toMatchObject({ kind: 'timeout' });
});

it('ends at the deadline when the command itself is gone by then, and cannot be killed', async () => {
  await expect(leaving('sleep 600 & echo $! > "$0"')).rejects.toMatchObject({ kind: 'timeout' });
});
