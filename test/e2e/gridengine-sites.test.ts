import { readdirSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Lrm, LrmJob } from '../../src/lrm/lrm.ts';
import { endOf, gangRequest, jobWhen } from '../../src/lrm/lrm.contract.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { type GridEngineCluster, gridEngineSettings, startGridEngine } from '../cluster/gridengine.ts';
import { gridEngineLrm } from '../cluster/gridengine-lrm.ts';

/** A real Grid Engine as sites have it: what its people do to it, and what is said of it then. */

let cluster: GridEngineCluster;
let lrm: Lrm;
/** How far the adapter's clock is ahead. */
let aheadMs = 0;
beforeAll(async () => {
  cluster = await startGridEngine({ nodes: 2, notifySeconds: 2, maxUnheardSeconds: 15 });
  lrm = gridEngineLrm(cluster, {}, { ...systemClock, now: () => systemClock.now() + aheadMs });
});
afterAll(() => cluster?.stop());
const jobs: string[] = [];
afterEach(async () => {
  for (const jobId of jobs.splice(0)) {
    await cluster.run(['qdel', jobId]);
    await endOf(lrm, jobId);
  }
  await cluster.untilIdle();
});

const submit = async (...request: Parameters<typeof gangRequest>): Promise<string> => {
  const jobId = await lrm.submit(gangRequest(...request));
  jobs.push(jobId);
  return jobId;
};
const becomes = (jobId: string, wanted: Partial<LrmJob> & { readonly words?: RegExp }) =>
  jobWhen(
    lrm,
    jobId,
    job =>
      (wanted.state === undefined || job.state === wanted.state) &&
      (wanted.outlook === undefined || job.outlook === wanted.outlook) &&
      (wanted.words === undefined || wanted.words.test(job.reason ?? '')),
  );

it('site G6: a job whose prolog runs is starting, with that reason, and then running', async () => {
  const letGo = await cluster.holdPrologs();
  const jobId = await submit();
  const starting = await becomes(jobId, { state: 'starting' });
  expect(starting?.reason).toBe('Grid Engine makes its nodes ready (the prolog runs)');
  expect(starting?.nodes).toHaveLength(1);
  await letGo();
  const running = await becomes(jobId, { state: 'running' });
  expect(running?.reason).toBeUndefined();
});

it('site G8: every kind of hold has its own word', async () => {
  const user = await submit({ options: ['-h'] });
  await becomes(user, { words: /held by its user \(qrls lets it go\)/, outlook: 'needs-somebody' });
  const dependent = await submit({ options: ['-hold_jid', user] });
  await becomes(dependent, { words: new RegExp(`waits for job ${user} to end`), outlook: 'passes' });
  const later = await submit({ options: ['-a', '203701010000'] });
  await becomes(later, {
    words: /not to start before 2036-12-31|not to start before 2037-01-01/,
    outlook: 'passes',
  });
  for (const [kind, words] of [
    ['o', /held by an operator/],
    ['s', /held by the system or by a manager/],
  ] as const) {
    await cluster.run(['qhold', '-h', kind, later]);
    await becomes(later, { words, outlook: 'needs-somebody' });
  }
});

