import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';

/**
 * The checklists of CONTRIBUTING.md, followed: in a copy of the tree an LRM, a VMM, a policy and
 * a network link are added, each in its own place and by its line in one table. Then the types check,
 * a site file names them, and they are what the product works with.
 */

const root = new URL('../..', import.meta.url).pathname;

interface Member {
  /** Its only file. */
  readonly file: string;
  readonly text: string;
  readonly table: string;
  /** Where its line goes: before the end of the table's list. */
  readonly list: RegExp;
  readonly name: string;
}

const lrm: Member = {
  file: 'src/lrm/dummy/index.ts',
  table: 'src/lrm/index.ts',
  list: /(const lrms[^\]]*\[\][^[]*\[[^\]]*)\]/,
  name: 'dummyLrm',
  text: `import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import type { LrmKind } from '../kind.ts';
import type { Lrm } from '../lrm.ts';

const schema = ({ Type, strict, Word }: SectionKit) =>
  Type.Object({ kind: Type.Literal('dummy'), prefix: Word }, strict);

type Settings = EntryOf<typeof schema>;

const lrm = ({ prefix }: Settings): Lrm => ({
  kind: 'dummy',
  capabilities: () =>
    Promise.resolve({
      nodes: 1,
      memoryMiBPerNode: 1_024,
      cpusPerNode: 1,
      killDelayMs: 1_000,
      nodeNameEnv: [],
      jobEndEnv: [],
      walltimeStepMs: 1_000,
    }),
  submit: ({ jobName }) => Promise.resolve(prefix + jobName),
  dryRun: () => Promise.resolve(),
  list: () => Promise.resolve([]),
  cancel: () => Promise.resolve(),
  extend: (_jobId, endsAt) => Promise.resolve(endsAt),
  onChange: () => () => undefined,
  close: () => Promise.resolve(),
});

export const dummyLrm: LrmKind = {
  kind: 'dummy',
  schema,
  read: (entry: Settings) => ({ lrm: entry, gang: { options: [] } }),
  open: (settings: Settings) => ({ lrm: lrm(settings) }),
};
`,
};

const vmm: Member = {
  file: 'src/control/vmm/dummy/index.ts',
  table: 'src/control/vmm/index.ts',
  list: /(const vmms[^\]]*\[\][^[]*\[[^\]]*)\]/,
  name: 'dummyVmm',
  text: `import type { EntryOf, SectionKit } from '../../../protocol/section.ts';
import type { VmmKind } from '../kind.ts';
import { createSimVmm } from '../sim/driver.ts';

const schema = ({ Type, strict, Memory }: SectionKit) =>
  Type.Object({ kind: Type.Literal('dummy'), each: Memory }, strict);

type Settings = { readonly kind: 'dummy'; readonly eachMiB: number };

export const dummyVmm: VmmKind = {
  kind: 'dummy',
  schema,
  read: ({ kind, each }: EntryOf<typeof schema>, { memoryMiB }): Settings => ({
    kind,
    eachMiB: memoryMiB(each, 'each'),
  }),
  traits: ({ eachMiB }: Settings) => ({
    needsHelper: false,
    memory: { fixedMiB: eachMiB, perCpuMiB: 0, guestShare: 0 },
  }),
  create: (_settings: Settings, _scratchDirectory, { clock }) =>
    createSimVmm({ kind: 'sim', startMs: 0, bootMs: 0, stopMs: 0 }, clock),
};
`,
};

const policy: Member = {
  file: 'src/lease/policies/dummy.ts',
  table: 'src/lease/policies/index.ts',
  list: /(const table = \[[^\]]*)\]/,
  name: 'dummyPolicy',
  text: `import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import { exactSlot } from './exact.ts';
import type { PolicyKind } from './policy.ts';

const schema = ({ Type, strict }: SectionKit) =>
  Type.Object({ kind: Type.Literal('dummy'), spare: Type.Integer({ minimum: 0 }) }, strict);

type DummyPolicy = EntryOf<typeof schema>;

export const dummyPolicy = {
  kind: 'dummy',
  schema,
  read: (entry: DummyPolicy): DummyPolicy => entry,
  slot(policy: DummyPolicy, groups, durationMs, settings) {
    const exact = exactSlot(groups, durationMs, settings);
    return { ...exact, nodesWanted: exact.nodesWanted + policy.spare };
  },
  vmsPerNode: () => 1,
} satisfies PolicyKind;
`,
};

