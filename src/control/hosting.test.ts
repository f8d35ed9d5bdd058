import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import type { CommandResult, ProcessRunner } from '../platform/process.ts';
import { createVirtualClock } from '../platform/virtual-clock.ts';
import type { NicPlan, VmPlan } from '../protocol/plan.ts';
import { ControlError } from './control.ts';
import type { Helper } from './helper/helper.ts';
import { hostVm, type VmHosting } from './hosting.ts';
import { nodeFiles } from './node/files.ts';

/**
 * What a VM takes of its node besides its process, and that it gives all of it back when it ends,
 * not when its slot does.
 */

const key = { privateKey: 'private', publicKey: 'ssh-ed25519 AAAA' };
const nic = (tap: string): NicPlan =>
  ({
    tap,
    network: 'private',
    mac: '52:54:00:00:00:01',
    address: '10.90.0.1',
    bridge: { mtu: 1_500 },
  }) as NicPlan;

let root: string;
let taps: Set<string>;
let failing: Set<string>;
/** What qemu-img says of the image's disk. */
let diskInfo: object;
let ran: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wsp-hosting-'));
  mkdirSync(join(root, 'images'));
  const manifest = {
    format: 1,
    name: 'mini',
    description: 'a small one',
    machine: 'q35',
    agent: true,
    minMemoryMiB: 32,
    boot: { kind: 'disk' },
    disk: { file: 'disk.qcow2', format: 'qcow2' },
  };
  writeFileSync(join(root, 'images/image.json'), JSON.stringify(manifest));
  writeFileSync(join(root, 'images/disk.qcow2'), 'x');
  taps = new Set();
  failing = new Set();
  diskInfo = { format: 'qcow2' };
  ran = [];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const step = async (what: string): Promise<void> => {
  if (failing.has(what)) throw new ControlError('helper_failed', what);
};
const helper: Helper = {
  attachNic: async ({ tap }: NicPlan) => {
    await step(`attach ${tap}`);
    taps.add(tap);
  },
  setPeers: () => Promise.resolve(),
  detachNic: async (tap: string) => {
    await step(`detach ${tap}`);
    taps.delete(tap);
  },
  adoptProcess: () => Promise.resolve(),
  adoptDirectory: () => Promise.resolve(),
  checkNetworks: () => Promise.resolve(),
  undo: () => Promise.resolve(),
};

/** qemu-img and genisoimage: leave the file that they would make. */
const run: ProcessRunner['run'] = async (argv): Promise<CommandResult> => {
  const tool = argv.find(word => ['qemu-img', 'genisoimage'].includes(word)) ?? argv[0];
  await step(tool);
  ran.push(argv.join(' '));
  writeFileSync(argv.find(each => each.endsWith('disk.qcow2') && each.includes('vm-')) ?? '/dev/null', 'x');
  return { code: 0, signal: null, stdout: JSON.stringify(diskInfo), stderr: '' };
};

function host(index: number, ...nics: readonly string[]): VmHosting & { readonly directory: string } {
  return hostWith(Promise.resolve(helper), index, ...nics);
}

function hostWith(
  itsHelper: Promise<Helper>,
  index: number,
  ...nics: readonly string[]
): VmHosting & { readonly directory: string } {
  const name = `vm-${index}`;
  const directory = join(root, name);
  const context = {
    hostname: name,
    workspace: 'w',
    roles: [],
    authorizedKeys: [],
    hostKey: key,
    clusterKey: key,
    hosts: [],
  };
  const plan: VmPlan = {
    vmId: `ws-aaaaaaaaaa.${name}`,
    workspaceId: 'ws-aaaaaaaaaa',
    name,
    image: { name: 'mini', directory: join(root, 'images') },
    memoryMiB: 64,
    cpus: 1,
    nics: nics.map(nic),
    contextTimeoutMs: 1_000,
    context,
  };
  const parts = {
    directory,
    helper: () => itsHelper,
    newest: (one: NicPlan) => one,
    files: nodeFiles(run),
    clock: createVirtualClock(0),
  };
  return { ...hostVm(plan, parts), directory };
}

describe('what a VM takes of its node', () => {
  it('is given back when the VM ends, while another VM of the slot keeps what it has', async () => {
    const [one, two] = [host(1, 'tap1a', 'tap1b'), host(2, 'tap2')];
    const machine = await one.prepare();
    await two.prepare();
    expect(machine.disks.map(({ path }) => path)).toEqual([
      join(one.directory, 'disk.qcow2'),
      join(one.directory, 'seed.iso'),
    ]);
    expect([...taps]).toEqual(['tap1a', 'tap1b', 'tap2']);
    await one.dispose();
    expect([...taps]).toEqual(['tap2']);
    expect(existsSync(one.directory)).toBe(false);
    expect(readdirSync(two.directory)).toContain('disk.qcow2');
    // Twice is once.
    await one.dispose();
    await two.dispose();
    expect([...taps]).toEqual([]);
  });

  it.each(['qemu-img', 'genisoimage', 'attach tap1b'])(
    'is given back also when %s has failed, half-way through',
    async what => {
      failing.add(what);
      const vm = host(1, 'tap1a', 'tap1b');
      await expect(vm.prepare()).rejects.toThrow(what);
      // Nothing is still at work: what comes now is removed for good.
      await vm.dispose();
      expect([[...taps], existsSync(vm.directory)]).toEqual([[], false]);
    },
  );

  it('is given back but for the one thing that cannot be, which is told', async () => {
    const vm = host(1, 'tap1a', 'tap1b', 'tap1c');
    await vm.prepare();
    failing.add('detach tap1a');
    await expect(vm.dispose()).rejects.toThrow('detach tap1a');
    expect([[...taps], existsSync(vm.directory)]).toEqual([['tap1a'], false]);
  });

  it('has no file before the helper is there that would remove it, if the pilot were killed', async () => {
    let serve: (helper: Helper) => void = () => undefined;
    const vm = hostWith(
      new Promise(resolve => {
        serve = resolve;
      }),
      1,
    );
    const prepared = vm.prepare();
    // The manifest is read, and its files are checked, in a turn or two of the event loop.
    await createVirtualClock(0).advanceBy(0);
    await hostWith(Promise.resolve(helper), 2).prepare();
    expect(existsSync(vm.directory)).toBe(false);
    serve(helper);
    await prepared;
    expect(readdirSync(vm.directory)).toContain('seed.iso');
  });

  it('is nothing that it did not ask for: without interfaces there are only files', async () => {
    const vm = host(1);
    await vm.prepare();
    await vm.dispose();
    expect(existsSync(vm.directory)).toBe(false);
  });
});

test.each([
  [{ 'backing-filename': '/etc/passwd' }, /its backing file \/etc\/passwd/],
  [{ 'format-specific': { data: { 'data-file': '/etc/passwd' } } }, /its data file \/etc\/passwd/],
  [{ encrypted: true }, /is encrypted/],
])('security 20 a VM whose image says %j is not started, and nothing opens its disk', async (said, words) => {
  diskInfo = said;
  await expect(host(1).prepare()).rejects.toMatchObject({
    code: 'image_invalid',
    message: expect.stringMatching(words),
  });
  expect(ran.filter(command => command.includes('qemu-img'))).toEqual([
    expect.stringMatching(/--no-new-privs -- qemu-img info .* -f qcow2 .*disk\.qcow2$/),
  ]);
});
