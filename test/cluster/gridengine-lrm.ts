import { gridEngine } from '../../src/lrm/gridengine/gridengine.ts';
import type { Lrm } from '../../src/lrm/lrm.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { type GridEngineCluster, gridEngineSettings } from './gridengine.ts';
import { gridEngineTerms } from './gridengine-conf.ts';

/** The adapter's settings here, as a site's service has them. */
type GridEngineLrmSettings = ReturnType<typeof gridEngineSettings> & { readonly queue?: string };

/**
 * The adapter on a cluster; jobs get the site file's queue, account and options. Its user is who
 * runs the test.
 */
export function gridEngineLrm(
  cluster: GridEngineCluster,
  more: Partial<GridEngineLrmSettings> = {},
  clock: Clock = systemClock,
): Lrm {
  const { queue, account, options } = gridEngineTerms;
  const lrm = gridEngine({ ...gridEngineSettings(cluster), queue, ...more }, systemProcesses, clock);
  const withTerms = <T extends { readonly options: readonly string[] }>(request: T) => ({
    ...{ queue, account },
    ...request,
    options: [...options, ...request.options],
  });
  return {
    ...lrm,
    submit: request => lrm.submit(withTerms(request)),
    dryRun: request => lrm.dryRun(withTerms(request)),
  };
}
