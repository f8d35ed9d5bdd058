import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventView, VmView, WorkspaceView } from '../../src/protocol/api.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import type { SlurmCluster } from '../cluster/slurm.ts';
import { findVictim } from '../crash/kill.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** What a workspace that heals makes of a VMM and of a pilot that are killed with SIGKILL, on a real Slurm with real guests. */
describe('a workspace that heals', () => {
  let site: TestSite;
  beforeAll(async () => {
    site = await startSite({ lrm: 'slurm', nodes: 2, leases: { pilotSilence: '5s' } });
  });
  afterAll(() => site?.stop());

  const running = { timeoutMs: 120_000 };
  const vmOf = ({ vms }: WorkspaceView, name: string): VmView | undefined => vms.find(vm => vm.name === name);
  const answers = (vm: string): Promise<unknown> =>
    expect
      .poll(async () => (await site.wsp(['ssh', vm, '--', 'hostname'])).stdout.trim(), { timeout: 60_000 })
      .toBe(vm.slice(vm.indexOf('/') + 1));

  async function killVmm(vmId: string): Promise<void> {
    const found = await systemProcesses.run(['pgrep', '-f', '--', `guest=${vmId}( |$)`], {
      deadlineMs: 10_000,
    });
    const pids = found.stdout.split('\n').filter(Boolean).map(Number);
    expect(pids).toHaveLength(1);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
  }

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
