import { interfaceNames } from '../network/interfaces.ts';
import type { RootTools } from './tools.ts';

/** Interfaces here that only a helper makes: taps `wt…`, bridges `wb…` and their VXLANs. */
export function ownLinks(names: ReadonlySet<string> = interfaceNames()): string[] {
  return [...names].filter(name => /^w[tb][a-z0-9]{1,13}$/.test(name));
}

/** nftables tables here that only a helper makes. */
export async function ownTables(tools: RootTools): Promise<string[]> {
  const { stdout } = await tools.run(['nft', 'list', 'tables']);
  return stdout.split('\n').filter(line => /^table \S+ wsp-/.test(line));
}
