import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { finalJobStates, type GangRequest, type Lrm, LrmError, type LrmJob } from './lrm.ts';

/** An LRM that is up, with all of its nodes idle between two tests. */
export interface LrmUnderTest {
  readonly lrm: Lrm;
  /** At least two, with at least two processors each. */
  readonly nodes: readonly string[];
  /** A directory that the nodes' programs can write to; nothing of the test's is in it before. */
  readonly scratch: string;
}

/** For schedulers that have just been away, on a machine with much else to do. */
const deadlineMs = 90_000;
const forEver = 'setInterval(() => undefined, 1000);';
let serial = 0;

/** One node of the smallest kind for a minute. */
export function gangRequest(more: Partial<GangRequest> = {}): GangRequest {
  serial += 1;
  const letters = String(serial)
    .padStart(4, '0')
    .replace(/\d/g, digit => 'abcdefghij'[Number(digit)] ?? '');
  return {
    jobName: `wsp-slot-test22${letters}`,
    nodes: 1,
    memoryMiBPerNode: 64,
    cpusPerNode: 1,
    walltimeMs: 60_000,
    options: [],
    program: forEver,
    ...more,
  };
}

/** The job once it is as wanted; undefined when it is not in the list any more, which counts as wanted when `goneToo`. */
export async function jobWhen(
  lrm: Lrm,
  jobId: string,
  wanted: (job: LrmJob) => boolean,
  goneToo = false,
): Promise<LrmJob | undefined> {
  let found: LrmJob | undefined;
  const look = async (): Promise<boolean> => {
    found = (await lrm.list()).find(job => job.jobId === jobId);
    return found === undefined ? goneToo : wanted(found);
  };
  await expect.poll(look, { timeout: deadlineMs, interval: 50 }).toBe(true);
  return found;
}

/** The state in which the job has ended; undefined when it is gone from the list already. */
export async function endOf(lrm: Lrm, jobId: string): Promise<LrmJob['state'] | undefined> {
  return (await jobWhen(lrm, jobId, ({ state }) => finalJobStates.has(state), true))?.state;
}

/** Slurm's and our own; Grid Engine's. */
const warnings = JSON.stringify(['SIGTERM', 'SIGUSR2']);

