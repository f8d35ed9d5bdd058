import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { lstatIfThere } from '../../src/platform/stat.ts';
import { ownPort } from '../../src/control/network/bridge.ts';
import type { BareNodes } from '../support/node.ts';

/**
 * A node's things by name, each with all that is to be seen of it as text:
 *
 *   tap:<name> route:<address> bridge:<name> peers:<bridge>   what helpers make
 *   slot:<key> record:<key>                                   what they write
 *   node                                                      all the rest
 *
 * Rules, routes and files are with the thing that they belong to.
 */
export type Look = ReadonlyMap<string, string>;

type Item = { readonly [key: string]: unknown };

/** Looks at everything on the first node. */
export async function lookAt(nodes: BareNodes): Promise<Look> {
  const ask = async (...argv: readonly string[]): Promise<readonly Item[]> => {
    const { stdout } = await nodes.run(0, ...argv);
    return JSON.parse(stdout || '[]', (key, value: unknown) =>
      /timer|life_time|topology/.test(key) ? undefined : value,
    );
  };
  const [links, routes, entries, [ruleset = {}]] = await Promise.all([
    ask('ip', '-details', '-json', 'address'),
    ask('ip', '-json', 'route', 'show', 'table', 'all'),
    ask('bridge', '-json', 'fdb', 'show'),
    nodes
      .run(0, 'nft', '-j', 'list', 'ruleset')
      .then(({ stdout }) => [JSON.parse(stdout) as { nftables: readonly Item[] }]),
  ]);
  const found = new Notes();
  for (const link of links) found.note(ownerOfDevice(String(link['ifname'])), link);
  for (const route of routes) found.note(ownerOfRoute(route), route);
  for (const entry of entries) {
    const port = String(entry['ifname']);
    // A bridge may be called as a VXLAN is; its own entries have neither.
    const isTunnels = entry['dst'] !== undefined || entry['master'] === port.slice(0, -1);
    if (port.startsWith('wb') && port.endsWith('x') && isTunnels)
      found.note(`peers:${port.slice(0, -1)}`, entry);
  }
  for (const item of (ruleset as { nftables: readonly Item[] }).nftables) noteRule(item, found);
  noteFiles(nodes, found);
  return found.look();
}

/** Collects what belongs to each thing. */
class Notes {
  readonly #texts = new Map<string, string[]>();

  note(thing: string | undefined, what: unknown): void {
    if (thing === undefined) return;
    const texts = this.#texts.get(thing) ?? [];
    texts.push(typeof what === 'string' ? what : JSON.stringify(what));
    this.#texts.set(thing, texts);
  }

  /** In no order: a table that is made again comes last. */
  look(): Look {
    return new Map([...this.#texts].map(([thing, texts]) => [thing, texts.toSorted().join('\n')]));
  }
}

/** The site's second network is a bridge's from time to time; it is looked at at the end. */
const uplink = 'eth1';

function ownerOfDevice(name: string): string | undefined {
  if (name === uplink) return undefined;
  if (name.startsWith('wt')) return `tap:${name}`;
  return name.startsWith('wb') ? `bridge:${name}` : 'node';
}

function ownerOfRoute({ dev, dst, type }: Item): string | undefined {
  const owner = ownerOfDevice(String(dev));
  return owner?.startsWith('bridge:') && type === undefined ? `route:${String(dst)}` : owner;
}

/** A rule, chain, set or table of nft's, to what its table is named after. */
function noteRule(item: Item, found: Notes): void {
  const [[kind, value = {}] = []] = Object.entries(item) as [string, Item][];
  if (kind === undefined || kind === 'metainfo') return;
  const table = String(kind === 'table' ? value['name'] : value['table']);
  const owner = table.startsWith('wsp-') ? ownerOfDevice(table.slice(4)) : 'node';
  if (kind !== 'set') return found.note(owner, item);
  const { elem, ...set } = value;
  found.note(owner, { set });
  found.note(`peers:${table.slice(4)}`, { elem: elem ?? [] });
}

/** What the helper has written of each thing. */
function noteFiles(nodes: BareNodes, found: Notes): void {
  const state = join(nodes.stateDir, 'n01');
  for (const key of namesIn(join(state, 'slots')))
    found.note(`slot:${key}`, textOf(join(state, 'slots', key, 'undo.jsonl')));
  for (const bridge of namesIn(join(state, 'bridges'))) {
    const at = join(state, 'bridges', bridge);
    const pid = textOf(join(at, 'pid')).trim();
    const { peers = [], ...record } = JSON.parse(textOf(join(at, 'record')) || '{}') as Item;
    found.note(`bridge:${bridge}`, { record, pid, service: textOf(`/proc/${pid}/cmdline`) });
    found.note(`peers:${bridge}`, { recorded: peers });
    for (const kind of ['members', 'hosts'])
      for (const tap of namesIn(join(at, kind))) found.note(`tap:${tap}`, textOf(join(at, kind, tap)));
  }
  const records = join(`${nodes.stateDir}-disk`, 'n01');
  for (const key of namesIn(records)) found.note(`record:${key}`, textOf(join(records, key)));
  for (const name of ['null', 'zero', 'urandom', 'net/tun']) {
    const { mode, uid, gid } = lstatSync(join('/dev', name));
    found.note('node', `${name} ${mode} ${uid} ${gid}`);
  }
}

/** A directory and all that is in it, as text; 'none' where there is none. */
export function directoryText(path: string): string {
  const about = lstatIfThere(path);
  if (!about) return 'none';
  if (about.isSymbolicLink()) return `link to ${readlinkSync(path)}`;
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).toSorted();
  const parts = files.map(
    name => `${name} ${lstatSync(join(path, name)).isFile() ? textOf(join(path, name)) : ''}`,
  );
  return `${about.ino} ${about.uid} ${createHash('sha256').update(parts.join('\n')).digest('hex')}`;
}

function namesIn(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

/** The interfaces that a bridge is made of. */
export function devicesOf(bridge: string, isVxlan: boolean): readonly string[] {
  return isVxlan ? [bridge, ownPort(bridge)] : [bridge];
}