const link: Member = {
  file: 'src/control/network/links/dummy.ts',
  table: 'src/control/network/links/index.ts',
  list: /(const links[^\]]*\[\][^[]*\[[^\]]*)\]/,
  name: 'dummyLink',
  text: `import type { EntryOf, SectionKit } from '../../../protocol/section.ts';
import type { LinkKind } from './kind.ts';

const schema = ({ Type, strict, Word }: SectionKit) =>
  Type.Object({ over: Word, tag: Type.Integer({ minimum: 1, maximum: 4_094 }) }, strict);

type Tagged = { readonly kind: 'dummy'; readonly over: string; readonly tag: number };

export const dummyLink: LinkKind = {
  kind: 'dummy',
  mtu: 1_496,
  schema,
  read: (written: EntryOf<typeof schema>): Tagged => ({ kind: 'dummy', ...written }),
  parse(from): Tagged {
    const { over, tag } = from.object('kind', 'over', 'tag');
    return { kind: 'dummy', over: over.text(/^[a-z0-9]{1,15}$/, 'an interface'), tag: tag.integer(1, 4_094) };
  },
  words: ({ over, tag }: Tagged) => \`tagged \${tag} over \${over}\`,
  text: ({ over, tag }: Tagged) => \`dummy \${tag} over \${over}\`,
  makes: ({ over, tag }: Tagged) => \`vlan id \${tag} link \${over}\`,
};
`,
};

const members = [lrm, vmm, policy, link];

/** What is asked of the copy: the product's own parser, factories and core, with the new members in them. */
const program = `import { parseHelperPolicy, policyWords } from './src/control/helper/policy-document.ts';
import { requireAllowed } from './src/control/helper/policy.ts';
import { parseRequest } from './src/control/helper/requests.ts';
import { bridgeCommands } from './src/control/network/bridge.ts';
import { vmmKind } from './src/control/vmm/index.ts';
import { slotFor } from './src/lease/policies/index.ts';
import { openLrm } from './src/lrm/index.ts';
import { systemClock } from './src/platform/clock.ts';
import { silentLog } from './src/platform/log.ts';
import { helperPolicyOf } from './src/service/config/helper-policy.ts';
import { leaseSettings, parseSite } from './src/service/config/site.ts';
import { planVm } from './src/service/pilots/plan.ts';
import { noQuotas } from './src/lease/quota.ts';

const site = parseSite(process.argv[2] ?? '', process.argv[3] ?? '');
const [pool] = site.pools;
if (!pool) throw new Error('no pool');
const { lrm } = await openLrm(pool.lrm, '');
const jobId = await lrm.submit({
  jobName: 'wsp-slot-a',
  nodes: 1,
  memoryMiBPerNode: 1,
  cpusPerNode: 1,
  walltimeMs: 1,
  program: '',
  ...pool.gang,
});
const vmm = vmmKind(pool.node.vmm).create(pool.node.vmm, '', { clock: systemClock, log: silentLog });
const machine = { vmId: 'vm-a', name: 'a', directory: '/', memoryMiB: 1, cpus: 1, agent: false };
const vm = await vmm.start(
  { ...machine, boot: { kind: 'disk' }, machine: 'q35', disks: [], nics: [] },
  { context: () => undefined, exited: () => undefined },
);
await vm.destroy();
const settings = { ...leaseSettings(site), quotas: noQuotas, images: [], pools: [], site: null };
const { policy, memory } = pool;
const slot = slotFor([{ count: 2, memoryMiB: 100, cpus: 1 }], 60_000, { ...settings, policy, memory });

const address = { network: 'lan', mac: '02:00:00:00:00:01', address: '10.90.0.1', tap: 'wt1' };
const key = { privateKey: '', publicKey: '' };
const secrets = { request: { groups: [] }, clusterKey: key, hostKeys: { 'a-0': key } };
const planned = planVm(
  { id: 'vm-a', name: 'a-0', nics: [address], node: 'n1' } as never,
  { workspace: { id: 'ws-a', groups: [], vnis: {} }, vms: [], slot: { nodes: [] }, secrets } as never,
  { networks: site.networks, imageDirectory: () => '/images', contextTimeoutMs: 1 },
);
const line = JSON.stringify({ id: 1, op: 'attach-nic', nic: planned.nics[0], hostname: 'a-0' });
const asked = parseRequest(line);
const written = parseHelperPolicy(JSON.parse(JSON.stringify(helperPolicyOf(site))));
if (asked.op !== 'attach-nic') throw new Error('another request');
requireAllowed(written, asked.nic);
const refusal = (check: () => void): string => {
  try {
    check();
    return 'none';
  } catch (cause) {
    return (cause as Error).message;
  }
};
const { bridge } = asked.nic;
const other = { ...asked.nic, bridge: { ...bridge, link: { ...bridge.link, tag: 8 } } };
const links = {
  link: bridge.link,
  mtu: bridge.mtu,
  words: policyWords(written),
  made: bridgeCommands(bridge, '02:aa', 'mark').slice(2),
  notAllowed: refusal(() => requireAllowed(written, other)),
  notRead: refusal(() => parseRequest(line.replace('"tag":7', '"tag":0'))),
};
console.log(JSON.stringify({ jobId, lrm: lrm.kind, vmm: pool.node.vmm, slot, links }));
`;

