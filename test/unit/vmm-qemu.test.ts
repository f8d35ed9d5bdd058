import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { vmFiles } from '../../src/control/vmm/qemu/arguments.ts';
import { QemuVmm } from '../../src/control/vmm/qemu/driver.ts';
import { vmmContract } from '../../src/control/vmm/vmm.contract.ts';
import type { MachineSpec } from '../../src/control/vmm/vmm.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { bootDeadlineMs, machineFor, makeScratch, noGuestsBecause } from '../support/guest.ts';
import { processesOf } from '../support/temp-dirs.ts';

/** The driver's contract, with a QEMU that boots the real mini guest. */

const noGuests = noGuestsBecause();
if (noGuests !== undefined) console.warn(`the VMM driver qemu: skipped, because ${noGuests}`);

const cache = makeScratch();
afterAll(cache.remove);

const machine = (): Promise<MachineSpec> => machineFor('mini', makeScratch().directory);

/** Its kernel is none: QEMU ends with a sentence about it. */
async function unstartable(): Promise<MachineSpec> {
  const spec = await machine();
  const kernel = join(spec.directory, 'kernel');
  writeFileSync(kernel, 'this is not a kernel');
  return { ...spec, boot: { kind: 'kernel', kernel, commandLine: '' } };
}

// Such a console is soon full: under TCG some kilobytes take a second.
const consoleLogBytes = 16 * 1024;
const vmm = new QemuVmm(
  { binary: 'qemu-system-x86_64', accelerator: 'auto', scratchDirectory: cache.directory },
  { clock: systemClock, log: silentLog, consoleLogBytes },
);

const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0);

describe.skipIf(noGuests !== undefined)('a real QEMU', () => {
  test.each(['microvm', 'q35'] as const)(
    'security 19 gets no new privileges, and only the system calls that a VM needs (%s)',
    async kind => {
      const { directory, remove } = makeScratch();
      onTestFinished(remove);
      const spec = await machineFor('mini', directory, kind === 'q35' ? { machine: kind } : {});
      const vm = await vmm.start(spec, { context: () => undefined, exited: () => undefined });
      onTestFinished(() => vm.destroy());
      const threads = readdirSync(`/proc/${vm.pid}/task`);
      expect(threads.length).toBeGreaterThan(1);
      for (const thread of threads) {
        const status = readFileSync(`/proc/${vm.pid}/task/${thread}/status`, 'utf8');
        expect(status).toMatch(/^NoNewPrivs:\s1$/m);
        expect(status).toMatch(/^Seccomp:\s2$/m);
      }
    },
  );

  test('security 19 keeps the newest of a console that never stops, and never more than the limit; who reads it goes on', {
    timeout: 3 * bootDeadlineMs,
  }, async () => {
    const { directory, remove } = makeScratch();
    onTestFinished(remove);
    const flood = '#!/bin/sh\nyes "flood without end" > /dev/console &\n';
    const spec = await machineFor('mini', directory, { userData: flood });
    const vm = await vmm.start(spec, { context: () => undefined, exited: () => undefined });
    onTestFinished(() => vm.destroy());
    const log = join(directory, vmFiles.consoleLog);
    const reader = await vm.openConsole();
    let heardBytes = 0;
    reader.on('data', (chunk: Buffer) => {
      heardBytes += chunk.length;
    });
    let mostBytes = 0;
    const flooded = (): number => {
      mostBytes = Math.max(mostBytes, sizeOf(`${log}.1`) + sizeOf(log));
      return heardBytes;
    };
    await expect.poll(flooded, { timeout: 2 * bootDeadlineMs }).toBeGreaterThan(1.3 * consoleLogBytes);
    expect(mostBytes).toBeGreaterThan(consoleLogBytes / 2);
    expect(mostBytes).toBeLessThanOrEqual(consoleLogBytes);
    await vm.destroy();
    expect(readFileSync(log, 'utf8').slice(-2_000)).toMatch(/flood without end/);
  });

  vmmContract('qemu', {
    vmm,
    machine,
    unstartable,
    isStarting: spec => existsSync(join(spec.directory, vmFiles.qmp)),
    processesOf: spec => processesOf(spec.directory),
  });
});
