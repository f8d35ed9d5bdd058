import { LrmError } from '../lrm.ts';
import { capacityOf, type SizedNode } from '../sizes.ts';
import { isNode, nodesOf, parseXml, textOf as text, type XmlNode } from '../xml.ts';
import { isClosed, type QueueStates } from './reasons.ts';

/** A node that has the queue. */
export interface Host extends SizedNode {
  readonly name: string;
  /** What it has, as far as is known: of a consumable what was left when nothing ran there. */
  readonly memoryMiB: number;
  /** What of the memory resource is left to jobs now; undefined when it is not counted. */
  readonly leftMiB?: number | undefined;
}

/**
 * Hosts of `qhost -q -F RESOURCE -xml` with one of the queues (null: any). Throws `LrmError`
 * (`unavailable`).
 */
export function parseHosts(
  stdout: string,
  queues: readonly string[] | null,
  resource: string,
): readonly Host[] {
  return hostsIn(stdout).flatMap(host => {
    const values = named(host['hostvalue']);
    const own = nodesOf(host['queue']).filter(each => queues?.includes(text(each['@name'])) ?? true);
    if (own.length === 0) return [];
    const ofQueues = own.map(each => named(each['queuevalue']));
    const used = nodesOf(host['queue']).map(each => named(each['queuevalue']).get('slots_used') ?? '0');
    const memoryMiB = sizeMiB(values.get('mem_total') ?? '');
    const counted = nodesOf(host['resourcevalue']).find(
      each => text(each['@name']) === resource && text(each['@dominance']).endsWith('c'),
    );
    return [
      {
        name: text(host['@name']),
        cpus: Math.max(...ofQueues.map(each => Number(each.get('slots') ?? 0))),
        memoryMiB,
        ...(counted ? { leftMiB: sizeMiB(text(counted)) } : {}),
        idle:
          memoryMiB > 0 &&
          // Jobs of other queues too: it is the same node.
          used.every(slots => slots === '0') &&
          ofQueues.some(each => !isClosed(each.get('state_string') ?? '')),
      },
    ];
  });
}

/** The states of all queues on all nodes, by `queue@node`, from `qhost -q -xml`. */
export function parseQueueStates(stdout: string): QueueStates {
  return new Map(
    hostsIn(stdout).flatMap(host =>
      nodesOf(host['queue']).map(
        each =>
          [
            `${text(each['@name'])}@${text(host['@name'])}`,
            named(each['queuevalue']).get('state_string') ?? '',
          ] as const,
      ),
    ),
  );
}

/** What nodes were seen to have. Of a consumable Grid Engine tells only what is left. */
export class Sizes {
  readonly #seen = new Map<string, number>();

  /** The hosts with the memory that jobs can have there. */
  of(hosts: readonly Host[]): readonly Host[] {
    return hosts.map(host => {
      const { name, leftMiB, memoryMiB, idle } = host;
      if (leftMiB === undefined) return host;
      const before = this.#seen.get(name);
      const seen = idle ? leftMiB : before === undefined ? undefined : Math.max(before, leftMiB);
      if (seen === undefined) return host;
      this.#seen.set(name, seen);
      return { ...host, memoryMiB: Math.min(seen, memoryMiB || seen) };
    });
  }
}

/** What hosts come to. `cpusAtMost`: what the parallel environments give. */
export function capacityWithin(hosts: readonly Host[], cpusAtMost: number) {
  return capacityOf(hosts.map(host => ({ ...host, cpus: Math.min(host.cpus, cpusAtMost) })));
}

function hostsIn(stdout: string): readonly XmlNode[] {
  const told = parseXml(stdout, 'Grid Engine')['qhost'];
  if (!isNode(told))
    throw new LrmError('unavailable', `qhost -xml printed no list of hosts: ${stdout.slice(0, 200)}`);
  return nodesOf(told['host']);
}

/** `1.367G` in MiB, to the nearest, as Grid Engine rounds what it prints; 0 for `-`. */
function sizeMiB(size: string): number {
  const match = /^([0-9.]+)([KMGT]?)$/.exec(size);
  const factors: Readonly<Record<string, number>> = {
    '': 2 ** -20,
    K: 2 ** -10,
    M: 1,
    G: 2 ** 10,
    T: 2 ** 20,
  };
  return match ? Math.round(Number(match[1]) * (factors[match[2] ?? ''] ?? 0)) : 0;
}

/** `<x name='a'>b</x>` as a map from a to b. */
function named(value: unknown): ReadonlyMap<string, string> {
  return new Map(nodesOf(value).map(each => [text(each['@name']), text(each['#text'])]));
}
