import { existsSync, mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../platform/log.ts';
import { createVirtualClock, type VirtualClock } from '../platform/virtual-clock.ts';
import type { NodeSettings, VmReport } from '../protocol/pilot.ts';
import type { PolicyNetwork } from '../protocol/helper-policy.ts';
import type { VmPlan, VxlanPeer } from '../protocol/plan.ts';
import type { NodeAdaptation } from './adaptation/adaptation.ts';
import { ControlError, type WorkspaceControl } from './control.ts';
import type { Helper } from './helper/helper.ts';
import { isVxlan } from './network/links/index.ts';
import { slotDirectory } from './node/slot-directory.ts';
import { createSimVmm } from './vmm/sim/driver.ts';
import type { Vmm } from './vmm/vmm.ts';
import { SlotControl } from './workspace-control.ts';

/** Workspace control of a slot, with simulated VMs; once as they are, once as if they took something of the host. */

let root: string;
let clock: VirtualClock;
let reports: VmReport[];
let asked: string[];
/** When the adaptation was last told to restore. */
let restoredAt: number;
/** Networks that the helper was asked about. */
let networkChecks: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wsp-control-'));
  clock = createVirtualClock(0);
  reports = [];
  asked = [];
  networkChecks = [];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const plan = (vmId: string): VmPlan =>
  ({
    vmId,
    workspaceId: 'ws-1',
    name: `name-of-${vmId}`,
    image: { name: 'mini', directory: join(root, 'images') },
    memoryMiB: 64,
    cpus: 1,
    nics: [],
    contextTimeoutMs: 5_000,
  }) as unknown as VmPlan;

interface ControlOptions {
  /** Its VMs take something of the host. */
  readonly onHost?: true;
  readonly startHelper?: (helper: Helper) => Promise<Helper>;
  readonly undo?: () => Promise<void>;
  readonly check?: Vmm['check'];
  readonly checkNetworks?: () => Promise<void>;
  readonly adaptation?: Partial<NodeAdaptation>;
}

function control(options: ControlOptions = {}) {
  const sim = createSimVmm({ kind: 'sim', startMs: 100, bootMs: 1_000, stopMs: 200 }, clock);
  const vmm: Vmm = {
    ...sim,
    traits: { ...sim.traits, needsHelper: options.onHost ?? false },
    check: options.check ?? sim.check,
  };
  const helper: Helper = {
    attachNic: ({ bridge: { name, link } }) => {
      if (isVxlan(link)) asked.push(`attach ${name} ${namesOf(link.peers)}`);
      return Promise.resolve();
    },
    detachNic: () => Promise.resolve(),
    setPeers: (bridge, peers) => Promise.resolve(void asked.push(`peers ${bridge} ${namesOf(peers)}`)),
    adoptProcess: pid => Promise.resolve(void asked.push(`adopt ${pid}`)),
    adoptDirectory: path => Promise.resolve(void asked.push(`adopt ${path.slice(root.length)}`)),
    checkNetworks: networks => {
      networkChecks.push(...networks.map(({ name }) => name));
      return options.checkNetworks?.() ?? Promise.resolve();
    },
    undo: () => {
      asked.push('undo');
      return options.undo?.() ?? Promise.resolve();
    },
  };
  return new SlotControl({
    node: 'n01',
    slotId: 'slot-aaaaaaaaaa',
    directory: slotDirectory(root, 'n01', 'slot-aaaaaaaaaa'),
    settings: {} as NodeSettings,
    memoryMiB: 512,
    cpus: 2,
    networks: [{ name: 'private' } as PolicyNetwork],
    vmm,
    startHelper: () => options.startHelper?.(helper) ?? Promise.resolve(helper),
    adapt: () => ({
      reserve: (memoryMiB, cpus) => {
        asked.push(`reserve ${memoryMiB} ${cpus}`);
        return options.adaptation?.reserve?.(memoryMiB, cpus) ?? Promise.resolve();
      },
      restore: () => {
        asked.push('restore');
        restoredAt = clock.now();
        return options.adaptation?.restore?.() ?? Promise.resolve();
      },
    }),
    clock,
    log: silentLog,
    report: report => reports.push(report),
  });
}

const namesOf = (peers: readonly VxlanPeer[]): string => peers.map(({ address }) => address).join(' ');

const statesOf = (vmId: string): readonly string[] =>
  reports.filter(report => report.vmId === vmId).map(({ state }) => state);

/** Runs the clock until `promise` has settled. */
async function during<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  void promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  for (let turn = 0; turn < 1_000 && !settled; turn += 1) await clock.advanceBy(50);
  return promise;
}

