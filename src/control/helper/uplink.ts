import { readFileSync } from 'node:fs';
import { ControlError } from '../control.ts';
import type { RootTools } from './tools.ts';

/** What `ip -json address show` tells of an interface, as far as it matters here. */
interface InterfaceState {
  readonly ifname?: string;
  readonly flags?: readonly string[];
  readonly master?: string;
  readonly addr_info?: readonly { readonly local?: string; readonly scope?: string }[];
}

/**
 * Whether the site's interface is up, once it is clear that a bridge may have it. Throws `ControlError` when it is missing, in another bridge, or
 * carries an address or a route of the node: bridging it would cut the node off.
 */
export async function takeUplink(uplink: string, tools: RootTools): Promise<boolean> {
  const state = await stateOf(uplink, tools);
  const missing = `this node has no interface ${uplink} (the network's uplink in the site file)`;
  if (!state) throw new ControlError('uplink_missing', missing);
  if (state.master !== undefined)
    throw new ControlError(
      'uplink_busy',
      `${uplink} already belongs to ${state.master}, which is not this network's`,
    );
  const address = (state.addr_info ?? []).find(({ scope }) => scope !== 'link')?.local;
  const inUse = address ?? (hasRoute(uplink) ? 'a route' : undefined);
  if (inUse !== undefined)
    throw new ControlError(
      'uplink_in_use',
      `${uplink} carries ${inUse} of the node: bridging it would cut the node off`,
    );
  return (state.flags ?? []).includes('UP');
}

async function stateOf(uplink: string, tools: RootTools): Promise<InterfaceState | undefined> {
  // All of them: naming one that is not there is an error that cannot be told from others.
  const { stdout } = await tools.run(['ip', '-json', 'address', 'show']);
  const all = JSON.parse(stdout) as readonly InterfaceState[];
  return all.find(each => each.ifname === uplink);
}

/** proc(5), /proc/net/route: a line each, which begins with the interface. */
function hasRoute(uplink: string): boolean {
  return readFileSync('/proc/self/net/route', 'utf8').includes(`\n${uplink}\t`);
}