it.each([
  ['disabled', ['-d', 'vms.q'], ['-e', 'vms.q'], /disabled \(an administrator enables it/, 'needs-somebody'],
  [
    'suspended',
    ['-sq', 'vms.q'],
    ['-usq', 'vms.q'],
    /suspended \(an administrator resumes it/,
    'needs-somebody',
  ],
] as const)(
  'site G4: a queue that is %s is told, with what happens next, and its nodes are not idle',
  async (_, close, open, words, outlook) => {
    await cluster.qmod(...close);
    try {
      const jobId = await submit();
      await becomes(jobId, { words, outlook });
      expect((await lrm.capabilities()).idleNodes).toBe(0);
    } finally {
      await cluster.qmod(...open);
    }
  },
);

it('site G4: a queue closed by its calendar, and one whose nodes are too busy, are told', async () => {
  await cluster.qconf('-rattr', 'queue', 'load_thresholds', 'np_load_avg=0.0001', 'vms.q');
  const jobId = await submit();
  await becomes(jobId, { words: /busier than its load threshold allows/, outlook: 'passes' });
  expect((await lrm.capabilities()).idleNodes).toBe(0);
  await cluster.qconf('-rattr', 'queue', 'load_thresholds', 'NONE', 'vms.q');
});

it('site G5: a queue that is not there, and a parallel environment in no queue, are wrong at once', async () => {
  const nowhere = gridEngineLrm(cluster, { queue: 'nowhere' });
  await expect(nowhere.capabilities()).rejects.toMatchObject({
    kind: 'refused',
    message: expect.stringMatching(/lrm\.queue nowhere: .*nowhere/) as string,
  });
  const other = gridEngineLrm(cluster, { queue: 'all.q' });
  await expect(other.capabilities()).rejects.toMatchObject({
    kind: 'refused',
    message: expect.stringMatching(/all\.q .*parallel environment of wsp1, wsp2.*qconf -mq/) as string,
  });
  const unknown = gridEngineLrm(cluster, { parallelEnvironments: ['mpi'] });
  await expect(unknown.capabilities()).rejects.toMatchObject({ kind: 'refused' });
});

it('site G7: a refusal says what stands in the way, when submitted and when tried out', async () => {
  const cases = [
    [{ memoryMiBPerNode: 99_000 }, /short of mem_free/],
    [{ nodes: 3 }, /the parallel environment wsp1 offers only 2 slots/],
    [{ account: 'nobodys' }, /requested project "nobodys" does not exist/],
    [{ queue: 'nowhere' }, /unknown queue "nowhere"/],
    [{ options: ['-l', 'tape=1'] }, /unknown resource "tape"/],
  ] as const;
  for (const [request, message] of cases) {
    const refusal = { kind: 'refused', message: expect.stringMatching(message) as string };
    await expect(lrm.submit(gangRequest(request))).rejects.toMatchObject(refusal);
    await expect(lrm.dryRun(gangRequest(request))).rejects.toMatchObject(refusal);
  }
  await lrm.dryRun(gangRequest());
  expect(await cluster.jobs()).toEqual([]);
});

it('report 1: a limit of jobs is one that passes', async () => {
  const before = await cluster.qconf('-sconf');
  await cluster.setLimit('max_u_jobs', '1');
  try {
    await submit();
    await expect(lrm.submit(gangRequest())).rejects.toMatchObject({
      kind: 'deferred',
      message: expect.stringMatching(/only 1 jobs are allowed per user/) as string,
    });
  } finally {
    await cluster.setLimit('max_u_jobs', /^max_u_jobs\s+(\S+)/m.exec(before)?.[1] ?? '0');
  }
});

it('site S8: what a job that failed said last is in its reason, and no file of it stays', async () => {
  const wrong = gridEngineLrm(cluster, { node: '/opt/nowhere/bin/node' });
  const jobId = await wrong.submit(gangRequest());
  const failed = await jobWhen(wrong, jobId, ({ state }) => state === 'failed');
  expect(failed?.reason).toMatch(/\/opt\/nowhere\/bin\/node/);
  const program = `process.stderr.write('no room on the disk\\n'); process.exit(3);`;
  const second = await lrm.submit(gangRequest({ program }));
  const job = await jobWhen(lrm, second, ({ state }) => state === 'failed');
  expect(job?.reason).toMatch(/exit code 3: .*no room on the disk/);
  // As long as it is listed.
  expect((await lrm.list()).find(each => each.jobId === second)?.reason).toBe(job?.reason);
  expect(readdirSync(gridEngineSettings(cluster).programDir).filter(name => name.endsWith('.said'))).toEqual(
    [],
  );
});

it('site G2: a job that is suspended is told so, runs on when it is resumed, and is ended at once', async () => {
  const jobId = await submit();
  await becomes(jobId, { state: 'running' });
  await cluster.qmod('-sj', jobId);
  await becomes(jobId, { state: 'suspended', words: /qmod -usj lets it run on/ });
  await cluster.qmod('-usj', jobId);
  expect((await becomes(jobId, { state: 'running' }))?.reason).toBeUndefined();
  await cluster.qmod('-sj', jobId);
  await becomes(jobId, { state: 'suspended' });
  await lrm.cancel(jobId);
  expect((await endOf(lrm, jobId)) ?? 'cancelled').toBe('cancelled');
});

it('site G1: with memory that is measured and not counted, as Grid Engine is installed, gangs run', async () => {
  await cluster.setMemory('measured');
  try {
    const measured = gridEngineLrm(cluster);
    await measured.dryRun(gangRequest({ nodes: 2 }));
    const jobId = await measured.submit(gangRequest({ nodes: 2, program: '' }));
    expect((await endOf(measured, jobId)) ?? 'completed').toBe('completed');
    await expect(measured.submit(gangRequest({ memoryMiBPerNode: 99_000_000 }))).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(/mem_total/) as string,
    });
  } finally {
    await cluster.setMemory('counted');
  }
});

it('site G3: a node that is lost is named at once, and the job ends as one whose node failed', async () => {
  const jobId = await submit({ nodes: 2, walltimeMs: 600_000 });
  await becomes(jobId, { state: 'running' });
  await cluster.powerOff(1);
  const lost = cluster.nodes[1]?.name ?? '';
  await becomes(jobId, { words: new RegExp(`does not hear of ${lost} any more`) });
  await lrm.cancel(jobId);
  await becomes(jobId, { state: 'ending', words: new RegExp(`does not hear of ${lost}`) });
  // It has been so for a while, and is no qmaster that has just started.
  aheadMs = 60_000;
  await becomes(jobId, { state: 'ending' });
  // Grid Engine keeps such a job until an administrator forces it out.
  await cluster.run(['qdel', '-f', jobId]);
  const ended = await becomes(jobId, { state: 'node-failed' });
  expect(ended?.reason).toMatch(new RegExp(lost));
}, 300_000);