describe('workspace control', () => {
  let slot: WorkspaceControl;
  beforeEach(async () => {
    slot = control();
    await slot.reserve();
  });

  it('starts a VM once, however often it is asked', async () => {
    slot.orders['start-vm']({ vm: plan('vm-1') });
    await clock.advanceBy(100);
    slot.orders['start-vm']({ vm: plan('vm-1') });
    expect(statesOf('vm-1')).toEqual(['propagating', 'starting', 'running', 'running']);
    expect(slot.reports()).toHaveLength(1);
  });

  it('never starts a VM that was stopped before', async () => {
    slot.orders['stop-vm']({ vmId: 'vm-1', graceMs: 1_000 });
    slot.orders['start-vm']({ vm: plan('vm-1') });
    await clock.advanceBy(1_000);
    expect(statesOf('vm-1')).toEqual(['terminated', 'terminated']);
  });

  it('stops a VM in order, and answers for one that has ended', async () => {
    slot.orders['start-vm']({ vm: plan('vm-1') });
    await clock.advanceBy(1_200);
    slot.orders['stop-vm']({ vmId: 'vm-1', graceMs: 1_000 });
    await clock.advanceBy(200);
    expect(statesOf('vm-1').slice(-2)).toEqual(['stopping', 'terminated']);
    slot.orders['stop-vm']({ vmId: 'vm-1', graceMs: 1_000 });
    slot.orders['start-vm']({ vm: plan('vm-1') });
    expect(statesOf('vm-1').slice(-2)).toEqual(['terminated', 'terminated']);
  });

  it('releases once: ends every VM, and starts none after', async () => {
    slot.orders['start-vm']({ vm: plan('vm-1') });
    slot.orders['start-vm']({ vm: plan('vm-2') });
    await clock.advanceBy(1_200);
    const first = slot.release(1_000);
    slot.orders['start-vm']({ vm: plan('vm-3') });
    await during(Promise.all([first, slot.release(1_000)]));
    expect(statesOf('vm-1').at(-1)).toBe('terminated');
    expect(statesOf('vm-2').at(-1)).toBe('terminated');
    expect(reports.filter(({ vmId }) => vmId === 'vm-3')).toEqual([
      expect.objectContaining({
        state: 'failed',
        reason: expect.objectContaining({ code: 'slot_releasing' }),
      }),
    ]);
  });

  it('has streams of its own VMs only', async () => {
    await expect(slot.openStream({ kind: 'console', vmId: 'vm-9' })).rejects.toMatchObject({
      code: 'not_found',
    });
    slot.orders['start-vm']({ vm: plan('vm-1') });
    await clock.advanceBy(100);
    const stream = await slot.openStream({ kind: 'console', vmId: 'vm-1' });
    expect(String(stream.read())).toContain('simulated VM name-of-vm-1');
    await expect(slot.openStream({ kind: 'tcp', vmId: 'vm-1', port: 22 })).rejects.toMatchObject({
      code: 'unreachable',
    });
  });

  it('passes notices on to a VM that is there', async () => {
    slot.orders['tell-guest']({ vmId: 'vm-9', message: 'nobody' });
    slot.orders['start-vm']({ vm: plan('vm-1') });
    await clock.advanceBy(100);
    slot.orders['tell-guest']({ vmId: 'vm-1', message: 'ends soon' });
    const stream = await slot.openStream({ kind: 'console', vmId: 'vm-1' });
    expect(String(stream.read())).toContain('ends soon');
  });
});

