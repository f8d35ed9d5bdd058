import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lrm } from '../../src/lrm/lrm.ts';
import { endOf, gangRequest, jobWhen, lrmContract } from '../../src/lrm/lrm.contract.ts';
import { pbs } from '../../src/lrm/pbs/pbs.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { type PbsCluster, startPbs } from '../cluster/pbs.ts';

/** On the PBS of the tests, which is no real one (test/cluster/pbs.ts). OpenPBS's user is an operator there, Torque's is not. */
describe.each(['openpbs', 'torque'] as const)('%s', dialect => {
  let cluster: PbsCluster;
  let lrm: Lrm;
  /** Every node sees it. */
  let shared: string;
  beforeAll(async () => {
    cluster = await startPbs({ dialect, nodes: 4, killDelaySeconds: 2, operators: dialect === 'openpbs' });
    shared = join(cluster.directory, 'shared');
    mkdirSync(shared);
    lrm = pbs(cluster.settings, systemProcesses, systemClock);
  });
  afterAll(() => cluster?.stop());

  lrmContract(`pbs (${dialect})`, () => ({
    lrm,
    nodes: cluster.nodes.map(({ name }) => name),
    scratch: shared,
  }));

  describe(`the PBS adapter on the ${dialect} of the tests`, () => {
    it('knows what the site has', async () => {
      expect(await lrm.capabilities()).toMatchObject({
        nodes: 4,
        idleNodes: 4,
        memoryMiBPerNode: 1_400,
        cpusPerNode: 2,
        maxWalltimeMs: 86_400_000,
        killDelayMs: 2_000,
      });
    });

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
    });

    it('tells a job that reached its time limit, after its warning', async () => {
      // Long enough for a job whose shell did not wait to be killed.
      const leave = `require('node:fs').writeFileSync(${JSON.stringify(shared)} + '/late-' + process.env.HOSTNAME, ''); process.exit(0);`;
      const onTerm = `process.on('SIGTERM', () => setTimeout(() => { ${leave} }, 700)); setInterval(() => undefined, 1000);`;
      const jobId = await lrm.submit(gangRequest({ nodes: 2, walltimeMs: 2_000, program: onTerm }));
      expect((await jobWhen(lrm, jobId, ({ state }) => state === 'running'))?.nodes).toEqual(['n01', 'n02']);
      expect(await endOf(lrm, jobId)).toBe('timeout');
      for (const node of ['n01', 'n02']) expect(existsSync(join(shared, `late-${node}`))).toBe(true);
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

    it('tells an LRM that is missing from one that says no', async () => {
      const missing = pbs({ ...cluster.settings, binDir: '/nonexistent' }, systemProcesses, systemClock);
      await expect(missing.list()).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
    });
  });
});