const site = {
  service: { listen: '127.0.0.1:0', stateDir: 'state', tokensFile: 'tokens' },
  lrm: { kind: 'dummy', prefix: 'job-of-' },
  policy: { kind: 'dummy', spare: 3 },
  images: { dir: '.' },
  networks: [{ name: 'lan', subnet: '10.90.0.0/24', link: { dummy: { over: 'eth1', tag: 7 } } }],
  node: { workDir: 'work', helper: ['helper'], vmm: { kind: 'dummy', each: '7M' } },
};

let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'wsp-new-members-'));
  const isTest = (path: string): boolean => /[.](test|contract)[.]ts$/.test(path);
  cpSync(join(root, 'src'), join(copy, 'src'), { recursive: true, filter: path => !isTest(path) });
  for (const name of ['package.json', 'tsconfig.json']) cpSync(join(root, name), join(copy, name));
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const { file, text, table, list, name } of members) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    writeFileSync(join(copy, file), text);
    const before = readFileSync(join(copy, table), 'utf8');
    const from = file.slice(dirname(table).length + 1);
    writeFileSync(
      join(copy, table),
      `import { ${name} } from './${from}';\n${before.replace(list, `$1, ${name}]`)}`,
    );
  }
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

/** Paths of all files below a directory of that tree. */
function filesOf(tree: string): readonly string[] {
  return readdirSync(join(tree, 'src'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(tree.length).replace(/^[/]/, ''));
}

/** What a program prints; it must end well, and within two minutes. */
async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await systemProcesses.run([program, ...args], {
    deadlineMs: 120_000,
    cwd: copy,
  });
  expect([code, stderr, code === 0 ? '' : stdout]).toEqual([0, '', '']);
  return stdout;
}

describe('an LRM, a VMM, a policy and a network link that are added as CONTRIBUTING.md says', () => {
  it('touch a file of their own and one table each', () => {
    const before = new Set(filesOf(root));
    const text = (tree: string, path: string): string => readFileSync(join(tree, path), 'utf8');
    const touched = filesOf(copy).filter(path => !before.has(path) || text(copy, path) !== text(root, path));
    expect([...touched].sort()).toEqual(members.flatMap(({ file, table }) => [file, table]).sort());
  });

  it('have all that they need in their types', async () => {
    writeFileSync(join(copy, 'program.ts'), program);
    const only = { extends: './tsconfig.json', include: ['src', 'program.ts'] };
    writeFileSync(join(copy, 'tsconfig.only.json'), JSON.stringify(only));
    await run(join(root, 'node_modules/.bin/tsc'), '--noEmit', '-p', 'tsconfig.only.json');
  }, 180_000);

  it('are named in a site file, and are what the product works with', async () => {
    writeFileSync(join(copy, 'program.ts'), program);
    const bundle = [
      '--bundle',
      '--platform=node',
      '--format=esm',
      '--packages=external',
      '--log-level=error',
    ];
    await run(join(root, 'node_modules/.bin/esbuild'), 'program.ts', ...bundle, '--outfile=program.mjs');
    const printed = await run(process.execPath, 'program.mjs', JSON.stringify(site), join(copy, 'site.yaml'));
    expect(JSON.parse(printed)).toMatchObject({
      jobId: 'job-of-wsp-slot-a',
      lrm: 'dummy',
      vmm: { kind: 'dummy', eachMiB: 7 },
      slot: { nodesWanted: 5, memoryMiBPerNode: 100 + 7 + 96 },
      links: {
        link: { kind: 'dummy', over: 'eth1', tag: 7 },
        mtu: 1_496,
        words: ['network lan: VMs with the addresses 10.90.0.1 to 10.90.0.254, tagged 7 over eth1'],
        made: [
          expect.stringMatching(/^link add name wb\w{8}x type vlan id 7 link eth1$/),
          expect.stringMatching(/^link set dev (wb\w{8})x mtu 1496 master \1 alias mark$/),
          expect.stringMatching(/^link set dev wb\w{8}x type bridge_slave learning off$/),
        ],
        notAllowed: expect.stringContaining('does not allow network lan with the link'),
        notRead: 'nic.bridge.link.tag must be a whole number from 1 to 4094 (it is 0)',
      },
    });
  }, 60_000);
});