describe('on a real host', () => {
  it('has its directory recorded before anything is in it, and undone and removed at the end', async () => {
    const slot = control({ onHost: true });
    await slot.reserve();
    const vms = '/n01/slot-aaaaaaaaaa/vms';
    await clock.advanceBy(0);
    expect(asked).toEqual(['reserve 512 2', `adopt ${vms}`]);
    writeFileSync(join(root, vms, 'left'), 'x');
    await during(slot.release(0));
    expect(asked).toEqual(['reserve 512 2', `adopt ${vms}`, 'restore', 'undo']);
    expect(existsSync(join(root, vms))).toBe(false);
  });

  it('can be released again when something could not be undone, and starts nothing meanwhile', async () => {
    let tries = 0;
    const slot = control({
      onHost: true,
      undo: () => {
        tries += 1;
        return tries > 1 ? Promise.resolve() : Promise.reject(new ControlError('undo_failed', 'process 7'));
      },
    });
    await slot.reserve();
    await clock.advanceBy(0);
    await expect(during(slot.release(0))).rejects.toThrow('process 7');
    slot.orders['start-vm']({ vm: plan('ws-aaaaaaaaaa.w-0') });
    expect(reports.at(-1)).toMatchObject({ state: 'failed', reason: { code: 'slot_releasing' } });
    await during(slot.release(0));
    await during(slot.release(0));
    expect(asked.filter(what => what === 'undo')).toHaveLength(2);
    expect(existsSync(join(root, '/n01/slot-aaaaaaaaaa/vms'))).toBe(false);
  });

  it('security 5 connects a VM with what was last told of its network, also when that was told later', async () => {
    mkdirSync(join(root, 'images'));
    const boot = { kind: 'kernel', kernel: 'kernel', commandLine: '' };
    const manifest = { format: 1, name: 'mini', description: 'm', machine: 'q35', agent: true, boot };
    writeFileSync(join(root, 'images/image.json'), JSON.stringify({ ...manifest, minMemoryMiB: 32 }));
    writeFileSync(join(root, 'images/kernel'), 'x');
    const slot = control({ onHost: true });
    await slot.reserve();
    const link = { kind: 'vxlan', vni: 7, port: 4_789, peers: [{ address: '10.1.0.1', macs: [] }] };
    const nics = [{ tap: 'wt1', bridge: { name: 'wba', link } }];
    slot.orders['start-vm']({ vm: { ...plan('vm-1'), nics } as unknown as VmPlan });
    slot.orders['set-peers']({ bridges: [{ bridge: 'wba', peers: [{ address: '10.1.0.2', macs: [] }] }] });
    await expect.poll(() => asked).toContain('attach wba 10.1.0.2');
    expect(asked).toContain('peers wba 10.1.0.2');
    await during(slot.release(0));
  });

  it('fails a VM with the reason when its image is not there', async () => {
    const slot = control({ onHost: true });
    await slot.reserve();
    slot.orders['start-vm']({ vm: plan('vm-1') });
    await expect.poll(() => statesOf('vm-1').at(-1)).toBe('failed');
    expect(reports.at(-1)?.reason).toMatchObject({ code: 'image_unavailable' });
  });

  it('says what is wrong with its work directory', async () => {
    writeFileSync(join(root, 'n01'), 'a file, not a directory');
    await expect(control({ onHost: true }).reserve()).rejects.toMatchObject({
      name: 'ControlError',
      code: 'work_directory',
    });
  });
});

