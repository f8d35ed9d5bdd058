import type { ProcessRunner } from '../../../platform/process.ts';
import { type Check, failure, good, isFailed, warning } from '../../../protocol/check.ts';
import { firstLine } from '../../first-line.ts';
import { oneLine } from '../../../platform/one-line.ts';
import { type VmmFacts, VmmUnfitError } from '../vmm.ts';
import { type Accelerator, sandboxArguments } from './arguments.ts';
import { guestTrouble } from './probe.ts';

/** Which QEMU, and how it is to run guests. */
export interface QemuSettings {
  readonly binary: string;
  readonly accelerator: 'auto' | Accelerator;
  /** For the guest that is tried; exists. */
  readonly scratchDirectory: string;
}

/** What is found out about QEMU on a node. */
export interface QemuFacts extends VmmFacts {
  readonly accelerator: Accelerator;
}

/** Runs QEMU and a guest in it. Throws `VmmUnfitError`. */
export async function checkQemu(settings: QemuSettings, run: ProcessRunner['run']): Promise<QemuFacts> {
  const [program, guest] = await Promise.all([
    checkProgram(settings.binary, run),
    checkAccelerator(settings, run),
  ]);
  // No guest would run, under any accelerator.
  if (program.some(isFailed)) throw new VmmUnfitError(program);
  const checks = [...program, guest.check];
  if (guest.accelerator === undefined) throw new VmmUnfitError(checks);
  return { version: program[0]?.message ?? '', accelerator: guest.accelerator, checks };
}

/** QEMU reads its arguments in their order, and refuses there what it was built without. */
async function checkProgram(binary: string, run: ProcessRunner['run']): Promise<readonly Check[]> {
  const sandboxed = await firstLine([binary, ...sandboxArguments, '--version'], run);
  if (sandboxed.ok)
    return [
      good('qemu', sandboxed.line),
      good('sandbox', 'QEMU gives up the system calls that no guest needs'),
    ];
  const bare = await firstLine([binary, '--version'], run);
  const install = 'install it (Debian: qemu-system-x86), or set node.vmm.binary in the site file';
  if (!bare.ok) return [failure('qemu', bare.line, install)];
  return [
    good('qemu', bare.line),
    failure(
      'sandbox',
      `${sandboxed.line}: no guest is started without it`,
      'take a QEMU that was built with seccomp (those of distributions are), or set node.vmm.binary in the site file',
    ),
  ];
}

/**
 * By running a guest, anew for each pilot: a node that was too busy once must not be without KVM
 * for good. Without an `accelerator` no guest runs as it should.
 */
async function checkAccelerator(
  { binary, accelerator: wanted, scratchDirectory }: QemuSettings,
  run: ProcessRunner['run'],
): Promise<{ readonly check: Check; readonly accelerator?: Accelerator }> {
  const name = 'accelerator';
  const trouble = (accelerator: Accelerator): Promise<string | undefined> =>
    guestTrouble(accelerator, binary, run, scratchDirectory);
  const kvm = wanted === 'tcg' ? 'the site file says tcg' : await trouble('kvm');
  if (kvm === undefined) return { accelerator: 'kvm', check: good(name, 'KVM: a guest has run under it') };
  const why = oneLine(kvm, 300);
  const fix =
    'enable virtualisation in the firmware, load kvm_intel or kvm_amd, and let the user of the jobs open /dev/kvm';
  const orTcg = `${fix}; or set node.vmm.accelerator to auto`;
  if (wanted === 'kvm') return { check: failure(name, `KVM runs no guest: ${why}`, orTcg) };
  const tcg = await trouble('tcg');
  if (tcg !== undefined)
    return { check: failure(name, `no guest runs: ${oneLine(tcg, 300)}`, 'reinstall QEMU') };
  const slow = `TCG only, which is slow: under KVM no guest runs: ${why}`;
  const check =
    wanted === 'tcg'
      ? good(name, 'TCG, as the site file says: a guest has run under it')
      : warning(name, slow, fix);
  return { accelerator: 'tcg', check };
}
