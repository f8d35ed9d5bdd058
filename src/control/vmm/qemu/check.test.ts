import { mkdtempSync, rmSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../../platform/clock.ts';
import { silentLog } from '../../../platform/log.ts';
import { CommandFailure, type CommandResult, type ProcessRunner } from '../../../platform/process.ts';
import { VmmUnfitError } from '../vmm.ts';
import { QemuVmm } from './driver.ts';

/** What QEMU's check makes of what QEMU does. The doctor's tests have the words for each way. */

let scratchDirectory: string;
beforeAll(() => {
  scratchDirectory = mkdtempSync(join(tmpdir(), 'wsp-qemu-check-'));
});
afterAll(() => rmSync(scratchDirectory, { recursive: true, force: true }));

/** What isa-debug-exit makes of the guest that is tried. */
const guestRan = 33;

function result(code: number, stderr = ''): CommandResult {
  return { code, signal: null, stdout: code === 0 ? 'QEMU emulator version 7.2\n' : '', stderr };
}

/** A driver whose QEMU does as it is told, and how often it was run. */
function driver(guests: { readonly kvm?: CommandResult; readonly tcg?: CommandResult } | 'not-installed') {
  const runs: string[] = [];
  const run: ProcessRunner['run'] = argv => {
    if (argv.includes('qemu')) runs.push(argv.join(' '));
    if (argv.includes('qemu') && guests === 'not-installed')
      return Promise.reject(new CommandFailure('not-found', argv, 'qemu is not installed or not in PATH'));
    if (!argv.includes('-accel') || guests === 'not-installed') return Promise.resolve(result(0));
    return Promise.resolve((argv.includes('kvm') ? guests.kvm : guests.tcg) ?? result(guestRan));
  };
  const settings = { binary: 'qemu', accelerator: 'auto', scratchDirectory } as const;
  return { vmm: new QemuVmm(settings, { clock: systemClock, log: silentLog, run }), runs };
}

it('tells version and accelerator, and runs QEMU once for all who ask', async () => {
  const { vmm, runs } = driver({});
  expect(runs).toEqual([]);
  const facts = await vmm.check();
  expect(facts).toMatchObject({ version: 'QEMU emulator version 7.2', accelerator: 'kvm' });
  await vmm.check();
  expect(runs).toHaveLength(2);
  expect(readdirSync(scratchDirectory)).toEqual([]);
});

it('takes TCG where KVM runs no guest', async () => {
  const { vmm } = driver({ kvm: result(1, 'failed to initialise KVM') });
  expect(await vmm.check()).toMatchObject({ accelerator: 'tcg' });
});

it.each([
  ['it is not there', 'not-installed', 'not installed', 'qemu-system-x86'],
  ['it runs no guest', { kvm: result(1, 'no kvm'), tcg: result(1, 'no tcg') }, 'no tcg', 'reinstall QEMU'],
] as const)('throws with what is wrong and what to do: %s', async (_, guests, why, fix) => {
  const { vmm } = driver(guests);
  const thrown = await vmm.check().catch((cause: unknown) => cause);
  expect(thrown).toBeInstanceOf(VmmUnfitError);
  expect(thrown).toMatchObject({ code: 'vmm_unfit', message: expect.stringContaining(why) });
  expect((thrown as VmmUnfitError).message).toContain(fix);
});
