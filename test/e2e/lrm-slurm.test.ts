import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';
import { finalJobStates, type Lrm, LrmError } from '../../src/lrm/lrm.ts';
import { endOf, gangRequest, jobWhen, lrmContract } from '../../src/lrm/lrm.contract.ts';
import { expectOutage, type OthersOfLrm, othersContract } from '../../src/lrm/others.contract.ts';
import { slurm } from '../../src/lrm/slurm/slurm.ts';
import { type SlurmCluster, startSlurm } from '../cluster/slurm.ts';
import { limitsByCgroup } from '../cluster/tracking.ts';
import { serviceLrm } from '../cluster/slurm-lrm.ts';

let cluster: SlurmCluster;
let lrm: Lrm;
/** Every node sees it. */
let shared: string;
beforeAll(async () => {
  cluster = await startSlurm({ nodes: 4, killWaitSeconds: 2, accounting: true });
  shared = join(cluster.directory, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  lrm = serviceLrm(cluster);
});
afterAll(() => cluster?.stop());

const underTest = () => ({ lrm, nodes: cluster.nodes.map(({ name }) => name), scratch: shared });
lrmContract('slurm', underTest);

const others: OthersOfLrm = {
  stopServer: async () => {
    await cluster.stopController();
    return () => cluster.startController();
  },
  suspend: async jobId => {
    await cluster.suspend(jobId);
    return () => cluster.resume(jobId);
  },
  foreignJob: async jobName => {
    const [jobId = ''] = await cluster.foreignJobs(1, `--job-name=${jobName}`);
    return () => cluster.endJob(jobId);
  },
  limitJobs: async most => {
    const { limit } = cluster.accounting();
    await limit(`MaxSubmitJobsPerUser=${most}`);
    return () => limit('MaxSubmitJobsPerUser=-1');
  },
  saysWhy: true,
  forbidden: {
    name: ['--job-name=mine'],
    nodes: ['-N', '2'],
    time: ['--time=1:00'],
    output: ['-o', '/tmp/out'],
    array: ['--array=0-3'],
    hold: ['-H'],
    queue: ['--partition=other'],
  },
};
othersContract('slurm', () => ({ ...underTest(), others }));

describe('the Slurm adapter on a real Slurm', () => {
  it('site S2 knows what the site has, every size of node', async () => {
    expect(await lrm.capabilities()).toMatchObject({
      nodes: 4,
      sizes: [
        { nodes: 2, memoryMiB: 2_100, cpus: 2 },
        { nodes: 2, memoryMiB: 1_400, cpus: 2 },
      ],
      memoryMiBPerNode: 2_100,
      cpusPerNode: 2,
      maxWalltimeMs: 86_400_000,
      killDelayMs: 2_000,
    });
  });

  it('report A a queue that is named, and hidden, says what it has', async () => {
    await cluster.run(['scontrol', 'update', 'PartitionName=urgent', 'Hidden=YES']);
    const named = slurm({ conf: cluster.conf, queue: 'urgent' }, systemProcesses);
    expect(await named.capabilities()).toMatchObject({ nodes: 4, idleNodes: 4, cpusPerNode: 2 });
    const nowhere = slurm({ conf: cluster.conf, queue: 'nowhere' }, systemProcesses);
    await expect(nowhere.capabilities()).rejects.toThrow('Slurm has no queue nowhere');
  });

  it('hands the queue, the account and the options of the site on with the job', async () => {
    const jobId = await lrm.submit(gangRequest({ options: ['--hold'] }));
    const { stdout } = await cluster.run(['squeue', '-h', '-j', jobId, '-o', '%u %P %a %f %k']);
    expect(stdout.trim()).toBe('wsp batch physics vms leases');
    await lrm.cancel(jobId);
  });

  if (!limitsByCgroup)
    console.warn(
      'not tested: the end of a job that takes too much memory (no memory controller of cgroups v1)',
    );
  it.skipIf(!limitsByCgroup)('has a job end by cgroup that takes more memory than it asked for', async () => {
    // Without a limit it would run for ever.
    const program = 'Buffer.alloc(300 * 1024 * 1024, 1); setInterval(() => undefined, 1000);';
    const jobId = await lrm.submit(gangRequest({ memoryMiBPerNode: 128, program }));
    expect(await endOf(lrm, jobId)).toBe('failed');
  });

  it('is not given more time than the administrator allows, in the words of Slurm', async () => {
    const jobId = await lrm.submit(gangRequest());
    const job = await jobWhen(lrm, jobId, ({ state }) => state === 'running');
    await expect(lrm.extend(jobId, (job?.endsAt ?? 0) + 60_000)).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(/access\/permission denied/i) as string,
    });
    await lrm.cancel(jobId);
    await endOf(lrm, jobId);
  });

  it('says why a held job waits, and ends it in the queue', async () => {
    const jobId = await lrm.submit(gangRequest({ options: ['--hold'] }));
    const held = await jobWhen(lrm, jobId, ({ reason }) => reason !== undefined);
    expect(held).toMatchObject({
      state: 'waiting',
      reason: expect.stringContaining('held by its user') as string,
    });
    await lrm.cancel(jobId);
    expect((await endOf(lrm, jobId)) ?? 'cancelled').toBe('cancelled');
  });

  it('passes on what Slurm refuses, in its words', async () => {
    await expect(lrm.submit(gangRequest({ memoryMiBPerNode: 999_999 }))).rejects.toMatchObject({
      kind: 'refused',
    });
    await expect(lrm.submit(gangRequest({ queue: 'nowhere' }))).rejects.toThrow(/invalid partition/i);
  });

  it('tells an LRM that is missing or silent from one that says no', async () => {
    const missing = slurm({ binDir: '/nonexistent' }, systemProcesses);
    await expect(missing.list()).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
    const garbled = slurm(
      {},
      { run: () => Promise.resolve({ code: 0, signal: null, stdout: '{"jobs":', stderr: '' }) },
    );
    await expect(garbled.list()).rejects.toBeInstanceOf(LrmError);
  });
});

