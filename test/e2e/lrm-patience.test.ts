import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { LocalLrm } from '../../src/lrm/local/local.ts';
import type { Lrm } from '../../src/lrm/lrm.ts';
import { letsGangLeave, patience } from '../../src/lrm/lrm.contract.ts';
import { pbs } from '../../src/lrm/pbs/pbs.ts';
import { startChild } from '../../src/platform/children.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { startGridEngine } from '../cluster/gridengine.ts';
import { gridEngineLrm } from '../cluster/gridengine-lrm.ts';
import { type PbsCluster, startPbs } from '../cluster/pbs.ts';
import { startSlurm } from '../cluster/slurm.ts';
import { serviceLrm } from '../cluster/slurm-lrm.ts';
import { makePlace, removePlace } from '../support/temp-dirs.ts';

/**
 * One site for each scheduler, with a minute from warning to kill. All wait at the same time, for
 * it is real time.
 */
const { killDelaySeconds } = patience;

interface Site {
  readonly directory: string;
  readonly lrm: Lrm;
  stop(): Promise<void>;
}

async function startPbsSite(dialect: PbsCluster['dialect']): Promise<Site> {
  const cluster = await startPbs({ dialect, nodes: 2, killDelaySeconds });
  return { ...cluster, lrm: pbs(cluster.settings, systemProcesses, systemClock) };
}

async function startLocalSite(): Promise<Site> {
  const directory = makePlace('wsp-site-');
  const lrm = new LocalLrm(
    {
      nodes: [{ name: 'n01' }, { name: 'n02' }],
      memoryMiBPerNode: 1_024,
      cpusPerNode: 2,
      node: process.execPath,
      killDelayMs: killDelaySeconds * 1_000,
    },
    { clock: systemClock, startChild },
  );
  return { directory, lrm, stop: () => lrm.close().then(() => removePlace(directory)) };
}

const starts: Readonly<Record<string, () => Promise<Site>>> = {
  slurm: async () => {
    const cluster = await startSlurm({ nodes: 2, killWaitSeconds: killDelaySeconds });
    return { ...cluster, lrm: serviceLrm(cluster) };
  },
  gridengine: async () => {
    const cluster = await startGridEngine({ nodes: 2, notifySeconds: killDelaySeconds });
    return { ...cluster, lrm: gridEngineLrm(cluster) };
  },
  openpbs: () => startPbsSite('openpbs'),
  torque: () => startPbsSite('torque'),
  local: startLocalSite,
};

describe('pbs 2 a gang that needs 40 s of a kill delay of 60', () => {
  const sites = new Map<string, Site>();
  beforeAll(async () => {
    for (const [name, start] of Object.entries(starts)) {
      const site = await start();
      sites.set(name, site);
      mkdirSync(join(site.directory, 'patience'));
      chmodSync(join(site.directory, 'patience'), 0o1777);
    }
  });
  afterAll(async () => {
    for (const { directory, stop } of sites.values()) {
      rmSync(join(directory, 'patience'), { recursive: true, force: true });
      await stop();
    }
  });

  it.concurrent.each(Object.keys(starts))('has them on %s', async name => {
    const site = sites.get(name);
    if (!site) throw new Error(`the ${name} of the tests has not started`);
    await letsGangLeave({ lrm: site.lrm, nodes: [], scratch: join(site.directory, 'patience') });
  });
});
