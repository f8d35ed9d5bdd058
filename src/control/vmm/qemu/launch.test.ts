import { getPriority } from 'node:os';
import { describe, expect, it } from 'vitest';
import { systemProcesses } from '../../../platform/process.ts';
import { launchPrefix } from './launch.ts';

const deadlineMs = 10_000;
/** proc_pid_stat(5): the fields after the name, which begin with the third. */
const niceField = 19 - 3;
const policyField = 41 - 3;
const schedBatch = 3;
const sigTerm = 1n << 14n;

describe('launchPrefix', () => {
  it('starts a program that yields to us, and that the warnings of schedulers do not end', async () => {
    const { argv, blocksSignals } = await launchPrefix(systemProcesses.run);
    const files = ['/proc/self/stat', '/proc/self/status'];
    const { stdout } = await systemProcesses.run([...argv, 'cat', ...files], { deadlineMs });
    const fields = (/\) (.*)/.exec(stdout)?.[1] ?? '').split(' ').map(Number);
    const blocked = BigInt(`0x${/^SigBlk:\s+([0-9a-f]+)$/m.exec(stdout)?.[1]}`);
    expect(fields[niceField]).toBe(getPriority() + 5);
    expect(fields[policyField]).toBe(schedBatch);
    expect(blocksSignals).toBe(true);
    expect(blocked & sigTerm).toBe(sigTerm);
  });
});
