import { afterAll, beforeAll, expect, it } from 'vitest';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import type { SlurmCluster } from '../cluster/slurm.ts';
import { startSite, type TestSite } from '../support/site.ts';

/**
 * Leases on a Slurm with accounts in a database and limits that are enforced, a prolog that takes
 * its time, and nodes that are given whole to jobs and restored after them.
 */

let site: TestSite;
let cluster: SlurmCluster;
beforeAll(async () => {
  site = await startSite({
    lrm: 'slurm',
    nodes: 2,
    vmm: { kind: 'sim' },
    slurm: { accounting: true, prologSeconds: 2, epilog: true },
  });
  cluster = site.cluster as SlurmCluster;
});
afterAll(() => site?.stop());

const create = ['create', '--image', 'mini', '--memory', '128M'];

it('a lease runs and ends on the account of its user, within its limits, and nothing is left', async () => {
  const lease = [...create, '--count', '2', '--duration', '5m', '--name', 'paid', '--wait'];
  const running = await site.json<WorkspaceView>(lease);
  expect(running).toMatchObject({ state: 'running', vms: [{ state: 'running' }, { state: 'running' }] });
  const { stdout } = await cluster.run(['squeue', '-h', '-o', '%u %a %q %P']);
  expect(stdout.trim()).toBe('wsp physics leases batch');
  await site.json(['destroy', 'paid', '--wait']);
  await cluster.untilIdle();
  expect(await site.leftovers()).toEqual([]);
});

it('limits are enforced while they are set', async () => {
  const { limit } = cluster.accounting();
  const submitted = (): Promise<number | null> =>
    cluster
      .run(cluster.account.as(['sbatch', '-p', 'batch', '--hold', '--output=/dev/null', '--wrap', 'true']))
      .then(({ code }) => code);
  await limit('MaxSubmitJobsPerUser=0');
  expect(await submitted()).not.toBe(0);
  await limit('MaxSubmitJobsPerUser=-1');
  expect(await submitted()).toBe(0);
  await cluster.run(['scancel', '-u', 'wsp']);
});

it('a user without an association submits nothing, and with it again', async () => {
  const { noAssociation, association } = cluster.accounting();
  await noAssociation('wsp');
  await expect(site.json([...create, '--name', 'unpaid', '--wait'])).rejects.toThrow(
    /Invalid account or account\/partition combination/,
  );
  await association('wsp');
  await site.json([...create, '--name', 'again', '--wait']);
  await site.json(['destroy', 'again', '--wait']);
});
