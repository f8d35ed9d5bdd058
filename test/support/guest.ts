import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeSeed } from '../../src/control/context/seed.ts';
import { makeOverlay } from '../../src/control/images/disk.ts';
import { QemuVmm } from '../../src/control/vmm/qemu/driver.ts';
import type { MachineSpec, RunningVm, Vmm } from '../../src/control/vmm/vmm.ts';
import { startChild } from '../../src/platform/children.ts';
import { systemClock, withDeadline } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import type { UserData } from '../../src/protocol/cluster.ts';
import { parseImageManifest } from '../../src/protocol/image.ts';
import type { KeyPair, NicPlan, VmPlan } from '../../src/protocol/plan.ts';

/** What it takes to boot a real guest without a node around it: keys, a seed, disks, a machine. */

/** Where `make setup` puts the images. */
export const imagesDirectory = new URL('../../.cache/images', import.meta.url).pathname;

/** Two seconds when idle; other tests share the processors. */
export const bootDeadlineMs = 60_000;

/** Why no guest can boot here, or undefined. A test that is left out for it prints it. */
export function noGuestsBecause(): string | undefined {
  if (!existsSync(join(imagesDirectory, 'mini/image.json'))) return 'the images are not built (make setup)';
  return existsSync('/usr/bin/qemu-system-x86_64') ? undefined : 'there is no QEMU here (make setup)';
}

/** A new directory, and how it goes. */
export function makeScratch(): { readonly directory: string; readonly remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-guest-'));
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

async function keyPair(directory: string, name: string): Promise<KeyPair> {
  const file = join(directory, name);
  const made = await systemProcesses.run(
    ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file],
    { deadlineMs: 10_000 },
  );
  if (made.code !== 0) throw new Error(`ssh-keygen: ${made.stderr}`);
  return { privateKey: readFileSync(file, 'utf8'), publicKey: readFileSync(`${file}.pub`, 'utf8').trim() };
}

/** The plan of a VM that is alone in its ensemble and reaches itself by name. */
async function planFor(image: string, directory: string, options: GuestOptions): Promise<VmPlan> {
  const { userData, nics = [] } = options;
  const [hostKey, clusterKey] = await Promise.all([
    keyPair(directory, 'host'),
    keyPair(directory, 'cluster'),
  ]);
  return {
    vmId: 'vm-test',
    workspaceId: 'ws-test',
    name: 'worker-0',
    image: { name: image, directory: join(imagesDirectory, image) },
    memoryMiB: 192,
    cpus: 1,
    nics: [...nics],
    contextTimeoutMs: bootDeadlineMs,
    context: {
      hostname: 'worker-0',
      workspace: 'test',
      roles: ['worker', 'storage'],
      authorizedKeys: [],
      hostKey,
      clusterKey,
      hosts: [{ name: 'worker-0', addresses: ['127.0.0.1'], hostPublicKey: hostKey.publicKey }],
      ...(userData === undefined ? {} : { userData }),
    },
  };
}

/** How a guest differs from what its image asks for. */
export interface GuestOptions {
  readonly userData?: UserData;
  /** false: the guest gets no seed. */
  readonly seed?: boolean;
  readonly machine?: 'q35';
  /** false: without the agent's port, so that only ACPI can ask the guest to end. */
  readonly agent?: false;
  /** Interfaces on taps that are there, and the guests that `/etc/hosts` names. */
  readonly nics?: readonly NicPlan[];
}

/** A machine that boots `image`, with all that it needs in `directory`. */
export async function machineFor(
  image: string,
  directory: string,
  options: GuestOptions = {},
): Promise<MachineSpec> {
  const at = join(imagesDirectory, image);
  const manifest = parseImageManifest(JSON.parse(readFileSync(join(at, 'image.json'), 'utf8')));
  const plan = await planFor(image, directory, options);
  const disks: MachineSpec['disks'][number][] = [];
  if (manifest.disk) {
    const backing = { path: join(at, manifest.disk.file), format: manifest.disk.format };
    const overlay = await makeOverlay(backing, plan.name, directory, systemProcesses.run);
    disks.push({ path: overlay, format: 'qcow2', readOnly: false });
  }
  if (options.seed !== false) {
    const seed = await makeSeed(plan, directory, systemProcesses.run);
    disks.push({ path: seed, format: 'raw', readOnly: true });
  }
  const { boot } = manifest;
  return {
    vmId: plan.vmId,
    name: plan.name,
    directory,
    memoryMiB: plan.memoryMiB,
    cpus: plan.cpus,
    boot:
      boot.kind === 'disk'
        ? boot
        : {
            ...boot,
            kernel: join(at, boot.kernel),
            initrd: boot.initrd === undefined ? undefined : join(at, boot.initrd),
          },
    machine: options.machine ?? manifest.machine,
    disks,
    nics: plan.nics.map(({ tap, mac, bridge }) => ({ tap, mac, mtu: bridge.mtu })),
    agent: options.agent ?? manifest.agent,
  };
}

/** QEMU, whose VMs are on the node that is this network namespace. */
export function vmmIn(netns: string, scratchDirectory: string): Vmm {
  return new QemuVmm(
    { binary: 'qemu-system-x86_64', accelerator: 'auto', scratchDirectory },
    {
      clock: systemClock,
      log: silentLog,
      start: (argv, options) => startChild(['nsenter', `--net=/run/netns/${netns}`, ...argv], options),
    },
  );
}

/**
 * Boots a guest. `report`: what it makes of its user data, `ok` or the error that it reports; or
 * why it ended.
 */
export async function boot(
  vmm: Vmm,
  spec: MachineSpec,
): Promise<{ readonly vm: RunningVm; readonly report: Promise<string> }> {
  const events = new EventEmitter();
  const heard = once(events, 'context');
  const vm = await vmm.start(spec, {
    context: (state, reason) => events.emit('context', state === 'ok' ? 'ok' : reason?.message),
    exited: outcome => events.emit('context', `exited: ${outcome.reason?.message}`),
  });
  const report = withDeadline(systemClock, bootDeadlineMs, 'the report of the guest', heard);
  return { vm, report: report.then(([said]) => String(said)) };
}
