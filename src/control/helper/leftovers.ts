import { dhcpMark } from '../network/dhcp.ts';
import { deleteRulesOf } from '../network/filter.ts';
import { interfaceNames } from '../network/interfaces.ts';
import type { HelperDirectory } from './journal.ts';
import { endProcess, pidsWith, startTimeOf } from './proc.ts';
import type { RootTools } from './tools.ts';

const dhcpEndDeadlineMs = 2_000;

/** Interfaces here that only a helper makes: taps `wt…`, bridges `wb…` and their VXLANs. */
export function ownLinks(names: ReadonlySet<string> = interfaceNames()): string[] {
  return [...names].filter(name => /^w[tb][a-z0-9]{1,13}$/.test(name));
}

/** nftables tables here that only a helper makes. */
export async function ownTables(tools: RootTools): Promise<string[]> {
  const { stdout } = await tools.run(['nft', 'list', 'tables']);
  return stdout.split('\n').filter(line => /^table \S+ wsp-/.test(line));
}

/** Of `ownLinks` those that a helper with this state directory has made. */
export async function markedLinks(at: HelperDirectory, tools: RootTools): Promise<string[]> {
  if (ownLinks().length === 0) return [];
  const { stdout } = await tools.run(['ip', '-json', 'link', 'show']);
  const all = JSON.parse(stdout) as readonly { readonly ifname?: string; readonly ifalias?: string }[];
  const marked = new Set(all.filter(({ ifalias }) => ifalias === at.mark).map(({ ifname }) => ifname));
  return ownLinks().filter(name => marked.has(name));
}

/**
 * Removes interfaces of this state directory whose journal was lost, with their rules and their
 * DHCP service. Under the node's lock, when every journal is undone. Resolves with their names.
 */
export async function removeUnjournaled(at: HelperDirectory, tools: RootTools): Promise<readonly string[]> {
  const links = await markedLinks(at, tools);
  if (links.length === 0) return [];
  for (const pid of links.flatMap(name => pidsWith(dhcpMark(at.dhcpPidOf(name))))) {
    const running = { pid, startTime: startTimeOf(pid) ?? '' };
    await endProcess(tools.clock, running, 'SIGKILL', dhcpEndDeadlineMs);
  }
  await tools.ipBatchAnyway(links.map(name => `link del dev ${name}`));
  const there = interfaceNames();
  const gone = links.filter(name => !there.has(name));
  await tools.nft(gone.map(deleteRulesOf).join(''));
  return gone;
}
