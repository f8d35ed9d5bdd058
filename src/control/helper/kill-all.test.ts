import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ImitatedNode, nicOf } from '../../../test/support/imitated-node.ts';
import type { RunOptions } from '../../platform/process.ts';
import { deleteRulesOf } from '../network/filter.ts';
import { forgetCaller } from './ambient.ts';
import { removeEmptyCgroups } from './cgroups.ts';
import { undoJournal } from './journal.ts';
import { type KillAllReport, runKillAll } from './kill-all.ts';
import { ownLinks } from './leftovers.ts';
import { startTimeOf } from './proc.ts';
import { keyText } from './slot-key.ts';

/** kill-all on an imitated node; on real ones in test/e2e/kill-all.test.ts. */

const interfaces = vi.hoisted(() => new Set<string>());
const here = vi.hoisted(() => ({ node: undefined as unknown, host: 'n01.site', printed: [] as string[] }));
vi.mock('../network/interfaces.ts', () => ({ interfaceNames: () => new Set(interfaces) }));
vi.mock('./ambient.ts', () => ({ forgetCaller: vi.fn() }));
vi.mock('./cgroups.ts', () => ({ removeEmptyCgroups: vi.fn() }));
vi.mock('../../platform/printing.ts', () => ({ print: (text: string) => here.printed.push(text) }));
vi.mock('node:os', async original => ({
  ...(await original<typeof import('node:os')>()),
  hostname: () => here.host,
}));
vi.mock('../../platform/process.ts', async original => ({
  ...(await original<typeof import('../../platform/process.ts')>()),
  systemProcesses: {
    run: (argv: readonly string[], { input }: RunOptions) => (here.node as ImitatedNode).run(argv, input),
  },
}));

const ownUid = process.getuid?.() ?? 0;
const [one, two] = ['slot-aaaaaaaaaa', 'slot-aaaaaaaaab'].map(slotId => ({ slotId, uid: ownUid })) as [
  { slotId: string; uid: number },
  { slotId: string; uid: number },
];

let node: ImitatedNode;
let errors: string[];
beforeEach(() => {
  here.node = node = new ImitatedNode(interfaces);
  here.host = 'n01.site';
  errors = [];
  here.printed.length = 0;
  vi.spyOn(process, 'getuid').mockReturnValue(0);
  vi.spyOn(process.stderr, 'write').mockImplementation(text => errors.push(String(text)) > 0);
  vi.mocked(removeEmptyCgroups).mockClear();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await node.remove();
});

const directories = (): string[] => [
  '--state-dir',
  join(node.place, 'state'),
  '--disk-dir',
  join(node.place, 'disk'),
];

async function killAll(...more: readonly string[]): Promise<{ readonly code: number } & KillAllReport> {
  const code = await runKillAll([...directories(), '--json', ...more]);
  return { code, ...(JSON.parse(here.printed.splice(0).join('')) as KillAllReport) };
}

/** A slot with an interface. */
async function slot(key: typeof one, number: number): Promise<void> {
  const nic = nicOf(number);
  undoJournal(node.at, key).append({ kind: 'nic', tap: nic.tap, bridge: 'wbtest', address: nic.address });
  await node.bridges.join(nic, 'vm', key);
  await node.tools.ipBatch([
    `tuntap add dev ${nic.tap} mode tap user 0`,
    `link set dev ${nic.tap} mtu 1500 master wbtest alias ${node.at.mark}`,
  ]);
  node.taken();
}

