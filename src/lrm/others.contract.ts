import { describe, expect, it } from 'vitest';
import { endOf, gangRequest, jobWhen, type LrmUnderTest } from './lrm.contract.ts';
import { optionMistakes } from './index.ts';
import type { LrmError } from './lrm.ts';

/** Undoes what was done to the LRM. */
type Undo = () => Promise<void>;

/** What a site's administrator and its other users do to the LRM under test. */
export interface OthersOfLrm {
  /** Ends the server to which the adapter's commands speak; what runs goes on. */
  stopServer(): Promise<Undo>;
  /** Suspends a running job. Absent: nobody can there. */
  readonly suspend?: (jobId: string) => Promise<Undo>;
  /** Submits a job of another user, held. */
  foreignJob(jobName: string): Promise<Undo>;
  /** Lets no user have more than so many jobs. */
  limitJobs(most: number): Promise<Undo>;
  /** Whether it says why a job waits. */
  readonly saysWhy: boolean;
  /** Arguments of the submit command that take each of these things away from the service. */
  readonly forbidden: Readonly<
    Record<'name' | 'nodes' | 'time' | 'output' | 'array' | 'hold' | 'queue', readonly string[]>
  >;
}

/**
 * Every question is answered as by an LRM that is away. They are asked at once: a command of Slurm
 * tries for a while.
 */
export async function expectOutage(questions: readonly Promise<unknown>[]): Promise<void> {
  for (const answer of await Promise.allSettled(questions))
    expect(answer).toMatchObject({ reason: { name: 'LrmError', kind: 'unavailable' } });
}

/**
 * What every LRM adapter must do where it is not alone: the part of the contract for LRMs with a
 * server, a submit command and other users.
 */
export function othersContract(
  kind: string,
  open: () => LrmUnderTest & { readonly others: OthersOfLrm },
): void {
  const leave = async (jobId: string): Promise<void> => {
    const { lrm } = open();
    await lrm.cancel(jobId);
    expect((await endOf(lrm, jobId)) ?? 'cancelled').toBe('cancelled');
  };

  describe('among others', () => {
    it('site S1, report 1: a server that is away is an outage for every question, and no job is lost', async () => {
      const { lrm, nodes, others } = open();
      const running = await lrm.submit(gangRequest({ nodes: nodes.length, cpusPerNode: 2 }));
      await jobWhen(lrm, running, ({ state }) => state === 'running');
      const waiting = await lrm.submit(gangRequest());
      await jobWhen(lrm, waiting, ({ state }) => state === 'waiting');
      const back = await others.stopServer();
      try {
        await expectOutage([
          lrm.list(),
          lrm.capabilities(),
          lrm.submit(gangRequest()),
          lrm.dryRun(gangRequest()),
          lrm.cancel(waiting),
        ]);
      } finally {
        await back();
      }
      await jobWhen(lrm, running, ({ state }) => state === 'running');
      await jobWhen(lrm, waiting, ({ state }) => state === 'waiting');
      await leave(waiting);
      await leave(running);
    });

    it('site S3, site G2, pbs 3: a job that is suspended is told so with a reason, runs on when it is resumed, and ends when it is told to', async context => {
      const { lrm, others } = open();
      if (!others.suspend) return context.skip('nobody can suspend a job there');
      const jobId = await lrm.submit(gangRequest());
      await jobWhen(lrm, jobId, ({ state }) => state === 'running');
      const resume = await others.suspend(jobId);
      const suspended = await jobWhen(lrm, jobId, ({ state }) => state === 'suspended');
      expect(suspended?.reason).toBeTruthy();
      expect(suspended?.nodes).toHaveLength(1);
      await resume();
      const resumed = await jobWhen(lrm, jobId, ({ state }) => state === 'running');
      expect(resumed?.reason).toBeUndefined();
      await others.suspend(jobId);
      await jobWhen(lrm, jobId, ({ state }) => state === 'suspended');
      await leave(jobId);
    });

    it("report 4: another user's job with our job's name is none of ours", async () => {
      const { lrm, others } = open();
      const { jobName } = gangRequest();
      const endIt = await others.foreignJob(jobName);
      try {
        expect((await lrm.list()).map(job => job.jobName)).not.toContain(jobName);
      } finally {
        await endIt();
      }
    });

    it('site S6, report 1: a limit of jobs is no refusal: what it stops is taken when a job has ended', async () => {
      const { lrm, others } = open();
      const lift = await others.limitJobs(1);
      try {
        const first = await lrm.submit(gangRequest());
        const second = lrm.submit(gangRequest());
        await expect(second).rejects.toMatchObject({ name: 'LrmError', kind: 'deferred' });
        await expect(second).rejects.toThrow(/\bjobs?\b/i);
        await leave(first);
        const taken = (): Promise<string | undefined> =>
          lrm.submit(gangRequest()).catch((cause: LrmError) => {
            expect(cause.kind).toBe('deferred');
            return undefined;
          });
        let third: string | undefined;
        await expect
          .poll(async () => (third ??= await taken()), { timeout: 60_000, interval: 500 })
          .toBeDefined();
        await leave(third ?? '');
      } finally {
        await lift();
      }
    });

    it('site S2: a job that waits for what others have passes by itself, and has not started', async context => {
      const { lrm, nodes, others } = open();
      if (!others.saysWhy) return context.skip('it does not say why a job waits');
      const all = await lrm.submit(gangRequest({ nodes: nodes.length, cpusPerNode: 2 }));
      await jobWhen(lrm, all, ({ state }) => state === 'running');
      const behind = await lrm.submit(gangRequest());
      const waiting = await jobWhen(lrm, behind, ({ outlook }) => outlook !== undefined);
      expect(waiting).toMatchObject({ state: 'waiting', outlook: 'passes', nodes: [] });
      expect(waiting?.startedAt).toBeUndefined();
      await leave(behind);
      await leave(all);
    });

    it('report A: options that take from the service what it must decide are refused, each with what to do instead', () => {
      const { others } = open();
      for (const [what, options] of Object.entries(others.forbidden)) {
        const [mistake] = optionMistakes(kind, options);
        expect([what, mistake?.index]).toEqual([what, 0]);
        expect(mistake?.message).toMatch(/cannot be used: .{10}/);
      }
    });
  });
}
