import { expect, test } from 'vitest';
import type { MachineSpec } from '../vmm.ts';
import { qemuArguments } from './arguments.ts';

const spec: MachineSpec = {
  vmId: 'vm-one',
  name: 'one',
  directory: '/vm',
  memoryMiB: 64,
  cpus: 1,
  boot: { kind: 'disk' },
  machine: 'q35',
  disks: [
    { path: '/a,b', format: 'raw', readOnly: true },
    { path: '/vm/disk.qcow2', format: 'qcow2', readOnly: false },
  ],
  nics: [{ tap: 'tap0', mac: '52:54:00:00:00:01', mtu: 1500 }],
  agent: true,
};

/** What stands after each `-flag` that is given. */
function given(args: readonly string[], flag: string): readonly (string | undefined)[] {
  return args.flatMap((arg, index) => (arg === flag ? [args[index + 1]] : []));
}

test('security 19 QEMU brings nothing of its own, and gives up what guests do not need', () => {
  for (const accelerator of ['kvm', 'tcg'] as const) {
    const args = qemuArguments(spec, accelerator, undefined);
    expect(args).toEqual(expect.arrayContaining(['-nodefaults', '-no-user-config']));
    expect(given(args, '-display')).toEqual(['none']);
    expect(given(args, '-sandbox')).toEqual([
      'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    ]);
    expect(given(args, '-machine')[0]).toMatch(/^q35,usb=off,.*sata=off,.*dump-guest-core=off$/);
    expect(given(args, '-netdev')).toEqual([expect.stringMatching(/script=no,downscript=no$/)]);
  }
});

test('security 20 QEMU guesses the format of no disk', () => {
  const drives = given(qemuArguments(spec, 'tcg', undefined), '-drive');
  expect(drives).toEqual([
    'id=disk0,if=none,format=raw,file=/a,,b,readonly=on',
    'id=disk1,if=none,format=qcow2,file=/vm/disk.qcow2,discard=unmap',
  ]);
});
