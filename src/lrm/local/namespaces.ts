import { networkInterfaces } from 'node:os';
import { type Clock, pause } from '../../platform/clock.ts';
import { systemProcesses } from '../../platform/process.ts';

/**
 * Nodes as network namespaces: `eth0` on a site network that this machine, the head, is on too; `eth1` on a second network, the VMs' public LAN.
 * Names carry the site's tag, so several sites can be up at once and each removes only its own.
 */
export interface NodeNetworks {
  readonly headAddress: string;
  readonly vmLan: { readonly bridge: string; readonly subnet: string; readonly gateway: string };
  readonly nodes: readonly NamespaceNode[];
  remove(): Promise<void>;
}

/** A node that is a network namespace, and its address on the network of the nodes. */
export interface NamespaceNode {
  readonly name: string;
  readonly netns: string;
  readonly address: string;
}

/** Makes `count` nodes. `tag`: up to five letters or digits, unique on the machine. Needs root. */
export async function makeNodes(tag: string, count: number): Promise<NodeNetworks> {
  const site = `ws${tag}s`;
  const lan = `ws${tag}v`;
  const nodes: NamespaceNode[] = [];
  const remove = async (): Promise<void> => {
    for (const node of nodes) await ip(['netns', 'del', node.netns]).catch(() => undefined);
    for (const bridge of [site, lan]) await ip(['link', 'del', bridge]).catch(() => undefined);
  };
  let third: number;
  try {
    await batch([site, lan].map(bridge => `link add ${bridge} type bridge`));
    third = await claimThirdOctet(site);
    for (let index = 0; index < count; index += 1) nodes.push(nodeOf(tag, third, index));
    await batch([
      `addr add 10.77.${third}.1/24 dev ${site}`,
      `addr add 10.78.${third}.1/24 dev ${lan}`,
      ...[site, lan].map(bridge => `link set ${bridge} up`),
    ]);
    for (const [index, node] of nodes.entries()) await plugNode(tag, node, index);
  } catch (cause) {
    await remove();
    throw cause;
  }
  return {
    headAddress: `10.77.${third}.1`,
    vmLan: { bridge: lan, subnet: `10.78.${third}.0/24`, gateway: `10.78.${third}.1` },
    nodes,
    remove,
  };
}

function nodeOf(tag: string, third: number, index: number): NamespaceNode {
  const name = `n${String(index + 1).padStart(2, '0')}`;
  return { name, netns: `ws${tag}-${name}`, address: `10.77.${third}.${index + 11}` };
}

/** Makes one node, the `index`th of its site, and plugs it into the site's two networks. */
export async function plugNode(tag: string, node: NamespaceNode, index: number): Promise<void> {
  await batch([
    `netns add ${node.netns}`,
    ...[`ws${tag}s`, `ws${tag}v`].flatMap((bridge, ethernet) => [
      `link add ${bridge}${index} type veth peer name eth${ethernet} netns ${node.netns}`,
      `link set ${bridge}${index} master ${bridge} up`,
    ]),
  ]);
  await batch(
    ['link set lo up', `addr add ${node.address}/24 dev eth0`, 'link set eth0 up', 'link set eth1 up'],
    node.netns,
  );
}

/** How long pilots of nodes that are taken down have, to shut guests down and undo what they changed. */
const leaveDeadlineMs = 40_000;

/**
 * Takes down the nodes with this tag, whoever made them: those of a service that was killed. What runs on them gets SIGTERM, and SIGKILL when it is still
 * there after the deadline. Nodes that are not there are no error.
 */
export async function endNodes(tag: string, clock: Clock): Promise<void> {
  const names = async (): Promise<readonly string[]> =>
    (await answer(['netns', 'list']))
      .split('\n')
      .map(line => line.split(' ')[0] ?? '')
      .filter(name => name.startsWith(`ws${tag}-`));
  const pids = async (): Promise<readonly number[]> => {
    const lists = await Promise.all((await names()).map(name => answer(['netns', 'pids', name])));
    return lists.flatMap(list => list.split('\n').filter(Boolean).map(Number));
  };
  for (const pid of await pids()) signal(pid, 'SIGTERM');
  const deadlineMs = clock.monotonicMs() + leaveDeadlineMs;
  // The kernel tells the end of a process only to its parent, which is gone.
  while ((await pids()).length > 0 && clock.monotonicMs() < deadlineMs) await pause(clock, 200);
  for (const pid of await pids()) signal(pid, 'SIGKILL');
  for (const name of await names()) await answer(['netns', 'del', name]);
  for (const bridge of [`ws${tag}s`, `ws${tag}v`]) await answer(['link', 'del', bridge]);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

/** What ip(8) prints; nothing when it fails. */
async function answer(args: readonly string[]): Promise<string> {
  return (await systemProcesses.run(['ip', ...args], { deadlineMs: 30_000 })).stdout;
}

/**
 * The first third octet of 10.77.x and 10.78.x that no interface of this machine has, claimed for `bridge`: by a second name, which the kernel gives to one
 * interface only, so that two sites that start in the same moment do not take the same. The claim ends with the bridge.
 */
async function claimThirdOctet(bridge: string): Promise<number> {
  const taken = new Set(
    Object.values(networkInterfaces()).flatMap(addresses => (addresses ?? []).map(({ address }) => address)),
  );
  for (let third = 1; third < 250; third += 1) {
    if (taken.has(`10.77.${third}.1`) || taken.has(`10.78.${third}.1`)) continue;
    const claim = ['link', 'property', 'add', 'dev', bridge, 'altname', `wsp-site-network-${third}`];
    const { code, stderr } = await systemProcesses.run(['ip', ...claim], { deadlineMs: 30_000 });
    if (code === 0) return third;
    if (!stderr.includes('File exists')) throw new Error(`ip ${claim.join(' ')}: ${stderr.trim()}`);
  }
  throw new Error('no free test network among 10.77.1.0/24 to 10.77.249.0/24');
}

async function ip(args: readonly string[], input?: string): Promise<void> {
  const result = await systemProcesses.run(['ip', ...args], { deadlineMs: 30_000, input });
  if (result.code !== 0) throw new Error(`ip ${args.join(' ')}: ${result.stderr.trim()}`);
}

async function batch(lines: readonly string[], netns?: string): Promise<void> {
  // `ip -batch` does not do netns commands.
  if (netns === undefined) for (const line of lines) await ip(line.split(' '));
  else await ip(['-n', netns, '-batch', '-'], `${lines.join('\n')}\n`);
}
