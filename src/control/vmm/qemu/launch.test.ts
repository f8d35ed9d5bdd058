import { describe, expect, it } from 'vitest';
import { systemProcesses } from '../../../platform/process.ts';
import { launchPrefix } from './launch.ts';

const deadlineMs = 10_000;
const sigTerm = 1n << 14n;

describe('launchPrefix', () => {
  it('starts a program that the warnings of schedulers do not end', async () => {
    const { argv, blocksSignals } = await launchPrefix(systemProcesses.run);
    const { stdout } = await systemProcesses.run([...argv, 'cat', '/proc/self/status'], { deadlineMs });
    const blocked = BigInt(`0x${/^SigBlk:\s+([0-9a-f]+)$/m.exec(stdout)?.[1]}`);
    expect(blocksSignals).toBe(true);
    expect(blocked & sigTerm).toBe(sigTerm);
  });
});
