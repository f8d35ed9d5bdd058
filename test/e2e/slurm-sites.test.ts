import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DryRunView, SlotView, WorkspaceView } from '../../src/protocol/api.ts';
import type { SlurmCluster } from '../cluster/slurm.ts';
import { findVictim } from '../crash/kill.ts';
import { startSite, type TestSite } from '../support/site.ts';

/**
 * Leases on a Slurm with accounts in a database and limits that are enforced, a prolog that takes
 * its time, and nodes that are given whole to jobs and restored after them: what the site's people
 * do meanwhile, and what the lease's owner is told of it.
 */

let site: TestSite;
let cluster: SlurmCluster;
beforeAll(async () => {
  site = await startSite({
    lrm: 'slurm',
    nodes: 2,
    vmm: { kind: 'sim' },
    leases: { pilotSilence: '10m' },
    slurm: { accounting: true, prologSeconds: 2, epilog: true },
  });
  cluster = site.cluster as SlurmCluster;
});
afterAll(() => site?.stop());

const create = ['create', '--image', 'mini', '--memory', '128M'];
const soon = { timeoutMs: 60_000 };
const until = (name: string, isRight: (workspace: WorkspaceView) => boolean): Promise<WorkspaceView> =>
  site
    .json<WorkspaceView>(['show', name])
    .then(({ id }) => site.client().waitForWorkspace(id, isRight, soon));
const destroy = (...names: readonly string[]) => site.json(['destroy', ...names, '--wait']);

it('a lease runs and ends on the account of its user, within its limits, and nothing is left', async () => {
  const lease = [...create, '--count', '2', '--duration', '5m', '--name', 'paid', '--wait'];
  const running = await site.json<WorkspaceView>(lease);
  expect(running).toMatchObject({ state: 'running', vms: [{ state: 'running' }, { state: 'running' }] });
  const { stdout } = await cluster.run(['squeue', '-h', '-o', '%u %a %q %P']);
  expect(stdout.trim()).toBe('wsp physics leases batch');
  await destroy('paid');
  await cluster.untilIdle();
  expect(await site.leftovers()).toEqual([]);
});

describe('site S6', () => {
  it('a limit of jobs puts a lease off, which says so, and passes', async () => {
    const { limit } = cluster.accounting();
    await limit('MaxSubmitJobsPerUser=0');
    await site.json([...create, '--name', 'later']);
    const putOff = await until('later', ({ slot }) => slot?.lrmTrouble?.kind === 'deferred');
    expect(putOff).toMatchObject({ state: 'requested', slot: { lrmTrouble: { doing: 'submit' } } });
    expect((await site.wsp(['show', 'later'])).stdout).toMatch(/job submit limit/);
    await limit('MaxSubmitJobsPerUser=-1');
    await until('later', ({ state }) => state === 'running');
    await destroy('later');
  });

  it('a limit that never passes is told as one, by its figure, and nobody is given a false hope', async () => {
    const { limit } = cluster.accounting();
    await limit('MaxWall=3');
    try {
      await site.json([...create, '--duration', '30m', '--name', 'long']);
      const never = await until('long', ({ slot }) => slot?.lrmOutlook === 'never');
      expect(never.slot?.lrmReason).toMatch(/more time than one job may have here.*3m/);
      expect(never.slot?.estimatedStartAt).toBeNull();
      expect((await site.wsp(['show', 'long'])).stdout).toMatch(/It will never start as it was asked for/);
      await destroy('long');
    } finally {
      await limit('MaxWall=-1');
    }
  });
});

it('site S5: a user without an association is told by a dry run and by doctor, submits nothing, and can again when they have one', async () => {
  const { noAssociation, association } = cluster.accounting();
  await noAssociation('wsp');
  const said = /Invalid account or account\/partition combination/;
  try {
    const trial = await site.wsp([...create, '--dry-run']);
    expect([trial.code, trial.stderr]).toEqual([4, expect.stringMatching(said)]);
    const { code, stdout } = await site.wsp(['doctor', '--config', site.siteFile]);
    expect([code, stdout]).toEqual([1, expect.stringMatching(said)]);
    await expect(site.json([...create, '--name', 'unpaid', '--wait'])).rejects.toThrow(said);
  } finally {
    await association('wsp');
  }
  expect(await site.json<DryRunView>([...create, '--dry-run'])).toMatchObject({ accepted: true });
  await site.json([...create, '--name', 'again', '--wait']);
  await destroy('again');
});

it('site S7: while the prolog runs the lease is starting, and says so; its pilots have their time after it', async () => {
  const letGo = await cluster.holdPrologs();
  try {
    await site.json([...create, '--name', 'slow']);
    const starting = await until('slow', ({ slot }) => slot?.lrmState === 'starting');
    expect(starting).toMatchObject({
      state: 'queued',
      slot: { state: 'queued', lrmReason: 'the prolog runs', estimatedStartAt: null },
    });
    expect((await site.wsp(['show', 'slow'])).stdout).toMatch(/the prolog runs/);
  } finally {
    await letGo();
  }
  await until('slow', ({ state }) => state === 'running');
  await destroy('slow');
});

it('site S3: a lease whose job is suspended stands still, says so everywhere, and has its time back when it runs on', async () => {
  const before = await site.json<WorkspaceView>([...create, '--duration', '10m', '--name', 'held', '--wait']);
  const jobId = before.slot?.lrmJobId ?? '';
  await cluster.suspend(jobId);
  const suspended = await until('held', ({ state }) => state === 'suspended');
  expect(suspended).toMatchObject({
    reason: {
      code: 'suspended',
      message: expect.stringMatching(/suspended by the batch scheduler/) as string,
    },
    vms: [{ state: 'suspended' }],
  });
  const { slots } = await site.json<{ slots: SlotView[] }>(['slots']);
  expect(slots.find(({ id }) => id === before.slot?.id)?.suspendedSince).toBeTruthy();
  const refused = await site.wsp(['pause', 'held', '--json']);
  expect([refused.code, refused.stdout]).toEqual([
    4,
    expect.stringMatching(/stand still and take no orders/),
  ]);
  await cluster.resume(jobId);
  const resumed = await until('held', ({ state, endsAt }) => state === 'running' && endsAt !== before.endsAt);
  expect(Date.parse(resumed.endsAt ?? '')).toBeGreaterThan(Date.parse(before.endsAt ?? ''));
  await cluster.suspend(jobId);
  await until('held', ({ state }) => state === 'suspended');
  await destroy('held');
  await cluster.untilIdle();
  expect(await site.leftovers()).toEqual([]);
});

it('report D: a pilot that is killed is noticed by its connection, long before its silence would be', async () => {
  const { slot, vms } = await site.json<WorkspaceView>([
    ...[...create, '--count', '2', '--duration', '10m', '--name', 'torn', '--wait'],
  ]);
  const index = cluster.nodes.findIndex(({ name }) => name === vms[0]?.node);
  const kill = await findVictim('pilot', { site, cluster, index, slotId: slot?.id ?? '' });
  expect(await kill()).toBe(1);
  const ended = await until('torn', ({ state }) => state === 'ended');
  expect(ended.reason?.message).toMatch(/pilot/);
  await cluster.untilIdle();
  expect(await site.leftovers()).toEqual([]);
});
