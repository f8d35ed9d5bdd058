import { describe, expect, it } from 'vitest';
import { EngineBench } from '../../../test/support/engine.ts';
import { must } from '../../../test/support/lease.ts';

/** A lease of an hour in a job that ends two minutes after it. */
async function withLease(work: (bench: EngineBench, workspaceId: string) => Promise<void>): Promise<void> {
  const bench = await new EngineBench().start();
  try {
    const { workspace } = await bench.running();
    const endsAt = bench.clock.now() + 3_720_000;
    bench.lrm.jobs = bench.lrm.jobs.map(job => ({ ...job, state: 'running', endsAt }));
    // The LRM is asked in its rounds.
    await bench.advance(20_000);
    await work(bench, workspace.id);
  } finally {
    await bench.close();
  }
}

describe('a lease that its batch job is too short for', () => {
  it('says why the LRM gives it no more time, and what would work', async () => {
    await withLease(async (bench, id) => {
      await expect(bench.engine.workspaces.extend(id, 'ann', 10 * 3_600_000)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringMatching(
          /ends too soon for 10h more, and the batch scheduler gives it no more time: only operators/,
        ) as string,
        hint: expect.stringMatching(/at most|another workspace/) as string,
      });
    });
  });

  it('is extended when the LRM lets its job run longer', async () => {
    await withLease(async (bench, id) => {
      bench.lrm.extendRefusal = undefined;
      const before = must(bench.engine.state.workspaces.get(id)?.endsAt);
      const { endsAt, slotId } = await bench.engine.workspaces.extend(id, 'ann', 10 * 3_600_000);
      expect(endsAt).toBe(before + 10 * 3_600_000);
      expect(must(bench.engine.state.slots.get(slotId)?.jobEndsAt)).toBeGreaterThan(must(endsAt));
    });
  });

  it('report 1: is asked for again while the LRM cannot be asked, and fails without a change when it stays so', async () => {
    await withLease(async (bench, id) => {
      bench.lrm.extendRefusal = undefined;
      bench.lrm.extendDown = 2;
      const before = must(bench.engine.state.workspaces.get(id)?.endsAt);
      const extending = bench.engine.workspaces.extend(id, 'ann', 10 * 3_600_000);
      await bench.advance(5_000);
      const { endsAt, slotId } = await extending;
      expect(endsAt).toBe(before + 10 * 3_600_000);

      bench.lrm.change('1', { endsAt: must(bench.slot(slotId).jobEndsAt) });
      bench.lrm.extendDown = 100;
      const inVain = bench.engine.workspaces
        .extend(id, 'ann', 10 * 3_600_000)
        .catch((cause: unknown) => cause);
      await bench.advance(20_000);
      const message = expect.stringContaining('no munged') as string;
      expect(await inVain).toMatchObject({ code: 'busy', message });
      expect(bench.workspace(id).endsAt).toBe(before + 10 * 3_600_000);
    });
  });

  it('asks nothing of the LRM for a lease that the site would not allow', async () => {
    await withLease(async (bench, id) => {
      bench.lrm.extendRefusal = undefined;
      await expect(bench.engine.workspaces.extend(id, 'ann', 14 * 24 * 3_600_000)).rejects.toMatchObject({
        code: 'exceeds_site',
      });
    });
  });
});
