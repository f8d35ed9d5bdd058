import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { finalJobStates, type GangRequest, type Lrm, LrmError, type LrmJob } from '../../src/lrm/lrm.ts';
import { slurm } from '../../src/lrm/slurm/slurm.ts';
import { type SlurmCluster, startSlurm } from '../cluster/slurm.ts';

let cluster: SlurmCluster;
let lrm: Lrm;
beforeAll(async () => {
  cluster = await startSlurm({ nodes: 4, killWaitSeconds: 2 });
  lrm = slurm({ conf: cluster.conf, node: process.execPath }, systemProcesses);
});
afterAll(() => cluster?.stop());

let serial = 0;
function gang(more: Partial<GangRequest> = {}): GangRequest {
  serial += 1;
  return {
    jobName: `wsp-slot-test${String(serial).padStart(6, 'a')}`,
    nodes: 1,
    memoryMiBPerNode: 64,
    cpusPerNode: 1,
    walltimeMs: 60_000,
    options: [],
    program: 'setInterval(() => undefined, 1000);',
    ...more,
  };
}

/** Slurm has no event: it is asked until the job is as wanted, or the deadline is over. */
async function until(
  jobId: string,
  wanted: (job: LrmJob | undefined) => boolean,
): Promise<LrmJob | undefined> {
  const deadlineMs = systemClock.monotonicMs() + 30_000;
  for (;;) {
    const job = (await lrm.list()).find(candidate => candidate.jobId === jobId);
    if (wanted(job)) return job;
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`job ${jobId} is ${JSON.stringify(job)}`);
    await pause(systemClock, 100);
  }
}

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

  it('runs the whole program once on every node of a gang, in any characters, and shows it to nobody', async () => {
    const filler = `/* ${'$(x) `y` "z" \\ '.repeat(20_000)} */`;
    const program = `${filler}
const fs = require('node:fs');
fs.writeFileSync(${JSON.stringify(cluster.directory)} + '/seen-' + process.env.SLURMD_NODENAME,
  JSON.stringify({ argv: process.argv, length: ${filler.length} }) + fs.readFileSync('/proc/self/environ', 'utf8'));`;
    const jobId = await lrm.submit(gang({ nodes: 4, program: `const secret = 'se-cret';${program}` }));
    const job = await until(jobId, found => found === undefined || finalJobStates.has(found.state));
    expect(job?.state ?? 'completed').toBe('completed');
    for (const node of cluster.nodes) {
      const seen = readFileSync(join(cluster.directory, `seen-${node.name}`), 'utf8');
      expect(seen).toContain(`"length":${filler.length}`);
      expect(seen).not.toContain('se-cret');
    }
  });

  it('says why a held job waits, and ends it in the queue', async () => {
    const jobId = await lrm.submit(gang({ options: ['--hold'] }));
    const held = await until(jobId, job => job?.reason !== undefined);
    expect(held).toMatchObject({
      state: 'waiting',
      reason: expect.stringContaining('held by its user') as string,
    });
    await lrm.cancel(jobId);
    const gone = await until(jobId, job => job === undefined || finalJobStates.has(job.state));
    expect(gone?.state ?? 'cancelled').toBe('cancelled');
  });

  it('ends a running gang: every program gets SIGTERM', async () => {
    const program = `const fs = require('node:fs'); const mark = what => fs.writeFileSync(${JSON.stringify(cluster.directory)} + '/' + what + process.env.SLURMD_NODENAME, '');
process.on('SIGTERM', () => { mark('term-'); process.exit(0); }); setInterval(() => undefined, 1000); mark('up-');`;
    const jobId = await lrm.submit(gang({ nodes: 2, program }));
    await until(jobId, job => job?.state === 'running');
    const marks = async (prefix: string): Promise<number> =>
      (
        await systemProcesses.run(['find', cluster.directory, '-name', `${prefix}n*`], { deadlineMs: 5_000 })
      ).stdout.split('\n').length - 1;
    const deadlineMs = systemClock.monotonicMs() + 20_000;
    while ((await marks('up-')) < 2 && systemClock.monotonicMs() < deadlineMs) await pause(systemClock, 50);
    await lrm.cancel(jobId);
    const gone = await until(jobId, job => job === undefined || finalJobStates.has(job.state));
    expect(gone?.state ?? 'cancelled').toBe('cancelled');
    expect(await marks('term-')).toBe(2);
  });

  it('passes on what Slurm refuses, in its words', async () => {
    await expect(lrm.submit(gang({ memoryMiBPerNode: 999_999 }))).rejects.toMatchObject({ kind: 'refused' });
    await expect(lrm.submit(gang({ queue: 'nowhere' }))).rejects.toThrow(/invalid partition/i);
  });

  it('does not mind a job that is unknown', async () => {
    await lrm.cancel('999999');
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