describe('what Slurm itself knows', () => {
  it('site S8 a program that is not there, or fails, is told in its own last words, and nobody reads a secret', async () => {
    const wrong = serviceLrm({ ...cluster, node: 'no-such-node' });
    const lost = await wrong.submit(gangRequest({ nodes: 2 }));
    expect(await jobWhen(lrm, lost, ({ state }) => state === 'failed')).toMatchObject({
      reason: expect.stringMatching(/no-such-node.*No such file or directory/) as string,
    });
    const secret = 'q7Zr0SxkQ2bVnT5mUe8yLw3aHc9dJf1gPiOoKl4NvBs';
    const program = `const secret = '${secret}'; throw new Error('no room for ' + secret);`;
    const broken = await lrm.submit(gangRequest({ program }));
    const job = await jobWhen(lrm, broken, ({ state }) => state === 'failed');
    expect(job?.reason).toMatch(/Error: no room for/);
    expect(job?.reason).not.toContain(secret.slice(0, 24));
    expect((await cluster.run(['squeue', '-t', 'all', '-O', 'Comment:2000'])).stdout).not.toContain(secret);
  });

  it("site S10 a newline in a node's drain reason is not another node's", async () => {
    const jobId = await lrm.submit(gangRequest({ nodes: 2 }));
    const running = await jobWhen(lrm, jobId, ({ state }) => state === 'running');
    const [first = '', second = ''] = running?.nodes ?? [];
    await cluster.setNode(first, 'State=DRAIN', `Reason=disk\n${second}|fan`);
    const drained = await jobWhen(lrm, jobId, ({ draining }) => (draining ?? []).length > 0);
    expect(drained?.draining).toEqual([{ node: first, reason: `disk; ${second}|fan` }]);
    await lrm.cancel(jobId);
    await endOf(lrm, jobId);
    await cluster.setNode(first, 'State=RESUME');
    await cluster.untilIdle();
  });

  it('site S9 a node that is lost ends its job as that, with the words that Slurm has for it', async () => {
    const jobId = await lrm.submit(gangRequest());
    const running = await jobWhen(lrm, jobId, ({ state }) => state === 'running');
    const node = running?.nodes[0] ?? '';
    const index = cluster.nodes.findIndex(({ name }) => name === node);
    await cluster.powerOff(index);
    await cluster.setNode(node, 'State=DOWN', 'Reason=a fan');
    const job = await jobWhen(lrm, jobId, ({ state }) => finalJobStates.has(state));
    expect(job).toMatchObject({
      state: 'node-failed',
      reason: `Slurm has lost a node of the job: ${node} (a fan)`,
    });
    await cluster.powerOn(index);
    await cluster.untilIdle();
  });

  it('site S1 a controller that goes away as a job begins is waited for, and the job runs', async () => {
    const tries = join(shared, 'tries');
    const delayed = serviceLrm(cluster, script =>
      script.replace('exec srun', `echo x >> '${tries}'; sleep 2; exec srun`),
    );
    const begun = join(shared, 'begun');
    const program = `require('node:fs').writeFileSync(${JSON.stringify(begun)}, '');`;
    const jobId = await delayed.submit(gangRequest({ program, walltimeMs: 600_000 }));
    const tried = () => (existsSync(tries) ? readFileSync(tries, 'utf8').length / 2 : 0);
    await expect.poll(tried, { timeout: 60_000 }).toBe(1);
    await cluster.stopController();
    await expect.poll(tried, { timeout: 60_000 }).toBeGreaterThan(1);
    await expectOutage([lrm.extend(jobId, 0)]);
    await cluster.startController();
    expect((await endOf(lrm, jobId)) ?? 'completed').toBe('completed');
    expect(existsSync(begun)).toBe(true);
  });

  it('report 1 a munged that is away is an outage, of every command', async () => {
    const jobId = await lrm.submit(gangRequest());
    await cluster.stopMunge();
    await expectOutage([
      lrm.list(),
      lrm.capabilities(),
      lrm.submit(gangRequest()),
      lrm.dryRun(gangRequest()),
      lrm.cancel(jobId),
      lrm.extend(jobId, 0),
    ]);
    await cluster.startMunge();
    expect((await lrm.list()).map(job => job.jobId)).toContain(jobId);
    await lrm.cancel(jobId);
    await endOf(lrm, jobId);
  });

  it('report 5 several queues are one place, as sbatch has it', async () => {
    const both = slurm({ conf: cluster.conf, queue: 'batch,urgent' }, systemProcesses);
    expect(await both.capabilities()).toMatchObject({ nodes: 4, cpusPerNode: 2 });
    const jobId = await lrm.submit(gangRequest({ queue: 'batch,urgent' }));
    await jobWhen(lrm, jobId, ({ state }) => state === 'running');
    await lrm.cancel(jobId);
    await endOf(lrm, jobId);
  });

  it('site S5 a dry run asks Slurm with the real options, and submits nothing', async () => {
    const known = (await lrm.list()).length;
    await lrm.dryRun(gangRequest());
    const refused = { name: 'LrmError', kind: 'refused' };
    await expect(lrm.dryRun(gangRequest({ queue: 'nowhere' }))).rejects.toMatchObject(refused);
    await expect(lrm.dryRun(gangRequest({ options: ['--constraint=none'] }))).rejects.toMatchObject(refused);
    expect((await lrm.list()).length).toBeLessThanOrEqual(known);
  });
});
