import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import type { TestSite } from './site.ts';

/**
 * The processes on the nodes of a site with the embedded LRM as its only pool: pilots, helpers,
 * VMs.
 */
async function processesOnNodes(site: TestSite): Promise<readonly string[]> {
  const run = (...argv: readonly [string, ...string[]]): Promise<CommandResult> =>
    systemProcesses.run(argv, { deadlineMs: 10_000 });
  const tag = readFileSync(join(site.directory, 'state/pools/default/nodes-tag'), 'utf8').trim();
  const namespaces = (await run('ip', 'netns', 'list')).stdout
    .split('\n')
    .filter(line => line.startsWith(`ws${tag}-`))
    .map(line => line.split(' ')[0] ?? '');
  const pids = await Promise.all(
    namespaces.map(async name => (await run('ip', 'netns', 'pids', name)).stdout),
  );
  return pids.flatMap(text => text.split('\n')).filter(pid => pid !== '');
}

/**
 * Does something while all processes on the nodes stand still: what the nodes are told is not done
 * meanwhile.
 */
export async function whileNodesStandStill(site: TestSite, work: () => Promise<void>): Promise<void> {
  const pids = await processesOnNodes(site);
  if (pids.length === 0) throw new Error('there are no processes on the nodes');
  const tell = (signal: string): Promise<CommandResult> =>
    systemProcesses.run(['kill', `-${signal}`, ...pids], { deadlineMs: 10_000 });
  await tell('STOP');
  try {
    await work();
  } finally {
    // Those that have ended meanwhile are no mistake.
    await tell('CONT');
  }
}
