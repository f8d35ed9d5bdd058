import type { BridgePeers, LinkPlan, VxlanPeer } from '../../../protocol/plan.ts';
import type { EntryOf, SectionKit } from '../../../protocol/section.ts';
import type { Unchecked } from '../../../protocol/unchecked.ts';
import { isWithin } from '../subnet.ts';
import type { LinkKind } from './kind.ts';

/** IANA's port for VXLAN (RFC 7348). */
const vxlanPort = 4_789;
const greatestVni = 16_777_215;
const greatestPort = 65_535;
/** Peers of a VXLAN, and MACs behind one of them. */
const mostOfEach = 4_096;
/** The firewall mark of what leaves through our VXLANs (`wspv`), which only root can set. */
const tunnelMark = '0x77737076';

const schema = ({ Type, strict, Port }: SectionKit) => {
  const Vni = Type.Integer({ minimum: 1, maximum: greatestVni });
  return Type.Object({ firstVni: Vni, lastVni: Type.Optional(Vni), port: Type.Optional(Port) }, strict);
};
type Written = EntryOf<typeof schema>;

/** The VNIs of the workspaces' networks are drawn from these, which no other network may have. */
type Vxlan = {
  readonly kind: 'vxlan';
  readonly firstVni: number;
  readonly lastVni: number;
  readonly port: number;
};

/** A workspace's own VXLAN. Unicast peers, so the site needs no multicast. */
type VxlanPlan = {
  readonly kind: 'vxlan';
  readonly vni: number;
  readonly peers: BridgePeers['peers'];
  readonly port: number;
};

/** A link that has peers, which may change while it is there. */
export function isVxlan(link: LinkPlan): link is VxlanPlan {
  return link.kind === 'vxlan';
}

/** Carried between the nodes of a slot, one VNI for each workspace. */
export const vxlanKind: LinkKind = {
  kind: 'vxlan',
  /** Ethernet inside IPv4, UDP and VXLAN headers: 50 bytes less (RFC 7348). */
  mtu: 1_450,
  schema,
  read(written: Written, addresses, alike: readonly Written[], { mistake }): Vxlan {
    const { firstVni, lastVni: last = lastBeforeNext(firstVni, alike), port = vxlanPort } = written;
    // Each workspace in the network has one address at least: none ever finds the VNIs given out
    // and addresses left.
    const least = firstVni + addresses - 1;
    if (least > last)
      mistake(
        'vxlan.firstVni',
        `with ${addresses} addresses the last VNI must be ${least} at least, and it is ${last}`,
      );
    return { kind: 'vxlan', firstVni, lastVni: last, port };
  },
  compare({ firstVni, lastVni }: Vxlan, other: Vxlan, where, mistake) {
    if (firstVni > other.lastVni || other.firstVni > lastVni) return;
    const theirs = `${other.firstVni}-${other.lastVni}`;
    mistake('vxlan.firstVni', `VNIs ${firstVni}-${lastVni} overlap those of ${where}, ${theirs}`);
  },
  parse(from): Vxlan {
    const { port, firstVni, lastVni } = from.object('kind', 'port', 'firstVni', 'lastVni');
    return {
      kind: 'vxlan',
      port: port.integer(1, greatestPort),
      firstVni: firstVni.integer(1, greatestVni),
      lastVni: lastVni.integer(1, greatestVni),
    };
  },
  words: ({ firstVni, lastVni, port }: Vxlan) => `in VXLANs ${firstVni} to ${lastVni} on port ${port}`,
  perWorkspace: {
    numbers: ({ firstVni, lastVni }: Vxlan) => ({ first: firstVni, last: lastVni }),
    plan: ({ port }: Vxlan, vni, peers): VxlanPlan => ({ kind: 'vxlan', vni, peers, port }),
    parse(from): VxlanPlan {
      const { vni, peers, port } = from.object('kind', 'vni', 'peers', 'port');
      return {
        kind: 'vxlan',
        vni: vni.integer(1, greatestVni),
        peers: parsePeers(peers),
        port: port.integer(1, greatestPort),
      };
    },
    excess(allowed: Vxlan, { vni, peers, port }: VxlanPlan, nodes) {
      if (port !== allowed.port) return `the VXLAN port ${port}`;
      if (vni < allowed.firstVni || vni > allowed.lastVni) return `the VNI ${vni}`;
      const stranger = strangerAmong(peers, nodes);
      return stranger && `VXLAN traffic to ${stranger.address}`;
    },
  },
  text: ({ vni, port }: VxlanPlan) => `vxlan ${vni} port ${port}`,
  makes: ({ vni, port }: VxlanPlan) => `vxlan id ${vni} dstport ${port} nolearning`,
  rules: (plan: VxlanPlan, port) => ({
    out: `    oifname "${port}" meta mark set ${tunnelMark}\n`,
    inet: guard(plan),
  }),
};

/** All VNIs before those of the next network: the more there are, the harder one is to guess. */
function lastBeforeNext(firstVni: number, alike: readonly Written[]): number {
  const later = alike.map(other => other.firstVni).filter(vni => vni > firstVni);
  return Math.min(greatestVni + 1, ...later) - 1;
}

/** Peers that a pilot names. Throws as `Unchecked`. */
export function parsePeers(from: Unchecked): VxlanPeer[] {
  return from.list(mostOfEach).map(each => {
    const { address, macs } = each.object('address', 'macs');
    return { address: address.host(), macs: macs.list(mostOfEach).map(mac => mac.mac()) };
  });
}

/** The first of some peers that is in none of the networks in which the site's nodes are. */
export function strangerAmong(peers: readonly VxlanPeer[], nodes: readonly string[]): VxlanPeer | undefined {
  return peers.find(({ address }) => !nodes.some(network => isWithin(address, network)));
}

/**
 * The port is shared by all VXLANs of the node, so its datagrams are told apart by the VNI, 24 bits
 * that begin 12 bytes into the UDP header (RFC 7348). They are taken from its peers alone
 * (`peerRules`), and none are sent but by the VXLAN itself.
 */
function guard({ vni, port }: VxlanPlan): string {
  const datagram = `udp dport ${port} @th,96,24 ${vni}`;
  return `  set peers {
    type ipv4_addr
  }
  chain received {
    type filter hook input priority 0; policy accept;
    ${datagram} ip saddr @peers accept
    ${datagram} drop
  }
  chain sent {
    type filter hook output priority 0; policy accept;
    ${datagram} meta mark != ${tunnelMark} drop
  }
`;
}
