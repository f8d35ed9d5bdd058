import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { finalJobStates, type Lrm } from '../../src/lrm/lrm.ts';
import { endOf, gangRequest, jobWhen, lrmContract } from '../../src/lrm/lrm.contract.ts';
import { type OthersOfLrm, othersContract } from '../../src/lrm/others.contract.ts';
import { pbs } from '../../src/lrm/pbs/pbs.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { type PbsCluster, startPbs } from '../cluster/pbs.ts';
import { orphansFileOf } from '../cluster/pbs/model.ts';

const forEver = 'setInterval(() => undefined, 1000);';
const leavesWhenWarned = `process.on('SIGTERM', () => process.exit(0)); ${forEver}`;

function othersOf(cluster: PbsCluster): OthersOfLrm {
  return {
    stopServer: async () => {
      await cluster.administer('stop-server');
      return () => cluster.administer('start-server');
    },
    // Torque's server is not known to do it.
    ...(cluster.dialect === 'openpbs' && {
      suspend: async jobId => {
        await cluster.administer('preempt-by-suspension', jobId);
        return () => cluster.administer('resume', jobId);
      },
    }),
    foreignJob: async jobName => {
      const jobId = await cluster.foreignJob(jobName);
      return () => cluster.endJob(jobId);
    },
    limitJobs: async most => {
      await cluster.administer('limit-jobs', String(most));
      return () => cluster.administer('limit-jobs', 'Infinity');
    },
    // Torque's server has no comment for a job that its scheduler leaves in the queue.
    saysWhy: cluster.dialect === 'openpbs',
    forbidden: {
      name: ['-N', 'mine'],
      nodes: ['-l', cluster.dialect === 'openpbs' ? 'select=2' : 'nodes=2'],
      time: ['-l', 'walltime=1:00:00'],
      output: ['-o', '/tmp'],
      array: [cluster.dialect === 'openpbs' ? '-J' : '-t', '0-3'],
      hold: ['-h'],
      queue: ['-q', 'other'],
    },
  };
}

