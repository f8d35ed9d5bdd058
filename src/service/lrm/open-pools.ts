import { join } from 'node:path';
import { openLrm } from '../../lrm/index.ts';
import type { Lrm } from '../../lrm/lrm.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { CommandFailure } from '../../platform/process.ts';
import { systemRandom } from '../../platform/random.ts';
import { WspError } from '../../protocol/errors.ts';
import { loadJoinSecret } from '../access/join-secrets.ts';
import type { AgentPool } from '../api/parts.ts';
import type { PoolConfig } from '../config/site-pools.ts';
import type { SiteConfig } from '../config/site.ts';
import type { EnginePool } from './pool.ts';

/** A pool, open. */
export interface OpenPool extends EnginePool {
  readonly headAddress: string | undefined;
  readonly agentPool: AgentPool | undefined;
}

/**
 * Opens the site's pools one after another; `closes` is handed what closes those that are open.
 * Throws `WspError` (`failed`) when the commands of an LRM are missing.
 */
export async function openPools(
  site: SiteConfig,
  log: Log,
  closes: (close: () => Promise<void>) => void,
): Promise<readonly OpenPool[]> {
  const pools: OpenPool[] = [];
  closes(() => Promise.all(pools.map(({ lrm }) => lrm.close())).then(() => undefined));
  for (const pool of site.pools) pools.push(await openPool(pool, site, log));
  return pools;
}

async function openPool(
  { name, lrm: config, at, ...pool }: PoolConfig,
  site: SiteConfig,
  log: Log,
): Promise<OpenPool> {
  const { lrm, agents, headAddress } = await openLrm(config, join(site.stateDir, 'pools', name));
  await checkCommands(lrm, at, log);
  const agentPool = agents && {
    name,
    lrm: agents.lrm,
    isSecret: loadJoinSecret(agents.joinSecretFile, systemRandom),
  };
  return { ...pool, name, lrm, headAddress, agentPool };
}

/** An LRM that is down for now may come back; commands that are not there will not. */
async function checkCommands(lrm: Lrm, at: string, log: Log): Promise<void> {
  try {
    await lrm.capabilities();
  } catch (cause) {
    const missing =
      cause instanceof Error && cause.cause instanceof CommandFailure && cause.cause.kind === 'not-found';
    if (!missing) {
      log.warn('the LRM does not answer; going on, it is asked again', {
        lrm: lrm.kind,
        ...errorFields(cause),
      });
      return;
    }
    throw new WspError('failed', `the commands of the LRM (${lrm.kind}) are missing: ${cause.message}`, {
      hint: `install them, or set ${at}.binDir in the site file to where they are`,
      cause,
    });
  }
}