describe('a node that lacks something is not reserved, and nothing of it is kept', () => {
  const vms = '/n01/slot-aaaaaaaaaa/vms';
  const never = (): Promise<never> => new Promise(() => undefined);
  const lacks = (code: string, message: string) => (): Promise<never> =>
    Promise.reject(new ControlError(code, message));
  const reserveOf = async (options: ControlOptions): Promise<unknown> => {
    const reserving = control({ onHost: true, ...options })
      .reserve()
      .then(
        () => 'reserved',
        (cause: unknown) => cause,
      );
    // The directory is made in a real file system, which takes no time of the clock.
    await expect.poll(() => asked).toContain('reserve 512 2');
    return during(reserving);
  };
  const expectUndone = (): void => {
    expect(asked).toContain('restore');
    expect(existsSync(join(root, vms))).toBe(false);
  };

  const noHelper = lacks(
    'helper_missing',
    'the privileged helper does not start: sudo: a password is required',
  );
  const noVmm = lacks('vmm_unfit', 'qemu is not installed or not in PATH: install it');
  const noMemory = lacks('memory_missing', 'the node has 12 huge pages left: raise its pool');

  it('the helper: says so, and where to read on', async () => {
    expect(await reserveOf({ startHelper: noHelper })).toMatchObject({
      name: 'ControlError',
      code: 'reserve_failed',
      message:
        'it cannot host VMs: the privileged helper does not start: sudo: a password is required: docs/admin/helper.md says how it is installed, with its sudo rule and its policy (wsp doctor --node, run there, says more)',
    });
    expectUndone();
    expect(asked).not.toContain('undo');
  });

  it('the VMM: what the others have done is undone', async () => {
    expect(await reserveOf({ check: noVmm })).toMatchObject({
      code: 'reserve_failed',
      message: expect.stringContaining('qemu is not installed or not in PATH: install it'),
    });
    expectUndone();
    expect(asked.slice(-2)).toEqual(['restore', 'undo']);
  });

  it('its adaptation: the helper is undone', async () => {
    expect(await reserveOf({ adaptation: { reserve: noMemory } })).toMatchObject({
      code: 'reserve_failed',
      message: expect.stringContaining('12 huge pages left'),
    });
    expectUndone();
    expect(asked.slice(-2)).toEqual(['restore', 'undo']);
  });

  it("what root's policy allows: says which network it lacks, and what to do", async () => {
    const checkNetworks = lacks('not_allowed', "root's policy on this node does not allow network private");
    expect(await reserveOf({ checkNetworks })).toMatchObject({
      code: 'reserve_failed',
      message: expect.stringContaining('does not allow network private'),
    });
    expect(networkChecks).toEqual(['private']);
    expectUndone();
  });

  it('all of them: each is named', async () => {
    const { message } = (await reserveOf({
      startHelper: noHelper,
      check: noVmm,
      adaptation: { reserve: noMemory },
    })) as Error;
    for (const words of ['sudo: a password is required', 'qemu is not installed', '12 huge pages left'])
      expect(message).toContain(words);
  });

  it.each([
    ['helper', { startHelper: never }, "the privileged helper's start did not happen within 30s"],
    ['VMM', { check: never }, 'the check of the VMM did not happen within 30s'],
    ['adaptation', { adaptation: { reserve: never } }, "the node's adaptation did not happen within 30s"],
  ] as const)('one whose %s hangs is given up after 30 s', async (_, options, words) => {
    expect(await reserveOf(options)).toMatchObject({
      code: 'reserve_failed',
      message: expect.stringContaining(words),
    });
    expect(restoredAt).toBe(30_000);
  });

  it('a helper that comes up after all is undone then', async () => {
    let up: () => void = () => undefined;
    const late = (helper: Helper): Promise<Helper> =>
      new Promise(resolve => {
        up = () => resolve(helper);
      });
    expect(await reserveOf({ startHelper: late })).toMatchObject({
      message: expect.stringContaining('not all is undone yet'),
    });
    expect(asked).not.toContain('undo');
    up();
    await expect.poll(() => asked).toContain('undo');
    await expect.poll(() => existsSync(join(root, vms))).toBe(false);
  });

  it('one that is slow, within its time, is reserved', async () => {
    const slow = (): Promise<void> =>
      new Promise(resolve => {
        clock.after(29_000, resolve);
      });
    expect(await reserveOf({ adaptation: { reserve: slow } })).toBe('reserved');
    expect(asked).not.toContain('restore');
  });

  it('says what could not be undone', async () => {
    const undo = lacks('undo_failed', 'process 7 does not end');
    expect(await reserveOf({ check: noVmm, undo })).toMatchObject({
      code: 'reserve_failed',
      message: expect.stringMatching(/qemu is not installed.*not all is undone yet: process 7 does not end/),
    });
  });

  it('needs no helper for VMs that take nothing of the host', async () => {
    const slot = control({ startHelper: noHelper });
    await slot.reserve();
    await during(slot.release(0));
    expect(asked).toEqual(['reserve 512 2', 'restore']);
  });
});