/** What every LRM adapter must do. */
export function lrmContract(name: string, open: () => LrmUnderTest): void {
  /** A program that leaves a file `<what>-<node>` for each thing that it does. */
  const marking = (what: string, rest: string): string => {
    const { lrm: _, scratch } = open();
    return `const fs = require('node:fs');
const node = process.env.SLURMD_NODENAME ?? process.env.WSP_NODE ?? process.env.HOSTNAME;
const mark = (what, text = '') => fs.writeFileSync(${JSON.stringify(scratch)} + '/' + what + '-' + node, text);
mark('${what}-up', JSON.stringify(process.argv) + fs.readFileSync('/proc/self/environ', 'utf8'));
${rest}`;
  };
  const marks = (what: string): string[] =>
    readdirSync(open().scratch)
      .filter(file => file.startsWith(`${what}-`))
      .map(file => file.slice(what.length + 1))
      .sort();
  const untilMarks = (what: string, count: number) =>
    expect.poll(() => marks(what), { timeout: deadlineMs, interval: 50 }).toHaveLength(count);

  describe(`the LRM adapter ${name}`, () => {
    it('knows what it can give', async () => {
      const { lrm, nodes } = open();
      const known = await lrm.capabilities();
      expect(known).toMatchObject({ nodes: nodes.length, idleNodes: nodes.length });
      for (const most of [known.memoryMiBPerNode, known.walltimeStepMs, known.killDelayMs])
        expect(most).toBeGreaterThan(0);
      expect(known.cpusPerNode).toBeGreaterThanOrEqual(2);
      expect(known.nodeNameEnv).not.toEqual([]);
    });

    it('runs the whole program once on every node of a gang, in any characters, and shows it to nobody', async () => {
      const { lrm, nodes, scratch } = open();
      const odd = `$(x) \`y\` "z" \\ 'a' %s\u00e9\u2713`;
      const filler = `/* ${odd.repeat(10_000)} */ const odd = ${JSON.stringify(odd)}; const secret = 'se-cret';`;
      const program = filler + marking('whole', `mark('odd', odd);`);
      const jobId = await lrm.submit(gangRequest({ nodes: nodes.length, program }));
      expect((await endOf(lrm, jobId)) ?? 'completed').toBe('completed');
      expect(marks('whole-up')).toEqual([...nodes].sort());
      for (const node of nodes) {
        expect(readFileSync(join(scratch, `odd-${node}`), 'utf8')).toBe(odd);
        expect(readFileSync(join(scratch, `whole-up-${node}`), 'utf8')).not.toContain('se-cret');
      }
    });

    it('says since when, until when and where a job runs', async () => {
      const { lrm, nodes } = open();
      const program = marking('where', forEver);
      const jobId = await lrm.submit(gangRequest({ nodes: 2, walltimeMs: 600_000, program }));
      const job = await jobWhen(
        lrm,
        jobId,
        ({ state, endsAt }) => state === 'running' && endsAt !== undefined,
      );
      await untilMarks('where-up', 2);
      expect([...(job?.nodes ?? [])].sort()).toEqual(marks('where-up'));
      expect(nodes).toEqual(expect.arrayContaining([...(job?.nodes ?? [])]));
      expect((job?.endsAt ?? 0) - (job?.startedAt ?? 0)).toBe(600_000);
      await lrm.cancel(jobId);
      await endOf(lrm, jobId);
    });

    it('lets a running job end later, or says why not', async () => {
      const { lrm } = open();
      const jobId = await lrm.submit(gangRequest());
      const job = await jobWhen(
        lrm,
        jobId,
        ({ state, endsAt }) => state === 'running' && endsAt !== undefined,
      );
      const until = (job?.endsAt ?? 0) + 90_000;
      const answer = await lrm.extend(jobId, until).catch((cause: unknown) => cause as LrmError);
      if (answer instanceof LrmError) expect(answer.kind).toBe('refused');
      else {
        expect(answer).toBeGreaterThanOrEqual(until);
        expect((await jobWhen(lrm, jobId, ({ endsAt }) => endsAt === answer))?.state).toBe('running');
      }
      await lrm.cancel(jobId);
      await endOf(lrm, jobId);
      await expect(lrm.extend(jobId, until)).rejects.toMatchObject({ kind: 'refused' });
    });

    it('ends a running gang: every program gets its warning and may finish', async () => {
      const { lrm } = open();
      const onTerm = `for (const signal of ${warnings}) process.on(signal, () => { mark('term'); process.exit(0); }); mark('ready'); ${forEver}`;
      const jobId = await lrm.submit(gangRequest({ nodes: 2, program: marking('end', onTerm) }));
      await untilMarks('ready', 2);
      await lrm.cancel(jobId);
      // A second order to end is not a second warning, and no error.
      await lrm.cancel(jobId);
      expect((await endOf(lrm, jobId)) ?? 'cancelled').toBe('cancelled');
      expect(marks('term')).toEqual(marks('ready'));
    });

    it('ends a gang that is only just starting, and leaves no program of it behind', async () => {
      const { lrm, scratch } = open();
      const program = marking('starting', `mark('started', String(process.pid)); ${forEver}`);
      const jobId = await lrm.submit(gangRequest({ nodes: 2, program }));
      await jobWhen(lrm, jobId, ({ state }) => state === 'running');
      await lrm.cancel(jobId);
      expect((await endOf(lrm, jobId)) ?? 'cancelled').toBe('cancelled');
      for (const node of marks('started')) {
        const pid = readFileSync(join(scratch, `started-${node}`), 'utf8');
        await expect.poll(() => isAlive(pid), { timeout: deadlineMs }).toBe(false);
      }
    });

    it('kills what ignores the warning, after the kill delay', async () => {
      const { lrm, scratch } = open();
      const deaf = `for (const signal of ${warnings}) process.on(signal, () => undefined); mark('deaf', String(process.pid)); ${forEver}`;
      const jobId = await lrm.submit(gangRequest({ program: marking('kill', deaf) }));
      await untilMarks('deaf', 1);
      const pid = readFileSync(join(scratch, `deaf-${marks('deaf')[0]}`), 'utf8');
      await lrm.cancel(jobId);
      expect((await endOf(lrm, jobId)) ?? 'cancelled').toBe('cancelled');
      await expect.poll(() => isAlive(pid), { timeout: deadlineMs }).toBe(false);
    });

    it('queues what does not fit now, says why, and ends it in the queue', async () => {
      const { lrm, nodes } = open();
      const all = await lrm.submit(gangRequest({ nodes: nodes.length, cpusPerNode: 2 }));
      await jobWhen(lrm, all, ({ state }) => state === 'running');
      const behind = await lrm.submit(gangRequest({ program: marking('never', forEver) }));
      const waiting = await jobWhen(lrm, behind, ({ reason }) => reason !== undefined);
      expect(waiting).toMatchObject({ state: 'waiting', nodes: [] });
      expect(waiting?.reason?.length).toBeGreaterThan(10);
      await lrm.cancel(behind);
      expect((await endOf(lrm, behind)) ?? 'cancelled').toBe('cancelled');
      await lrm.cancel(all);
      await endOf(lrm, all);
      expect(marks('never-up')).toEqual([]);
    });

    it('says of a program that fails that the job has failed, and why', async () => {
      const { lrm } = open();
      const jobId = await lrm.submit(gangRequest({ program: 'process.exit(3);' }));
      const job = await jobWhen(lrm, jobId, ({ state }) => finalJobStates.has(state));
      expect(job?.state).toBe('failed');
      expect(job?.reason).toBeTruthy();
    });

    it('refuses what it could never give, in a way that is told from an outage', async () => {
      const { lrm } = open();
      await expect(lrm.submit(gangRequest({ memoryMiBPerNode: 99_999_999 }))).rejects.toMatchObject({
        name: 'LrmError',
        kind: 'refused',
      });
    });

    it('refuses more nodes than there are, or says that it waits for them', async () => {
      const { lrm, nodes } = open();
      const answer = await lrm
        .submit(gangRequest({ nodes: nodes.length + 1 }))
        .catch((cause: unknown) => cause as LrmError);
      if (answer instanceof LrmError) return expect(answer.kind).toBe('refused');
      const job = await jobWhen(lrm, answer, ({ reason }) => reason !== undefined);
      expect(job).toMatchObject({ state: 'waiting', reason: expect.stringContaining('nodes') as string });
      await lrm.cancel(answer);
      await endOf(lrm, answer);
    });

    it('does not mind ending a job that is unknown', async () => {
      await open().lrm.cancel('999999');
    });

    it('lists all of our jobs with one query', async () => {
      const { lrm, nodes } = open();
      const names = Array.from({ length: 12 }, () => gangRequest({ nodes: nodes.length, cpusPerNode: 2 }));
      const ids = await Promise.all(names.map(request => lrm.submit(request)));
      expect(new Set(ids).size).toBe(ids.length);
      const listed = (await lrm.list()).filter(({ jobId }) => ids.includes(jobId));
      expect(new Map(listed.map(job => [job.jobId, job.jobName]))).toEqual(
        new Map(ids.map((id, index) => [id, names[index]?.jobName ?? ''])),
      );
      // Those that wait first, so that none of them starts.
      for (const id of [...ids].reverse()) await lrm.cancel(id);
      for (const id of ids) await endOf(lrm, id);
    });
  });
}