describe('kill-all', () => {
  it('undoes every slot, and what belongs to none; then the node is a job node again', async () => {
    await slot(one, 1);
    await slot(two, 2);
    const report = await killAll('--node', 'n01');
    expect({ ...report, undone: report.undone.toSorted() }).toEqual({
      ...{ code: 0, node: 'n01', left: [] },
      undone: [one.slotId, two.slotId],
    });
    expect([[...interfaces], [...node.tables], existsSync(join(node.place, 'state'))]).toEqual([
      ['lo', 'eth1'],
      [],
      false,
    ]);
    expect([vi.mocked(forgetCaller).mock.calls.length > 0, removeEmptyCgroups]).toEqual([
      true,
      removeEmptyCgroups,
    ]);
    expect(removeEmptyCgroups).toHaveBeenCalledTimes(1);
    expect(await killAll('--node', 'n01')).toEqual({ code: 0, node: 'n01', undone: [], left: [] });
  });

  it('undoes one slot, and says nothing of the rest', async () => {
    await slot(one, 1);
    await slot(two, 2);
    node.at.records.keep({ slotId: 'slot-aaaaaaaaac', uid: ownUid }, { path: '/none', uid: 0, gid: 0 });
    expect(await runKillAll([...directories(), '--node', 'n01', '--slot', one.slotId])).toBe(0);
    expect(here.printed.splice(0)).toEqual([
      `${one.slotId}: undone\nnothing of ${one.slotId} is left on n01\n`,
    ]);
    expect([interfaces.has('wttest1'), interfaces.has('wttest2')]).toEqual([false, true]);
    expect(node.at.records.all()).toHaveLength(1);
    expect(removeEmptyCgroups).not.toHaveBeenCalled();
  });

  it('goes on after what it cannot undo, and says what is left; that keeps what it has', async () => {
    await slot(one, 1);
    await slot(two, 2);
    interfaces.add('wbother');
    node.shown.set('wbother', { ifalias: node.at.mark });
    node.failsAt = 'link del dev wttest1\n';
    expect(await runKillAll([...directories(), '--node', 'n01'])).toBe(1);
    const text = here.printed.splice(0).join('');
    expect(text).toContain(`${two.slotId}: undone\nleft: ${one.slotId}: not undone: interfaces: wttest1`);
    expect(text).toContain(
      'left: interface wbother is there, but in no journal under this state directory\n',
    );
    expect(text).toMatch(/\nn01 is NOT restored\n$/);
    expect([...interfaces].toSorted()).toEqual(['eth1', 'lo', 'wbother', 'wbtest', 'wttest1']);
  });

  it('removes the files that a power loss has left', async () => {
    const path = node.directory('files');
    node.at.records.keep(one, { path, uid: ownUid, gid: 0 });
    expect(await killAll('--node', 'n01')).toMatchObject({ code: 0, undone: [one.slotId] });
    expect(existsSync(path)).toBe(false);
  });

  it('says which of those files it could not remove', async () => {
    node.at.records.keep(one, { path: node.directory('files'), uid: ownUid, gid: 0 });
    node.failsAt = 'rm -rf';
    const report = await killAll('--node', 'n01');
    expect([report.code, report.undone, report.left.length]).toEqual([1, [], 1]);
  });

  it('removes what slots have whose journal somebody has deleted', async () => {
    await slot(one, 1);
    rmSync(join(node.at.slots, keyText(one)), { recursive: true });
    expect(await killAll('--node', 'n01')).toEqual({
      ...{ code: 0, node: 'n01', left: [] },
      undone: ['interface wttest1'],
    });
    expect([[...interfaces], node.bridges.names()]).toEqual([['lo', 'eth1'], []]);
  });

  it('removes the interfaces of a state directory that is lost, with their rules and their DHCP service', async () => {
    await slot(one, 1);
    const dhcp = await node.startDhcp(node.at.dhcpPidOf('wbtest'));
    rmSync(join(node.place, 'state'), { recursive: true });
    interfaces.add('wbforeign');
    const report = await killAll('--node', 'n01');
    expect({ ...report, undone: report.undone.toSorted() }).toEqual({
      ...{ code: 1, node: 'n01' },
      undone: ['interface wbtest', 'interface wttest1'],
      left: ['interface wbforeign is there, but in no journal under this state directory'],
    });
    for (const name of ['wbtest', 'wttest1'])
      expect(node.ran.join('\n')).toContain(deleteRulesOf(name).trimEnd());
    expect([...node.tables]).toEqual([]);
    expect(startTimeOf(dhcp.pid)).toBeUndefined();
  });

  it('passes over no rules of ours, and over others', async () => {
    for (const table of ['table inet wsp-wbtest', 'table inet filter', 'table inet xwsp-x'])
      node.tables.add(table);
    expect(await killAll('--node', 'n01')).toMatchObject({
      code: 1,
      left: ['table inet wsp-wbtest is there, but in no journal under this state directory'],
    });
  });

  it.each([
    ['n01.site', 'n01.site'],
    ['n01', 'n01'],
  ])('finds the node that is called %s, without being told', async (known, node_) => {
    mkdirSync(join(node.place, 'state', known), { recursive: true });
    expect(await killAll()).toMatchObject({ code: 0, node: node_ });
  });

  it('finds a node by what a power loss has left, too', async () => {
    mkdirSync(join(node.place, 'disk/n01.site'), { recursive: true });
    expect(await killAll()).toMatchObject({ node: 'n01.site' });
  });

  it('says which nodes there are when it is on none of them', async () => {
    here.host = 'login1';
    mkdirSync(node.at.node, { recursive: true });
    expect(await killAll()).toMatchObject({ code: 0, left: [] });
    writeFileSync(join(node.at.node, 'lock'), '');
    expect(await killAll()).toEqual({
      ...{ code: 1, node: 'login1', undone: [] },
      left: [`${node.place}/state knows no node login1, but n01: use --node`],
    });
    expect(await killAll('--node', 'n02')).toMatchObject({ code: 0, left: [] });
  });

  it('does nothing unless it is root', async () => {
    await slot(one, 1);
    vi.mocked(process.getuid as () => number).mockReturnValue(1_000);
    expect(await killAll('--node', 'n01')).toMatchObject({
      ...{ code: 1, undone: [] },
      left: ['run this as root; nothing was checked'],
    });
    expect(interfaces.has('wttest1')).toBe(true);
  });

  it.each([
    [['--state-dir', 'run'], /--state-dir takes an absolute path/],
    [['--disk-dir', 'run'], /--disk-dir takes an absolute path/],
    [['--node', 'n 1'], /--node takes a node name/],
    [['--slot', 'one'], /--slot takes a slot id/],
    [['--all'], /--all/],
    [['--state-dir', '/tmp/none'], /--state-dir must be where root alone/],
    [['--disk-dir', '/tmp/none'], /--disk-dir must be where root alone/],
  ])('does nothing with the arguments %j', async (args, words) => {
    expect(await runKillAll([...directories(), ...args])).toBe(2);
    expect([errors.join(''), here.printed, node.ran]).toEqual([expect.stringMatching(words), [], []]);
  });
});

it('interfaces that only a helper makes are known by their names', () => {
  const names = ['wt1', 'wb739bfdcd', 'wb739bfdcdx', `wt${'a'.repeat(13)}`];
  expect(
    ownLinks(new Set([...names, 'eth0', 'wt', 'wlan0', 'wtA', 'xwt1', 'wt_1', `wt${'a'.repeat(14)}`])),
  ).toEqual(names);
});
