import { isIPv4 } from 'node:net';
import { isDeepStrictEqual } from 'node:util';

/**
 * What root allows the helper to be asked on a node, whoever asks: the networks of the site file,
 * made by `wsp helper-policy`, and put on the nodes by `scripts/install-helper --policy`. One JSON
 * document.
 */
export interface HelperPolicy {
  readonly networks: readonly PolicyNetwork[];
  /**
   * Networks, as `10.0.0.0/8`, in which all nodes have their addresses: VXLANs reach nothing else.
   */
  readonly peers: readonly string[];
}

/** A network whose VMs may be on the node. */
export interface PolicyNetwork {
  readonly name: string;
  /** As `10.90.0.0/16`. */
  readonly subnet: string;
  /** The first and the last address that a VM may have. */
  readonly first: string;
  readonly last: string;
  readonly gateway?: string;
  readonly dns: readonly string[];
  /** The node's own address on the network's bridges. */
  readonly serviceAddress: string;
  readonly link:
    | { readonly kind: 'uplink'; readonly interface: string }
    | { readonly kind: 'vxlan'; readonly port: number; readonly firstVni: number; readonly lastVni: number }
    | { readonly kind: 'isolated' };
}

/** The first of some networks that the policy does not allow as they are; undefined: it allows them all. */
export function networkMissing(
  policy: HelperPolicy,
  wanted: readonly PolicyNetwork[],
): PolicyNetwork | undefined {
  return wanted.find(network => !policy.networks.some(each => isDeepStrictEqual(each, network)));
}

/** The most networks of a policy; a site has a few. */
const mostEntries = 1_000;

/** The policy in a parsed document. Throws an error that says where it is wrong, and how. */
export function parseHelperPolicy(value: unknown): HelperPolicy {
  const top = object(value, 'the policy', ['networks', 'peers']);
  return {
    networks: parsePolicyNetworks(top['networks'], 'networks'),
    peers: list(top['peers'], 'peers').map((each, at) => subnet(each, `peers[${at}]`)),
  };
}

/** The networks in a parsed list, which is said to be at `path`. Throws as `parseHelperPolicy`. */
export function parsePolicyNetworks(value: unknown, path: string): readonly PolicyNetwork[] {
  return list(value, path).map((each, at) => networkIn(each, `${path}[${at}]`));
}

/** A sentence for each thing that the policy allows. */
export function policyWords({ networks, peers }: HelperPolicy): readonly string[] {
  const words = networks.map(({ name, first, last, link }) => {
    const range = `network ${name}: VMs with the addresses ${first} to ${last}`;
    switch (link.kind) {
      case 'uplink':
        return `${range}, bridged to ${link.interface}`;
      case 'vxlan':
        return `${range}, in VXLANs ${link.firstVni} to ${link.lastVni} on port ${link.port}`;
      case 'isolated':
        return `${range}, on this node alone`;
    }
  });
  const hasVxlan = networks.some(({ link }) => link.kind === 'vxlan');
  const reach = peers.length === 0 ? 'no other node' : `nodes in ${peers.join(', ')}`;
  return [...(words.length === 0 ? ['no network'] : words), ...(hasVxlan ? [`VXLANs reach ${reach}`] : [])];
}

function networkIn(value: unknown, path: string): PolicyNetwork {
  const keys = ['name', 'subnet', 'first', 'last', 'gateway', 'dns', 'serviceAddress', 'link'];
  const from = object(value, path, keys);
  return {
    name: text(from['name'], `${path}.name`),
    subnet: subnet(from['subnet'], `${path}.subnet`),
    first: ipv4(from['first'], `${path}.first`),
    last: ipv4(from['last'], `${path}.last`),
    ...(from['gateway'] === undefined ? {} : { gateway: ipv4(from['gateway'], `${path}.gateway`) }),
    dns: list(from['dns'], `${path}.dns`).map((each, at) => ipv4(each, `${path}.dns[${at}]`)),
    serviceAddress: ipv4(from['serviceAddress'], `${path}.serviceAddress`),
    link: linkIn(from['link'], `${path}.link`),
  };
}

function linkIn(value: unknown, path: string): PolicyNetwork['link'] {
  const from = object(value, path, ['kind', 'interface', 'port', 'firstVni', 'lastVni']);
  switch (from['kind']) {
    case 'uplink':
      return { kind: 'uplink', interface: text(from['interface'], `${path}.interface`) };
    case 'vxlan':
      return {
        kind: 'vxlan',
        port: whole(from['port'], `${path}.port`, 65_535),
        firstVni: whole(from['firstVni'], `${path}.firstVni`, 16_777_215),
        lastVni: whole(from['lastVni'], `${path}.lastVni`, 16_777_215),
      };
    case 'isolated':
      return { kind: 'isolated' };
    default:
      throw new Error(`${path}.kind must be uplink, vxlan or isolated`);
  }
}

function object(value: unknown, path: string, keys: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${path} must be an object`);
  const unknown = Object.keys(value).find(key => !keys.includes(key));
  if (unknown !== undefined)
    throw new Error(`${path} has a key ${JSON.stringify(unknown)}, which is not known`);
  return value as Record<string, unknown>;
}

function list(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > mostEntries)
    throw new Error(`${path} must be a list of at most ${mostEntries}`);
  return value;
}

function text(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '' || value.length > 100)
    throw new Error(`${path} must be a text of at most 100 characters`);
  return value;
}

function ipv4(value: unknown, path: string): string {
  if (typeof value !== 'string' || !isIPv4(value))
    throw new Error(`${path} must be an IPv4 address such as 10.90.0.1`);
  return value;
}

function subnet(value: unknown, path: string): string {
  const [address, prefix, ...more] = typeof value === 'string' ? value.split('/') : [];
  const length = Number(prefix);
  if (more.length > 0 || String(length) !== prefix || !Number.isInteger(length) || length < 1 || length > 32)
    throw new Error(`${path} must be a network such as 10.90.0.0/16`);
  return `${ipv4(address, path)}/${length}`;
}

function whole(value: unknown, path: string, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most)
    throw new Error(`${path} must be a whole number from 1 to ${most}`);
  return value;
}
