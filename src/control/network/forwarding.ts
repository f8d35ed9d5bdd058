import type { VxlanPeer } from '../../protocol/plan.ts';
import { ownPort } from './bridge.ts';

/**
 * Where a bridge's VXLAN sends frames. It has two tables, and learns into neither of them: its own
 * says behind which peer a MAC is, and the bridge's says that the MAC is behind the VXLAN. Frames
 * to nobody's MAC (broadcast among them) go to each peer, so the site needs no multicast.
 */

/** The destination of frames that no other entry is for. */
const anyMac = '00:00:00:00:00:00';

/** An entry as `bridge -json fdb show` tells it. */
interface ShownEntry {
  readonly mac: string;
  /** The peer, in the VXLAN's own table. */
  readonly dst?: string;
  /** The bridge, in the bridge's table. */
  readonly master?: string;
  readonly state?: string;
}

/** `bridge -batch` lines to have these peers alone. `shown`: what `bridge -json fdb show` says. */
export function forwardingCommands(bridge: string, peers: readonly VxlanPeer[], shown: string): string[] {
  const device = ownPort(bridge);
  const behind = (mac: string, peer: string): string => `${mac} dev ${device} dst ${peer} self permanent`;
  const bridged = (mac: string): string => `${mac} dev ${device} master static`;
  const wanted = new Set(
    peers.flatMap(({ address, macs }) => [
      behind(anyMac, address),
      ...macs.flatMap(mac => [behind(mac, address), bridged(mac)]),
    ]),
  );
  const present = new Set(
    parseEntries(shown).flatMap(({ mac, dst, master, state }) => {
      if (dst !== undefined) return behind(mac, dst);
      return master !== undefined && state === 'static' ? bridged(mac) : [];
    }),
  );
  // A MAC that has moved is behind one peer only.
  return [
    ...[...present].filter(entry => !wanted.has(entry)).map(entry => `fdb del ${entry}`),
    ...[...wanted].filter(entry => !present.has(entry)).map(entry => `fdb append ${entry}`),
  ];
}

function parseEntries(shown: string): readonly ShownEntry[] {
  return shown.trim() === '' ? [] : (JSON.parse(shown) as ShownEntry[]);
}
