import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gridEngine } from '../../src/lrm/gridengine/gridengine.ts';
import type { Lrm } from '../../src/lrm/lrm.ts';
import { endOf, gangRequest, jobWhen, lrmContract } from '../../src/lrm/lrm.contract.ts';
import { type OthersOfLrm, othersContract } from '../../src/lrm/others.contract.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { type GridEngineCluster, gridEngineSettings, startGridEngine } from '../cluster/gridengine.ts';
import { gridEngineLrm } from '../cluster/gridengine-lrm.ts';

let cluster: GridEngineCluster;
let lrm: Lrm;
/** Every node sees it. */
let shared: string;
beforeAll(async () => {
  cluster = await startGridEngine({ nodes: 4, notifySeconds: 2 });
  shared = join(cluster.directory, 'shared');
  mkdirSync(shared);
  lrm = gridEngineLrm(cluster);
});
afterAll(() => cluster?.stop());

const underTest = () => ({ lrm, nodes: cluster.nodes.map(({ name }) => name), scratch: shared });
lrmContract('gridengine', underTest);

const others: OthersOfLrm = {
  stopServer: async () => {
    await cluster.stopMaster();
    return () => cluster.startMaster();
  },
  suspend: async jobId => {
    await cluster.qmod('-sj', jobId);
    return () => cluster.qmod('-usj', jobId);
  },
  foreignJob: async jobName => {
    const [jobId = ''] = await cluster.foreignJobs(1, '-N', jobName);
    return () => cluster.endJob(jobId);
  },
  limitJobs: async most => {
    await cluster.setLimit('max_u_jobs', String(most));
    return () => cluster.setLimit('max_u_jobs', '0');
  },
  saysWhy: true,
  forbidden: {
    name: ['-N', 'mine'],
    nodes: ['-pe', 'mpi', '2'],
    time: ['-l', 'h_rt=1:0:0'],
    output: ['-o', '/tmp'],
    array: ['-t', '1-3'],
    hold: ['-h'],
    queue: ['-q', 'other.q'],
  },
};
othersContract('gridengine', () => ({ ...underTest(), others }));

describe('the Grid Engine adapter on a real Grid Engine', () => {
  it('knows what the site has', async () => {
    expect(await lrm.capabilities()).toMatchObject({
      nodes: 4,
      idleNodes: 4,
      cpusPerNode: 2,
      killDelayMs: 2_000,
      sizes: [
        { nodes: 2, idleNodes: 2, memoryMiB: 2_100, cpus: 2 },
        { nodes: 2, idleNodes: 2, memoryMiB: 1_400, cpus: 2 },
      ],
    });
  });

  it('shows the program to the job’s user alone, and leaves nothing of it', async () => {
    const { programDir } = gridEngineSettings(cluster);
    const request = gangRequest({ options: ['-h'], program: '' });
    const file = `${request.jobName}.cjs`;
    const held = await lrm.submit(request);
    expect(statSync(join(programDir, file)).mode & 0o777).toBe(0o600);
    expect(statSync(programDir).mode & 0o777).toBe(0o700);
    expect(await jobWhen(lrm, held, ({ reason }) => reason !== undefined)).toMatchObject({
      state: 'waiting',
      reason: expect.stringContaining('held') as string,
    });
    await cluster.run(['qrls', held]);
    await endOf(lrm, held);
    expect(existsSync(join(programDir, file))).toBe(false);
  });

  it('tells a job that reached its time limit', async () => {
    const jobId = await lrm.submit(gangRequest({ walltimeMs: 4_000 }));
    const job = await jobWhen(lrm, jobId, ({ state }) =>
      ['timeout', 'failed', 'completed', 'cancelled'].includes(state),
    );
    expect(job).toMatchObject({ state: 'timeout', reason: 'the job reached its time limit' });
  }, 60_000);

  it('passes on what Grid Engine refuses, in its words', async () => {
    await expect(lrm.submit(gangRequest({ queue: 'nowhere' }))).rejects.toMatchObject({ kind: 'refused' });
    await expect(lrm.submit(gangRequest({ cpusPerNode: 3 }))).rejects.toThrow(
      /no parallel environment gives 3 slots/,
    );
    const unknown = gridEngineLrm(cluster, { parallelEnvironments: ['mpi'] });
    await expect(unknown.submit(gangRequest())).rejects.toThrow(/mpi is not a parallel environment/);
  });

  it('tells an LRM that is missing or silent from one that says no', async () => {
    const settings = gridEngineSettings(cluster);
    const missing = gridEngineLrm(cluster, { binDir: '/nonexistent' });
    await expect(missing.list()).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
    const silent = gridEngineLrm(cluster, { qmasterPort: 9 });
    await expect(silent.list()).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
    const garbled = {
      run: () => Promise.resolve({ code: 0, signal: null, stdout: '<job_info', stderr: '' }),
    };
    await expect(gridEngine(settings, garbled, systemClock).list()).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });
});
