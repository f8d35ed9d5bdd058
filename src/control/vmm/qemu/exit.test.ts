import { expect, it } from 'vitest';
import { judgeEnding } from './exit.ts';

const killed = {
  exit: { code: null, signal: 'SIGKILL' as const },
  shutdownReason: undefined,
  panicked: false,
  destroyed: false,
  stderr: '',
  memoryMiB: 160,
  outOfMemory: undefined,
};

it.each([
  [
    { oomKills: 1, limit: { limitMiB: 256, usedMiB: 256 } },
    'out of memory: the kernel killed QEMU, whose guest has 160 MiB: its job may use 256 MiB and had used 256 MiB',
  ],
  [
    { oomKills: 1, limit: { limitMiB: 2_048, usedMiB: 300 } },
    'out of memory: the kernel killed QEMU, whose guest has 160 MiB: the node had none left (its job may use 2048 MiB and had used 300 MiB)',
  ],
  [
    { oomKills: 1, limit: undefined },
    'out of memory: the kernel killed QEMU, whose guest has 160 MiB: the node had none left (the job has no limit)',
  ],
])('report C a VMM killed for want of memory says so, with both figures: %j', (outOfMemory, message) => {
  expect(judgeEnding({ ...killed, outOfMemory })).toEqual({
    clean: false,
    reason: { code: 'out_of_memory', message },
  });
});

it('report C a VMM that somebody kills is not out of memory', () => {
  expect(judgeEnding(killed)).toMatchObject({ clean: false, reason: { code: 'vmm_died' } });
  expect(judgeEnding({ ...killed, destroyed: true })).toEqual({ clean: true });
});