/** Whether a process is there and not only waits to be forgotten. */
function isAlive(pid: string): boolean {
  const stat = `/proc/${pid}/stat`;
  try {
    return existsSync(stat) && !/^\d+ \(.*\) [ZX]/s.test(readFileSync(stat, 'utf8'));
  } catch {
    return false;
  }
}

/** The kill delay of the LRM under `letsGangLeave`, and how long its programs need of it. */
export const patience = { killDelaySeconds: 60, leavesAfterMs: 40_000 } as const;

/**
 * What every LRM adapter must do where the site gives time: every program of a gang of two nodes
 * may
 * use it after the warning, and the job is then gone. Takes `leavesAfterMs` and a little.
 */
export async function letsGangLeave({ lrm, scratch }: LrmUnderTest): Promise<void> {
  const mark = (what: string): string =>
    `require('node:fs').writeFileSync(${JSON.stringify(scratch)} + '/${what}-' + process.pid, '')`;
  const leave = `if (!leaving) setTimeout(() => { ${mark('left')}; process.exit(0); }, ${patience.leavesAfterMs}); leaving = true;`;
  const program = `let leaving = false; for (const signal of ${warnings}) process.on(signal, () => { ${leave} }); ${mark('here')}; ${forEver}`;
  const count = (what: string): number =>
    readdirSync(scratch).filter(file => file.startsWith(`${what}-`)).length;
  expect((await lrm.capabilities()).killDelayMs).toBe(patience.killDelaySeconds * 1_000);
  const jobId = await lrm.submit(gangRequest({ nodes: 2, walltimeMs: 600_000, program }));
  await expect.poll(() => count('here'), { timeout: 60_000 }).toBe(2);
  await lrm.cancel(jobId);
  const isOver = async (): Promise<boolean> => {
    const job = (await lrm.list()).find(each => each.jobId === jobId);
    return job === undefined || finalJobStates.has(job.state);
  };
  await expect
    .poll(isOver, { timeout: patience.killDelaySeconds * 1_000 + deadlineMs, interval: 500 })
    .toBe(true);
  expect(count('left')).toBe(2);
}
