import { existsSync, mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../platform/log.ts';
import { createVirtualClock, type VirtualClock } from '../platform/virtual-clock.ts';
import type { NodeSettings, VmReport } from '../protocol/pilot.ts';
import type { VmPlan, VxlanPeer } from '../protocol/plan.ts';
import { ControlError, type WorkspaceControl } from './control.ts';
import type { Helper } from './helper/helper.ts';
import { slotDirectory } from './node/slot-directory.ts';
import { createSimVmm } from './vmm/sim/driver.ts';
import type { Vmm } from './vmm/vmm.ts';
import { createControl } from './workspace-control.ts';

/** Workspace control of a slot, with simulated VMs; once as they are, once as if they took something of the host. */

let root: string;
let clock: VirtualClock;
let reports: VmReport[];
let asked: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wsp-control-'));
  clock = createVirtualClock(0);
  reports = [];
  asked = [];
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

function control(
  options: {
    readonly kind?: string;
    readonly startHelper?: () => Promise<Helper>;
    readonly undo?: () => Promise<void>;
  } = {},
) {
  const sim = createSimVmm({ kind: 'sim', startMs: 100, bootMs: 1_000, stopMs: 200 }, clock);
  const vmm: Vmm = { ...sim, kind: options.kind ?? 'sim' };
  const helper: Helper = {
    attachNic: ({ bridge: { name, link } }) => {
      if (link.kind === 'vxlan') asked.push(`attach ${name} ${namesOf(link.peers)}`);
      return Promise.resolve();
    },
    detachNic: () => Promise.resolve(),
    setPeers: (bridge, peers) => Promise.resolve(void asked.push(`peers ${bridge} ${namesOf(peers)}`)),
    adoptProcess: pid => Promise.resolve(void asked.push(`adopt ${pid}`)),
    adoptDirectory: path => Promise.resolve(void asked.push(`adopt ${path.slice(root.length)}`)),
    undo: () => {
      asked.push('undo');
      return options.undo?.() ?? Promise.resolve();
    },
  };
  return createControl({
    node: 'n01',
    slotId: 'slot-aaaaaaaaaa',
    directory: slotDirectory(root, 'n01', 'slot-aaaaaaaaaa'),
    settings: {} as NodeSettings,
    vmm,
    startHelper: options.startHelper ?? (() => Promise.resolve(helper)),
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
    const slot = control({ kind: 'qemu' });
    await slot.reserve();
    const vms = '/n01/slot-aaaaaaaaaa/vms';
    await clock.advanceBy(0);
    expect(asked).toEqual([`adopt ${vms}`]);
    writeFileSync(join(root, vms, 'left'), 'x');
    await during(slot.release(0));
    expect(asked).toEqual([`adopt ${vms}`, 'undo']);
    expect(existsSync(join(root, vms))).toBe(false);
  });

  it('can be released again when something could not be undone, and starts nothing meanwhile', async () => {
    let tries = 0;
    const slot = control({
      kind: 'qemu',
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
    const slot = control({ kind: 'qemu' });
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
    const slot = control({ kind: 'qemu' });
    await slot.reserve();
    slot.orders['start-vm']({ vm: plan('vm-1') });
    await expect.poll(() => statesOf('vm-1').at(-1)).toBe('failed');
    expect(reports.at(-1)?.reason).toMatchObject({ code: 'image_unavailable' });
  });

  it('is released although its helper never came up, and tries it again for whoever needs it', async () => {
    let tries = 0;
    const startHelper = (): Promise<Helper> => {
      tries += 1;
      return Promise.reject(new ControlError('helper_missing', 'no sudo rule'));
    };
    const slot = control({ kind: 'qemu', startHelper });
    await slot.reserve();
    await during(slot.release(0));
    expect(tries).toBe(1);
  });

  it('says what is wrong with its work directory', async () => {
    writeFileSync(join(root, 'n01'), 'a file, not a directory');
    await expect(control({ kind: 'qemu' }).reserve()).rejects.toMatchObject({
      name: 'ControlError',
      code: 'work_directory',
    });
  });
});
