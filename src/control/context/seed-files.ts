import type { ContextPlan, VmPlan } from '../../protocol/plan.ts';

/**
 * The files of a VM's seed, by name; pure. One seed serves two kinds of guest: cloud-init reads `meta-data`, `user-data` and
 * `network-config` (its NoCloud data source); the `wsp-*` files are for images without it, and are complete: a guest copies
 * them into place and asks nobody. The layout is a contract with `guest/`.
 */
export function seedFiles(plan: VmPlan): ReadonlyMap<string, string | Uint8Array> {
  const { context } = plan;
  return new Map<string, string | Uint8Array>([
    ['meta-data', metaData(plan)],
    ['user-data', userData(context)],
    ['network-config', networkConfig(plan)],
    ['wsp-hosts', hostsFile(context)],
    ['wsp-known-hosts', knownHosts(context)],
    ['wsp-authorized-keys', lines([...context.authorizedKeys, context.clusterKey.publicKey])],
    ['wsp-host-key', ended(context.hostKey.privateKey)],
    ['wsp-host-key.pub', ended(context.hostKey.publicKey)],
    ['wsp-cluster-key', ended(context.clusterKey.privateKey)],
    ['wsp-cluster-key.pub', ended(context.clusterKey.publicKey)],
    ['wsp-roles', lines(context.roles)],
  ]);
}

/** YAML, with a plain `key: value` line for each scalar, so that a shell can read it too. */
function metaData({ vmId, context }: VmPlan): string {
  return lines([
    `instance-id: ${vmId}`,
    `local-hostname: ${context.hostname}`,
    // JSON is YAML.
    `public-keys: ${JSON.stringify(context.authorizedKeys)}`,
  ]);
}

/** Version 2: DHCP on every interface, known by its hardware address because names differ between guests. */
function networkConfig({ nics }: VmPlan): string {
  const ethernets = nics.map((nic, index) => [
    `nic${index}`,
    { match: { macaddress: nic.mac }, dhcp4: true, dhcp6: false },
  ]);
  return ended(JSON.stringify({ version: 2, ethernets: Object.fromEntries(ethernets) as unknown }));
}

/** Each VM's names, the preferred address first: resolvers take the first line that fits. */
function hostsFile(context: ContextPlan): string {
  return lines([
    '127.0.0.1 localhost',
    '::1 localhost ip6-localhost ip6-loopback',
    ...context.hosts.flatMap(host => host.addresses.map(address => `${address} ${host.name}`)),
  ]);
}

function knownHosts(context: ContextPlan): string {
  return lines(
    context.hosts.map(host => `${[host.name, ...host.addresses].join(',')} ${host.hostPublicKey}`),
  );
}

/** The user's own bytes. */
function userData(context: ContextPlan): string | Uint8Array {
  const { userData = defaultUserData(context) } = context;
  return typeof userData === 'string' ? userData : Buffer.from(userData.base64, 'base64');
}

/** What a cloud image does when the user says nothing: the identity, keys and names that the `wsp-*` files carry. */
function defaultUserData(context: ContextPlan): string {
  const config = {
    disable_root: false,
    manage_etc_hosts: false,
    ssh_deletekeys: true,
    ssh_keys: {
      ed25519_private: ended(context.hostKey.privateKey),
      ed25519_public: context.hostKey.publicKey,
    },
    users: [
      'default',
      { name: 'root', ssh_authorized_keys: [...context.authorizedKeys, context.clusterKey.publicKey] },
    ],
    write_files: [
      { path: '/etc/hosts', content: hostsFile(context) },
      { path: '/etc/ssh/ssh_known_hosts', content: knownHosts(context) },
      {
        path: '/root/.ssh/id_ed25519',
        content: ended(context.clusterKey.privateKey),
        permissions: '0600',
      },
    ],
  };
  return `#cloud-config\n${ended(JSON.stringify(config, undefined, 1))}`;
}

function lines(texts: readonly string[]): string {
  return texts.map(ended).join('');
}

function ended(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}
