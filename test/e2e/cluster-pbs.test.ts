import { afterEach, expect, it } from 'vitest';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** A virtual cluster through each dialect of the PBS of the tests, with the simulated VMM: real guests are Slurm's and Grid Engine's (suites/virtual-clusters.ts). */
let site: TestSite | undefined;
afterEach(async () => {
  await site?.stop();
  site = undefined;
});

it.each(['openpbs', 'torque'] as const)(
  'through %s a virtual cluster runs, one VM on each node, and nothing of it is left',
  async lrm => {
    site = await startSite({ lrm, nodes: 2, vmm: { kind: 'sim' } });
    const create = [
      'create',
      '--image',
      'mini',
      '--count',
      '2',
      '--memory',
      '160M',
      '--name',
      'two',
      '--wait',
    ];
    const workspace = await site.json<WorkspaceView>(create);
    expect(workspace.state).toBe('running');
    expect(new Set(workspace.vms.map(({ node }) => node))).toEqual(new Set(['n01', 'n02']));
    const { workspaces } = await site.json<{ workspaces: WorkspaceView[] }>(['destroy', 'two', '--wait']);
    expect(workspaces[0]).toMatchObject({ state: 'ended', cause: 'destroyed' });
    await site.cluster?.untilIdle();
    expect(await site.leftovers()).toEqual([]);
  },
);

it('deleted by an administrator of PBS, a workspace ends with that reason', async () => {
  site = await startSite({ lrm: 'openpbs', nodes: 1, vmm: { kind: 'sim' } });
  // Another's job has the node.
  await site.cluster?.run(['qsub', '-N', 'other', '-l', 'select=1:ncpus=2'], 'sleep 1000\n');
  const create = ['create', '--image', 'mini', '--memory', '160M', '--name', 'held'];
  const { id } = await site.json<WorkspaceView>(create);
  const ours = /^[1-9]\d*\./;
  const isOurs = async (): Promise<boolean> =>
    ((await site?.cluster?.jobs()) ?? []).some(job => ours.test(job));
  await expect.poll(isOurs, { timeout: 20_000 }).toBe(true);
  const jobId = ((await site.cluster?.jobs()) ?? []).find(job => ours.test(job)) ?? '';
  await site.cluster?.run(['qhold', jobId]);
  const waits = await site
    .client()
    .waitForWorkspace(id, ({ slot }) => /held/.test(slot?.lrmReason ?? ''), { timeoutMs: 20_000 });
  expect(waits.slot?.lrmReason).toMatch(/held by its user/);
  await site.cluster?.endJob(jobId);
  const ended = await site
    .client()
    .waitForWorkspace(id, ({ state }) => state === 'ended', { timeoutMs: 20_000 });
  expect(JSON.stringify(ended)).toMatch(/the job was deleted/);
});
