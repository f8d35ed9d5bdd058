import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';
import { type Lrm, LrmError } from '../../src/lrm/lrm.ts';
import { endOf, gangRequest, jobWhen, lrmContract } from '../../src/lrm/lrm.contract.ts';
import { slurm } from '../../src/lrm/slurm/slurm.ts';
import { type SlurmCluster, startSlurm } from '../cluster/slurm.ts';
import { serviceLrm } from '../cluster/slurm-lrm.ts';

let cluster: SlurmCluster;
let lrm: Lrm;
/** Every node sees it. */
let shared: string;
beforeAll(async () => {
  cluster = await startSlurm({ nodes: 4, killWaitSeconds: 2 });
  shared = join(cluster.directory, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  lrm = serviceLrm(cluster);
});
afterAll(() => cluster?.stop());

lrmContract('slurm', () => ({ lrm, nodes: cluster.nodes.map(({ name }) => name), scratch: shared }));

describe('the Slurm adapter on a real Slurm', () => {
  it('knows what the site has', async () => {
    expect(await lrm.capabilities()).toMatchObject({
      nodes: 4,
      memoryMiBPerNode: 1_400,
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

  it('has a job end by cgroup that takes more memory than it asked for', async () => {
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
