import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventView, VmView, WorkspaceView } from '../../src/protocol/api.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import type { SlurmCluster } from '../cluster/slurm.ts';
import { findVictim } from '../crash/kill.ts';
import { startSite, type TestSite } from '../support/site.ts';

const running = { timeoutMs: 120_000 };
const vmOf = ({ vms }: WorkspaceView, name: string): VmView | undefined => vms.find(vm => vm.name === name);

async function killVmm(vmId: string): Promise<void> {
  const found = await systemProcesses.run(['pgrep', '-f', '--', `guest=${vmId}( |$)`], {
    deadlineMs: 10_000,
  });
  const pids = found.stdout.split('\n').filter(Boolean).map(Number);
  expect(pids).toHaveLength(1);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
}

/** What a workspace that heals makes of a VMM and of a pilot that are killed with SIGKILL, on a real Slurm with real guests. */
describe('a workspace that heals', () => {
  let site: TestSite;
  beforeAll(async () => {
    site = await startSite({ lrm: 'slurm', nodes: 2, leases: { pilotSilence: '5s' } });
  });
  afterAll(() => site?.stop());

  const answers = (vm: string): Promise<unknown> =>
    expect
      .poll(async () => (await site.wsp(['ssh', vm, '--', 'hostname'])).stdout.trim(), { timeout: 60_000 })
      .toBe(vm.slice(vm.indexOf('/') + 1));

  it('has a VM whose VMM is killed replaced, and is started anew when a pilot is killed; the same names and addresses', async () => {
    const create = ['create', '--image', 'mini', '--memory', '160M', '--count', '2', '--heal', 'replace'];
    const before = await site.json<WorkspaceView>([...create, '--name', 'w', '--wait']);
    const client = site.client();
    const [lost, other] = before.vms;
    if (!lost || !other) throw new Error('it has two VMs');

    await killVmm(lost.id);
    const healed = await client.waitForWorkspace(
      before.id,
      workspace =>
        vmOf(workspace, lost.name)?.id !== lost.id && vmOf(workspace, lost.name)?.state === 'running',
      running,
    );
    expect(healed).toMatchObject({ state: 'running', endsAt: before.endsAt, slot: { id: before.slot?.id } });
    expect(vmOf(healed, lost.name)).toMatchObject({
      id: `${lost.id}.1`,
      addresses: lost.addresses,
      mac: lost.mac,
    });
    expect(vmOf(healed, other.name)?.id).toBe(other.id);
    // Its host key is the one that was known.
    await answers(`w/${lost.name}`);
    const { events } = await site.json<{ events: EventView[] }>(['events', 'w']);
    expect(events.find(({ type }) => type === 'vm.replaced')).toMatchObject({ vm: lost.id });

    const kill = await findVictim('pilot', {
      site,
      cluster: site.cluster as SlurmCluster,
      index: 0,
      slotId: before.slot?.id ?? '',
    });
    await kill();
    const anew = await client.waitForWorkspace(
      before.id,
      ({ state, requeues }) => state === 'running' && requeues === 1,
      running,
    );
    expect(anew.slot?.id).not.toBe(before.slot?.id);
    expect(anew.vms.map(({ addresses }) => addresses)).toEqual(before.vms.map(({ addresses }) => addresses));
    for (const { name } of anew.vms) await answers(`w/${name}`);

    await site.json(['destroy', 'w', '--wait']);
    await site.cluster?.untilIdle();
    expect(await site.leftovers()).toEqual([]);
  }, 300_000);
});

describe('security 5 a workspace that heals, on a VXLAN that learns nothing', () => {
  let site: TestSite;
  beforeAll(async () => {
    site = await startSite({ lrm: 'local', nodes: 2, more: { policy: { kind: 'pack', vmsPerNode: 2 } } });
  });
  afterAll(() => site?.stop());

  it('has all guests reach one whose successor is on another node, and it them', async () => {
    const create = ['create', '--image', 'mini', '--memory', '160M', '--count', '3', '--heal', 'replace'];
    const before = await site.json<WorkspaceView>([...create, '--name', 'w', '--wait'], 150_000);
    const [moving, staying, alone] = before.vms;
    if (!moving || !staying || !alone) throw new Error('it has three VMs');
    expect([staying.node, alone.node === moving.node]).toEqual([moving.node, false]);
    const reaches = (from: VmView, to: VmView): Promise<unknown> =>
      expect
        .poll(
          async () =>
            (await site.wsp(['ssh', `w/${from.name}`, '--', 'ssh', to.name, 'hostname'])).stdout.trim(),
          { timeout: 60_000 },
        )
        .toBe(to.name);
    await reaches(staying, moving);
    await reaches(alone, moving);

    await killVmm(moving.id);
    const healed = await site
      .client()
      .waitForWorkspace(
        before.id,
        workspace =>
          vmOf(workspace, moving.name)?.id !== moving.id && vmOf(workspace, moving.name)?.context === 'ok',
        running,
      );
    expect(vmOf(healed, moving.name)).toMatchObject({ node: alone.node, mac: moving.mac });
    for (const [from, to] of [
      [staying, moving],
      [moving, staying],
      [alone, moving],
      [alone, staying],
    ] as const)
      await reaches(from, to);
    await site.json(['destroy', 'w', '--wait']);
    expect(await site.leftovers()).toEqual([]);
  }, 300_000);
});
