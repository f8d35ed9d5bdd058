import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { systemRandom } from '../../platform/random.ts';
import { good, warning } from '../../protocol/check.ts';
import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import type { LrmKind, OpenedLrm } from '../kind.ts';
import { ownKillDelayMs } from '../lrm.ts';
import { LocalLrm } from './local.ts';
import { endNodes, makeNodes } from './namespaces.ts';

const schema = ({ Type, strict, Memory }: SectionKit) =>
  Type.Object(
    {
      kind: Type.Literal('local'),
      nodes: Type.Integer({ minimum: 1, maximum: 64 }),
      /** What each node has. Default: an equal share of this machine's memory, and all of its processors. */
      memoryPerNode: Type.Optional(Memory),
      cpusPerNode: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_024 })),
      /** `auto`: each node in a network namespace of its own when root, else `none`. */
      namespaces: Type.Optional(Type.Union([Type.Literal('auto'), Type.Literal('none')])),
    },
    strict,
  );
type Entry = EntryOf<typeof schema>;

interface Settings {
  readonly kind: 'local';
  readonly nodes: number;
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  /** `auto`: each node in a network namespace of its own when we are root. */
  readonly namespaces: 'auto' | 'none';
  readonly killDelayMs: number;
}

/** The embedded LRM. */
export const localKind: LrmKind = {
  kind: 'local',
  onThisHost: true,
  schema,
  read(entry: Entry, { memoryMiB }) {
    const { kind, nodes, memoryPerNode, cpusPerNode = availableParallelism(), namespaces = 'auto' } = entry;
    const memoryMiBPerNode =
      memoryPerNode === undefined
        ? Math.floor(totalmem() / 2 ** 20 / nodes)
        : memoryMiB(memoryPerNode, 'memoryPerNode');
    const lrm: Settings = {
      kind,
      nodes,
      memoryMiBPerNode,
      cpusPerNode,
      namespaces,
      killDelayMs: ownKillDelayMs,
    };
    return { lrm, gang: { options: [] } };
  },
  onlyOnce: ({ namespaces }: Entry) =>
    namespaces === 'none'
      ? undefined
      : {
          key: 'namespaces',
          message:
            'must be none: the nodes of one local pool only can have network namespaces, as the service listens in one network of theirs',
        },
  check(settings: Settings, name) {
    const { nodes, memoryMiBPerNode, cpusPerNode } = settings;
    const size = `${nodes} nodes of ${memoryMiBPerNode} MiB and ${cpusPerNode} processors on this host`;
    if (settings.namespaces === 'none' || isRoot()) return good(name, `local: ${size}`);
    return warning(
      name,
      `local: ${size}, without networks of their own`,
      'run the service as root to give each node a network namespace',
    );
  },
  open: openLocal,
};

const isRoot = (): boolean => process.getuid?.() === 0;

async function openLocal(settings: Settings, directory: string): Promise<OpenedLrm> {
  const whole = { ...settings, node: process.execPath };
  const parts = { clock: systemClock, startChild };
  if (settings.namespaces === 'none' || !isRoot()) {
    const nodes = Array.from({ length: settings.nodes }, (_, index) => ({
      name: `n${String(index + 1).padStart(2, '0')}`,
    }));
    return { lrm: new LocalLrm({ ...whole, nodes }, parts) };
  }
  const tag = Buffer.from(systemRandom.bytes(2)).toString('hex');
  const leaving = leaveLastNodes(directory, tag);
  const networks = await makeNodes(tag, settings.nodes);
  const afterClose = async (): Promise<void> => {
    await leaving;
    await networks.remove();
    if (directory !== '') rmSync(join(directory, tagFile), { force: true });
  };
  return {
    lrm: new LocalLrm({ ...whole, nodes: networks.nodes }, { ...parts, afterClose }),
    headAddress: networks.headAddress,
    vmLan: networks.vmLan,
  };
}

/** Names the nodes of the embedded LRM, so that those of a service that was killed are found by the next. */
const tagFile = 'nodes-tag';

/** Writes down our tag, and takes down, beside all else, nodes that the last service has left. */
function leaveLastNodes(directory: string, tag: string): Promise<void> {
  // Nobody keeps anything: we only look (doctor).
  if (directory === '') return Promise.resolve();
  const path = join(directory, tagFile);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const last = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  writeFileSync(path, `${tag}\n`);
  return /^[0-9a-f]{4}$/.test(last) ? endNodes(last, systemClock).catch(() => undefined) : Promise.resolve();
}