/** On the PBS of the tests, which is no real one (test/cluster/pbs.ts). OpenPBS's user is an operator there, Torque's is not. */
describe.each(['openpbs', 'torque'] as const)('%s', dialect => {
  let cluster: PbsCluster;
  let lrm: Lrm;
  /** Every node sees it. */
  let shared: string;
  beforeAll(async () => {
    cluster = await startPbs({ dialect, nodes: 4, killDelaySeconds: 2, operators: dialect === 'openpbs' });
    // The home is the same on all hosts.
    vi.stubEnv('HOME', cluster.directory);
    shared = join(cluster.directory, 'shared');
    mkdirSync(shared);
    lrm = pbs(cluster.settings, systemProcesses, systemClock);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await cluster?.stop();
  });

  const underTest = () => ({ lrm, nodes: cluster.nodes.map(({ name }) => name), scratch: shared });
  lrmContract(`pbs (${dialect})`, underTest);
  othersContract('pbs', () => ({ ...underTest(), others: othersOf(cluster) }));

  describe(`the PBS adapter on the ${dialect} of the tests`, () => {
    it('knows what the site has', async () => {
      expect(await lrm.capabilities()).toMatchObject({
        nodes: 4,
        idleNodes: 4,
        memoryMiBPerNode: 2_800,
        cpusPerNode: 2,
        maxWalltimeMs: 86_400_000,
        killDelayMs: 2_000,
      });
    });

    /** What there is of a job; a submission that nobody answered leaves its program for a while. */
    const filesOf = (jobName: string): readonly string[] =>
      readdirSync(join(cluster.directory, 'programs')).filter(name => name.startsWith(jobName));

    it('shows the program to the job’s user alone, and leaves nothing of it', async () => {
      const programDir = join(cluster.directory, 'programs');
      const request = gangRequest({ options: ['-h'], program: '' });
      const file = join(programDir, `${request.jobName}.cjs`);
      const held = await lrm.submit(request);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(statSync(programDir).mode & 0o777).toBe(0o700);
      expect(await jobWhen(lrm, held, ({ reason }) => reason !== undefined)).toMatchObject({
        state: 'waiting',
        reason: 'the job is held by its user (qrls lets it go)',
      });
      await cluster.run(['qrls', held]);
      expect(await endOf(lrm, held)).toBe('completed');
      expect(existsSync(file)).toBe(false);
      expect(filesOf(request.jobName)).toEqual([]);
    });

    it('tells a job that reached its time limit, after its warning', async () => {
      // Long enough for a job whose shell did not wait to be killed.
      const leave = `require('node:fs').writeFileSync(${JSON.stringify(shared)} + '/late-' + process.env.HOSTNAME, ''); process.exit(0);`;
      const onTerm = `process.on('SIGTERM', () => setTimeout(() => { ${leave} }, 700)); setInterval(() => undefined, 1000);`;
      const jobId = await lrm.submit(gangRequest({ nodes: 2, walltimeMs: 8_000, program: onTerm }));
      expect((await jobWhen(lrm, jobId, ({ state }) => state === 'running'))?.nodes).toEqual(['n01', 'n02']);
      expect(await endOf(lrm, jobId)).toBe('timeout');
      for (const node of ['n01', 'n02']) expect(existsSync(join(shared, `late-${node}`))).toBe(true);
    });

    it('pbs 1: holds no nodes after its end, and leaves no output in the home, however it ends', async () => {
      const ends: Readonly<Record<string, string>> = {
        completed: '',
        failed: 'process.exit(3)',
        cancelled: `process.on('SIGTERM', () => undefined); ${forEver}`,
      };
      for (const [state, program] of Object.entries(ends)) {
        const jobId = await lrm.submit(gangRequest({ program }));
        if (state === 'cancelled') {
          await jobWhen(lrm, jobId, job => job.state === 'running');
          await lrm.cancel(jobId);
        }
        expect(await endOf(lrm, jobId)).toBe(state);
        expect(await cluster.jobs()).toEqual([]);
        expect(readdirSync(cluster.directory).filter(name => /\.[oe]\d+$/.test(name))).toEqual([]);
      }
    });

    it('pbs 7: is gone as soon as its program is, without pbs_mom looking for what it left', async () => {
      const ended: string[] = [];
      for (let round = 0; round < 3; round += 1) {
        // The script is ready for the warning when its program runs: before, it may die of it.
        const up = join(shared, `up-${dialect}-${round}`);
        const program = `require('node:fs').writeFileSync(${JSON.stringify(up)}, ''); ${leavesWhenWarned}`;
        const jobId = await lrm.submit(gangRequest({ program }));
        ended.push(jobId);
        await expect.poll(() => existsSync(up), { timeout: 60_000 }).toBe(true);
        await lrm.cancel(jobId);
        expect(await endOf(lrm, jobId)).toBe('cancelled');
      }
      const lookedFor = existsSync(orphansFileOf(cluster))
        ? readFileSync(orphansFileOf(cluster), 'utf8').split('\n')
        : [];
      expect(lookedFor.filter(jobId => ended.includes(jobId))).toEqual([]);
    });

    it('site S8: says the last words of a program that failed', async () => {
      const wrong = pbs({ ...cluster.settings, node: '/no/such/node' }, systemProcesses, systemClock);
      const request = gangRequest();
      const jobId = await wrong.submit(request);
      const job = await jobWhen(wrong, jobId, ({ state }) => finalJobStates.has(state));
      expect(job).toMatchObject({ state: 'failed' });
      expect(job?.reason).toMatch(/exit code 127: .*\/no\/such\/node: not found/);
      expect(filesOf(request.jobName)).toEqual([]);
    });

    it('is not started again when an operator would', async () => {
      const jobId = await lrm.submit(gangRequest());
      await jobWhen(lrm, jobId, ({ state }) => state === 'running');
      expect((await cluster.run(['qrerun', jobId])).stderr).toMatch(/not rerunnable/);
      await lrm.cancel(jobId);
      expect(await endOf(lrm, jobId)).toBe('cancelled');
    });

    it('passes on what PBS refuses, in its words', async () => {
      await expect(lrm.submit(gangRequest({ queue: 'nowhere' }))).rejects.toMatchObject({
        kind: 'refused',
        message: expect.stringMatching(/Unknown queue/) as string,
      });
      const more = lrm.submit(gangRequest({ cpusPerNode: 3 }));
      await expect(more).rejects.toThrow(/0 of 4 nodes have as much/);
    });

    // Torque's server is not known to do either.
    // oxlint-disable-next-line vitest/no-conditional-tests
    if (dialect === 'openpbs') {
      it('pbs 3: tells a job that the scheduler suspends, and lets its pilots finish afterwards as before', async () => {
        const left = join(shared, 'left-after-suspension');
        const leaves = `process.on('SIGTERM', () => setTimeout(() => { require('node:fs').writeFileSync(${JSON.stringify(left)}, ''); process.exit(0); }, 1000)); ${forEver}`;
        const jobId = await lrm.submit(gangRequest({ nodes: 2, program: leaves }));
        await jobWhen(lrm, jobId, ({ state }) => state === 'running');
        await cluster.administer('preempt-by-suspension', jobId);
        const suspended = await jobWhen(lrm, jobId, ({ state }) => state === 'suspended');
        expect(suspended?.reason).toMatch(/suspended the job for others: Insufficient amount/);
        await cluster.administer('resume', jobId);
        await jobWhen(lrm, jobId, ({ state }) => state === 'running');
        await lrm.cancel(jobId);
        expect(await endOf(lrm, jobId)).toBe('cancelled');
        expect(existsSync(left)).toBe(true);
      });

      it.each([
        ['pbs 4', 'preempt-by-deletion', 'preempted'],
        ['pbs 6', 'restart-mom', 'node-failed'],
      ] as const)('%s: tells the end by %s', async (_finding, what, state) => {
        const jobId = await lrm.submit(gangRequest({ program: leavesWhenWarned }));
        await jobWhen(lrm, jobId, job => job.state === 'running');
        await cluster.administer(what, jobId);
        expect(await endOf(lrm, jobId)).toBe(state);
      });
    }

    it('tells an LRM that is missing from one that says no', async () => {
      const missing = pbs({ ...cluster.settings, binDir: '/nonexistent' }, systemProcesses, systemClock);
      await expect(missing.list()).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
    });
  });
});
