import { type MachineSpec, VmmError } from '../vmm.ts';
import { tcgBufferMiB } from './memory.ts';

/** What runs a guest's instructions: the processor itself, or QEMU's translator. */
export type Accelerator = 'kvm' | 'tcg';

/** Names in the VM's directory, which is QEMU's own: of its sockets, and of the console's log. */
export const vmFiles = { qmp: 'qmp', console: 'console', agent: 'agent', consoleLog: 'console.log' } as const;

/** The virtio port between a guest's agent and us. */
export const agentPort = 'org.workspace-pilot.0';

/**
 * QEMU gives up the system calls that no guest needs it to make (seccomp(2)): starting programs,
 * becoming somebody else, changing what it may use, and those that are obsolete. A breach is
 * SIGSYS, which ends it. A QEMU that was built without seccomp says so and starts no guest.
 */
export const sandboxArguments = [
  '-sandbox',
  'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
] as const;

/** What QEMU is not to bring of its own: devices, the host's configuration files, a window. */
export const bareArguments = ['-nodefaults', '-no-user-config', '-display', 'none'] as const;

/** Without what no guest of ours uses; a core dump of QEMU has nothing of its guest's memory. */
const machines = {
  // ACPI is how a microvm's guest powers itself off; without it QEMU never ends.
  microvm: 'microvm,acpi=on,dump-guest-core=off',
  q35: 'q35,usb=off,vmport=off,sata=off,smbus=off,dump-guest-core=off',
} as const;

/**
 * QEMU's arguments for a machine (qemu-system(1)); pure. `tscKhz`: of the host's time stamp
 * counter, for TCG. Throws `VmmError` `vmm_bad_machine` when the machine cannot be expressed.
 */
export function qemuArguments(
  spec: MachineSpec,
  accelerator: Accelerator,
  tscKhz: number | undefined,
): readonly string[] {
  const bus = spec.machine === 'microvm' ? 'device' : 'pci';
  return [
    ...bareArguments,
    ...sandboxArguments,
    ...['-name', `guest=${spec.vmId}`],
    ...['-machine', machines[spec.machine]],
    ...(accelerator === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', `tcg,tb-size=${tcgBufferMiB}`, '-cpu', 'max']),
    ...['-m', `size=${spec.memoryMiB}M`, '-smp', String(spec.cpus)],
    ...(spec.machine === 'microvm' ? ['-global', 'virtio-mmio.force-legacy=false'] : []),
    ...boot(spec, accelerator, tscKhz),
    ...spec.disks.flatMap((disk, index) => diskArguments(disk, index, bus)),
    ...spec.nics.flatMap((nic, index) => nicArguments(nic, index, bus)),
    ...['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', `virtio-rng-${bus},rng=rng0`],
    ...['-chardev', `socket,id=qmp,path=${vmFiles.qmp},server=off`, '-mon', 'chardev=qmp,mode=control'],
    ...['-chardev', `socket,id=console,path=${vmFiles.console},server=off`, '-serial', 'chardev:console'],
    ...(spec.agent ? agentArguments(bus) : []),
    // A guest that panics tells QEMU through this device, when its kernel has the driver; QEMU then ends.
    ...(spec.machine === 'q35' ? ['-device', 'pvpanic'] : []),
  ];
}

function boot(spec: MachineSpec, accelerator: Accelerator, tscKhz: number | undefined): string[] {
  if (spec.boot.kind === 'disk') {
    if (spec.machine === 'microvm')
      throw new VmmError('vmm_bad_machine', `${spec.name}: a microvm boots a kernel, not a disk; use q35`);
    return [];
  }
  // Without firmware timers, a microvm's kernel calibrates the TSC against a PIT that TCG emulates too unevenly, and may hang.
  const early =
    spec.machine === 'microvm' && accelerator === 'tcg' && tscKhz !== undefined
      ? ` tsc_early_khz=${tscKhz}`
      : '';
  return [
    ...['-kernel', spec.boot.kernel],
    ...(spec.boot.initrd === undefined ? [] : ['-initrd', spec.boot.initrd]),
    ...['-append', `${spec.boot.commandLine}${early}`],
  ];
}

function diskArguments(disk: MachineSpec['disks'][number], index: number, bus: string): string[] {
  const options = [
    `id=disk${index}`,
    'if=none',
    `format=${disk.format}`,
    `file=${option(disk.path)}`,
    ...(disk.readOnly ? ['readonly=on'] : ['discard=unmap']),
  ];
  return ['-drive', options.join(','), '-device', `virtio-blk-${bus},drive=disk${index}`];
}

function nicArguments(nic: MachineSpec['nics'][number], index: number, bus: string): string[] {
  // No option ROM: nobody boots from these interfaces, and loading it costs time.
  const rom = bus === 'pci' ? ',romfile=' : '';
  return [
    '-netdev',
    `tap,id=nic${index},ifname=${option(nic.tap)},script=no,downscript=no`,
    '-device',
    `virtio-net-${bus},netdev=nic${index},mac=${option(nic.mac)},host_mtu=${nic.mtu}${rom}`,
  ];
}

function agentArguments(bus: string): string[] {
  return [
    ...['-chardev', `socket,id=agent,path=${vmFiles.agent},server=off`],
    ...['-device', `virtio-serial-${bus}`],
    ...['-device', `virtserialport,chardev=agent,name=${agentPort}`],
  ];
}

/** A value inside QEMU's comma-separated options: a comma is written twice. */
function option(value: string): string {
  return value.replaceAll(',', ',,');
}
