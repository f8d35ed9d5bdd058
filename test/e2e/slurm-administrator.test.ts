import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gangRequest, jobWhen } from '../../src/lrm/lrm.contract.ts';
import type { Lrm } from '../../src/lrm/lrm.ts';
import { type SlurmCluster, startSlurm } from '../cluster/slurm.ts';
import { serviceLrm } from '../cluster/slurm-lrm.ts';

/**
 * What the tests' Slurm lets its administrator do is what tests of outages, suspension and foreign
 * jobs stand on.
 */

let cluster: SlurmCluster;
let lrm: Lrm;
/** What decides who is who on this machine, before the cluster is there. */
let before: readonly string[];
const accountsOfThisMachine = (): readonly string[] => [
  ...['/etc/passwd', '/etc/group'].map(path => readFileSync(path, 'utf8')),
  ...readdirSync('/etc/sudoers.d'),
];
beforeAll(async () => {
  before = accountsOfThisMachine();
  cluster = await startSlurm({ nodes: 2, killWaitSeconds: 2 });
  lrm = serviceLrm(cluster);
});
afterAll(() => cluster?.stop());

it('its user may start the helper as root and nothing else, and is unknown to the machine', async () => {
  const [, ...helper] = cluster.account.helper;
  const asUser = (...argv: string[]) => cluster.run(cluster.account.as(argv));
  expect((await asUser('id', '-un')).stdout).toBe('wsp\n');
  // It is the helper itself that refuses.
  expect((await asUser('sudo', ...helper)).stderr).toMatch(/^wsp helper: --node must be given/);
  expect((await asUser('sudo', '-n', 'true')).stderr).toMatch(/password is required/);
  expect(accountsOfThisMachine()).toEqual(before);
});

const stateOf = async (jobId: string): Promise<string> =>
  (await cluster.run(['squeue', '-h', '-j', jobId, '-o', '%T'])).stdout.trim();

it('a job outlives its controller, and is known to it when it is back', async () => {
  const jobId = await lrm.submit(gangRequest());
  await jobWhen(lrm, jobId, ({ state }) => state === 'running');
  await cluster.stopController();
  expect((await cluster.run(['squeue'])).stderr).toMatch(/Unable to contact slurm controller/);
  await cluster.startController();
  expect(await stateOf(jobId)).toBe('RUNNING');
  await cluster.endJob(jobId);
  await cluster.untilIdle();
});

it('without munged no command is answered; with it again all are', async () => {
  await cluster.stopMunge();
  expect((await cluster.run(['sbatch', '--wrap', 'true'])).code).not.toBe(0);
  await cluster.startMunge();
  expect((await cluster.jobs()).join('; ')).toBe('');
});

it('a job can be suspended and resumed, a node be put down and back', async () => {
  const jobId = await lrm.submit(gangRequest());
  const job = await jobWhen(lrm, jobId, ({ state }) => state === 'running');
  await cluster.suspend(jobId);
  expect(await stateOf(jobId)).toBe('SUSPENDED');
  await cluster.resume(jobId);
  expect(await stateOf(jobId)).toBe('RUNNING');
  const node = job?.nodes[0] ?? '';
  await cluster.setNode(node, 'State=DOWN', 'Reason=a fan');
  await expect.poll(() => stateOf(jobId), { timeout: 20_000 }).not.toBe('RUNNING');
  await cluster.setNode(node, 'State=RESUME');
  await cluster.untilIdle();
});

it("others' jobs are another user's", async () => {
  const ids = await cluster.foreignJobs(3);
  const users = (await cluster.run(['squeue', '-h', '-o', '%i %u'])).stdout.trim().split('\n').sort();
  expect(users).toEqual(ids.map(id => `${id} ann`).sort());
  await Promise.all(ids.map(id => cluster.endJob(id)));
});
