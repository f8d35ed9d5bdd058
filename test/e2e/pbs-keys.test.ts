import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pbs } from '../../src/lrm/pbs/pbs.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { type PbsCluster, startPbs } from '../cluster/pbs.ts';

/**
 * A key of the site file that the clusters of the tests do without: which server of PBS is asked.
 */
describe.each(['openpbs', 'torque'] as const)('%s', dialect => {
  let cluster: PbsCluster;
  beforeAll(async () => {
    cluster = await startPbs({ dialect, nodes: 1 });
  });
  afterAll(() => cluster?.stop());

  it('the server that the site names is asked, and no other: lrm.server', async () => {
    const at = (server: string): ReturnType<typeof pbs> =>
      pbs({ ...cluster.settings, server }, systemProcesses, systemClock);
    expect(await at('pbss').capabilities()).toMatchObject({ nodes: 1 });
    await expect(at('elsewhere').capabilities()).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('elsewhere'),
    });
  });
});
