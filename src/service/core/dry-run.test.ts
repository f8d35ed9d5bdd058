import { describe, expect, it } from 'vitest';
import { EngineBench } from '../../../test/support/engine.ts';
import type { WorkspaceRequest } from '../../protocol/cluster.ts';
import { LrmError } from '../../lrm/lrm.ts';

const request: WorkspaceRequest = {
  groups: [{ name: 'vm', image: 'mini', count: 2, memoryMiB: 256, cpus: 1 }],
};

async function withBench(work: (bench: EngineBench) => Promise<void>): Promise<void> {
  const bench = await new EngineBench().start();
  try {
    await work(bench);
  } finally {
    await bench.close();
  }
}

describe('site S5 a request that is only tried', () => {
  it('is put to the LRM itself, and nothing is submitted', async () => {
    await withBench(async bench => {
      const trial = await bench.engine.workspaces.tryCreate('ann', request);
      expect(trial).toMatchObject({ refusal: undefined, doubt: undefined, slot: { nodesWanted: 2 } });
      expect(bench.lrm.submitted).toEqual([]);
    });
  });

  it('is refused when the LRM would refuse its job, in its words', async () => {
    await withBench(async bench => {
      bench.lrm.refusal = 'Invalid account';
      const { refusal } = await bench.engine.workspaces.tryCreate('ann', request);
      expect(refusal).toEqual({ code: 'exceeds_site', message: 'Invalid account' });
    });
  });

  it('is accepted with a doubt when the LRM would not take its job now, or does not answer', async () => {
    await withBench(async bench => {
      bench.lrm.down = new LrmError('deferred', 'MaxSubmitJobs');
      expect(await bench.engine.workspaces.tryCreate('ann', request)).toMatchObject({
        refusal: undefined,
        doubt: 'MaxSubmitJobs',
      });
      bench.lrm.down = undefined;
      bench.lrm.dryRun = () => new Promise(() => undefined);
      const trying = bench.engine.workspaces.tryCreate('ann', request);
      await bench.advance(11_000);
      expect((await trying).doubt).toMatch(/did not happen within 10s/);
    });
  });
});
