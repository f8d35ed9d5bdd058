import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Clock, withDeadline } from '../platform/clock.ts';
import type { ImageManifest } from '../protocol/image.ts';
import type { NicPlan, VmPlan } from '../protocol/plan.ts';
import { ControlError } from './control.ts';
import type { Helper } from './helper/helper.ts';
import { fileError } from './images/disk-space.ts';
import type { NodeFiles } from './node/files.ts';
import type { MachineSpec } from './vmm/vmm.ts';
import { messageOf } from '../platform/message-of.ts';

/** What one VM takes of its node besides the VMM's process: files and interfaces. */
export interface VmHosting {
  /** Makes them. After a rejection `dispose` still removes what was made. */
  prepare(): Promise<MachineSpec>;
  /** Has the VMM's process recorded for the slot's undo. */
  adopt(pid: number): Promise<void>;
  /** Removes what `prepare` made; safe in any case, and twice. Called when `prepare` has settled. */
  dispose(): Promise<void>;
  /** A TCP connection to the guest. Throws `ControlError` `unreachable`. */
  connect(port: number): Promise<Duplex>;
}

/** What a VM's hosting works with. */
export interface HostParts {
  /** Of this VM alone; made and removed here. */
  readonly directory: string;
  /** The slot's helper, up or about to be. */
  readonly helper: () => Promise<Helper>;
  /** An interface with what has been told of its network since it was planned. */
  readonly newest: (nic: NicPlan) => NicPlan;
  readonly files: NodeFiles;
  readonly clock: Clock;
}

/** An empty overlay, the seed and the first of the console's log; a guest's own writes come on top. */
const filesOfVmMiB = 8;
const guestConnectDeadlineMs = 10_000;

/** Real files and interfaces. */
export function hostVm(plan: VmPlan, parts: HostParts): VmHosting {
  const { directory, helper, files, clock } = parts;
  const what = `the files of VM ${plan.name}`;
  return {
    async prepare() {
      const manifest = await files.openImage(plan.image);
      requireMemory(plan, manifest);
      // It undoes what a pilot leaves that is killed: before it is there, nothing is written.
      await helper();
      try {
        await files.makeDirectory(directory);
        await files.requireFreeSpace(directory, filesOfVmMiB, what);
        // All are waited for, also when one fails: `dispose` must not run beside them.
        const [overlay, seed] = await allDone([
          manifest.disk ? files.makeDisk(plan, manifest.disk, directory) : undefined,
          files.makeSeed(plan, directory),
          attachNics(plan, parts),
        ]);
        return machineOf(plan, manifest, directory, overlay, seed);
      } catch (cause) {
        throw fileError(cause, directory, what, 'vm_files');
      }
    },
    async adopt(pid) {
      await (await helper()).adoptProcess(pid);
    },
    async dispose() {
      const detached = plan.nics.length === 0 ? undefined : detachNics(plan, helper);
      await allDone([detached, files.remove(directory)]);
    },
    connect: port => connectToGuest(plan, port, clock),
  };
}

/** Nothing of the node: for the simulated VMM. Guests have no network, and none of their addresses is ever spoken to. */
export function simulateHosting(plan: VmPlan, directory: string): VmHosting {
  const { name } = plan;
  return {
    prepare: () => Promise.resolve({ ...bareMachine(plan, directory), agent: true }),
    adopt: () => Promise.resolve(),
    dispose: () => Promise.resolve(),
    connect: () =>
      Promise.reject(new ControlError('unreachable', `VM ${name} is simulated: it has no network`)),
  };
}

function requireMemory(plan: VmPlan, manifest: ImageManifest): void {
  if (plan.memoryMiB < manifest.minMemoryMiB)
    throw new ControlError(
      'memory_too_small',
      `VM ${plan.name} has ${plan.memoryMiB} MiB of memory, image ${manifest.name} needs at least ${manifest.minMemoryMiB}: ask for more`,
    );
}

function bareMachine(plan: VmPlan, directory: string): MachineSpec {
  const { vmId, name, memoryMiB, cpus } = plan;
  return {
    ...{ vmId, name, directory, memoryMiB, cpus },
    ...{ boot: { kind: 'disk' }, machine: 'q35', disks: [], nics: [], agent: false },
  };
}

function machineOf(
  plan: VmPlan,
  manifest: ImageManifest,
  directory: string,
  overlay: string | undefined,
  seed: string,
): MachineSpec {
  const { boot } = manifest;
  const file = (name: string): string => join(plan.image.directory, name);
  return {
    ...bareMachine(plan, directory),
    machine: manifest.machine,
    agent: manifest.agent,
    boot:
      boot.kind === 'disk'
        ? boot
        : {
            kind: 'kernel',
            kernel: file(boot.kernel),
            initrd: boot.initrd === undefined ? undefined : file(boot.initrd),
            commandLine: boot.commandLine,
          },
    disks: [
      ...(overlay === undefined ? [] : [{ path: overlay, format: 'qcow2', readOnly: false } as const]),
      { path: seed, format: 'raw', readOnly: true },
    ],
    nics: plan.nics.map(nic => ({ tap: nic.tap, mac: nic.mac, mtu: nic.bridge.mtu })),
  };
}

async function attachNics(plan: VmPlan, { helper, newest }: HostParts): Promise<void> {
  if (plan.nics.length === 0) return;
  const started = await helper();
  // The helper does one thing at a time anyway.
  for (const nic of plan.nics) await started.attachNic(newest(nic), plan.name);
}

/** Every interface is tried; the first failure is thrown. */
async function detachNics(plan: VmPlan, helper: () => Promise<Helper>): Promise<void> {
  const started = await helper();
  await allDone(plan.nics.map(nic => started.detachNic(nic.tap)));
}

/** `Promise.all` that settles only when all of its promises have. */
async function allDone<T extends readonly unknown[]>(
  promises: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

async function connectToGuest(plan: VmPlan, port: number, clock: Clock): Promise<Duplex> {
  const nic = plan.nics[0];
  if (!nic) throw new ControlError('unreachable', `VM ${plan.name} has no network interface`);
  const socket = connectSocket({ host: nic.address, port });
  const connected = new Promise<Duplex>((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
  try {
    return await withDeadline(clock, guestConnectDeadlineMs, `connecting to port ${port}`, connected);
  } catch (cause) {
    socket.destroy();
    const trouble = `does not answer on port ${port}: ${messageOf(cause)}`;
    throw new ControlError('unreachable', `VM ${plan.name} (${nic.address}) ${trouble}`, cause);
  }
}
