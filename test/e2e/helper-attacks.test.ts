import { EventEmitter, once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Helper } from '../../src/control/helper/helper.ts';
import { startTimeOf } from '../../src/control/helper/proc.ts';
import { limitsOf, mostHelpers } from '../../src/control/helper/user-limits.ts';
import { startChild } from '../../src/platform/children.ts';
import { type RawHelper, startRawHelper } from '../fuzz/raw-helper.ts';
import { type BareNodes, helperAs, nicPlan, nicPolicy, quietNodes } from '../support/node.ts';

/** What whoever may start the helper tries to make of it. */

let nodes: BareNodes;
let before: string;
beforeAll(async () => {
  nodes = await quietNodes();
  before = await nodes.snapshot(0);
});
afterAll(() => nodes?.stop());

async function expectAsBefore(): Promise<void> {
  await expect.poll(() => nodes.snapshot(0), { timeout: 20_000, interval: 100 }).toBe(before);
  expect(existsSync(nodes.stateDir)).toBe(false);
}
beforeEach(expectAsBefore);

/** A helper that is started by `wrap` and its arguments. */
function wrapped(slotId: string, ...wrap: readonly string[]): Promise<Helper> {
  const [enter, where, ...program] = nodes.helperArgv(0);
  return nodes.helper(0, slotId, [enter, where ?? '', ...wrap, ...program]);
}

/** What starts a helper of an ordinary user, whose policy is in `directory`. */
function argvOf(uid: number, directory = nodes.directory): readonly string[] {
  const policyFile = join(directory, 'helper.json');
  writeFileSync(policyFile, JSON.stringify({ networks: [nicPolicy], peers: [] }), { mode: 0o644 });
  return helperAs(nodes, uid, policyFile);
}

/** A helper of the user nobody. */
async function ofNobody(slotId: string): Promise<Helper> {
  return nodes.helper(0, slotId, argvOf(65_534));
}

const has = async (name: string): Promise<boolean> =>
  (await nodes.run(0, 'ip', 'link', 'show', 'dev', name)).code === 0;
const routes = async (): Promise<string> => (await nodes.run(0, 'ip', '-4', 'route')).stdout;

/** The process of the helper of a slot. */
async function helperPid(slotId: string): Promise<number> {
  const { stdout } = await nodes.run(0, 'pgrep', '-f', '--', `node-tools.cjs helper .*--slot ${slotId}$`);
  return Number(stdout.trim());
}

/** A directory of nobody's, with a file in it. */
function directoryOfNobody(name: string): string {
  // They have to get there.
  chmodSync(nodes.directory, 0o711);
  const directory = join(nodes.directory, 'work', 'n01', name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'overlay.qcow2'), 'x');
  for (const path of [join(directory, '..'), directory, join(directory, 'overlay.qcow2')])
    chownSync(path, 65_534, 65_534);
  return directory;
}

describe('security 4 a journal is written whole or not at all', () => {
  it("undoes every interface although the caller's limit on the size of files cuts the journal short", async () => {
    const helper = await wrapped('slot-aaaaaaaaba', 'prlimit', '--fsize=200', '--');
    const attached = await Promise.allSettled(
      [41, 42, 43, 44].map(last => helper.attachNic(nicPlan(last), 'one')),
    );
    expect(attached.map(({ status }) => status)).toContain('rejected');
    await helper.undo();
    await expectAsBefore();
  });

  it('has kill-all remove interfaces whose journal is lost, with their rules and their DHCP service', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaabb');
    await helper.attachNic(nicPlan(41), 'one');
    rmSync(join(nodes.stateDir), { recursive: true });
    await helper.undo().catch(() => undefined);
    const { code, stdout } = await nodes.killAll(0);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'interface wbtest: undone\ninterface wttest41: undone\nn01 is a job node again\n',
    });
    await expectAsBefore();
  });
});

describe("security 12 a request that fails leaves nothing of itself, and nothing of others' undone", () => {
  it('takes away at once what it has made', async () => {
    await nodes.run(0, 'ip', 'route', 'add', '10.91.0.45/32', 'dev', 'eth0');
    const helper = await nodes.helper(0, 'slot-aaaaaaaabc');
    await expect(helper.attachNic(nicPlan(45), 'one')).rejects.toMatchObject({ code: 'node_tool_failed' });
    expect([await has('wttest45'), await has('wbtest')]).toEqual([false, false]);
    expect(await routes()).toContain('10.91.0.45 dev eth0');
    await helper.undo();
    expect(await routes()).toContain('10.91.0.45 dev eth0');
    await nodes.run(0, 'ip', 'route', 'del', '10.91.0.45/32', 'dev', 'eth0');
  });

  it.each([
    ['address', { mac: '02:00:00:00:00:99', tap: 'wttest99' }],
    ['MAC', { address: '10.91.0.99', tap: 'wttest99' }],
    ['tap', { mac: '02:00:00:00:00:99', address: '10.91.0.99' }],
  ])("does not take another slot's %s, nor undoes it", async (_, others) => {
    const [one, thief] = [await nodes.helper(0, 'slot-aaaaaaaabd'), await nodes.helper(0, 'slot-aaaaaaaabe')];
    await one.attachNic(nicPlan(46), 'one');
    await expect(thief.attachNic(nicPlan(46, others), 'thief')).rejects.toMatchObject({ code: 'tap_in_use' });
    expect(await has('wttest99')).toBe(false);
    await thief.undo();
    expect([await has('wttest46'), (await routes()).includes('10.91.0.46 dev wbtest')]).toEqual([true, true]);
    await one.undo();
  });
});

describe('security 2 no guest has an address of the node', () => {
  it('whoever asks', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaabq');
    const address = nodes.networks.nodes[0]?.address ?? '';
    await expect(helper.attachNic(nicPlan(45, { address }), 'one')).rejects.toMatchObject({
      code: 'address_in_use',
    });
    await helper.undo();
  });
});

describe('security 13 nobody stops a helper', () => {
  it.each(['SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGQUIT'] as const)(
    'not by %s of their terminal',
    async signal => {
      const helper = await nodes.helper(0, 'slot-aaaaaaaabf');
      process.kill(await helperPid('slot-aaaaaaaabf'), signal);
      await helper.attachNic(nicPlan(47), 'one');
      await helper.undo();
    },
  );

  it("and kill-all ends one that is stopped and holds the node's lock", async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaabg');
    await helper.attachNic(nicPlan(47), 'one');
    const lock = join(nodes.stateDir, 'n01', 'lock');
    const program = 'exec 3>>"$1"; flock 3; echo $$ > "$1"; echo; kill -STOP $$; exec sleep infinity';
    const holder = await startChild(['sh', '-c', program, 'sh', lock], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(holder.stdout ?? new EventEmitter(), 'data');
    expect((await nodes.killAll(0)).stdout).toBe('slot-aaaaaaaabg: undone\nn01 is a job node again\n');
    expect((await holder.exited).signal).toBe('SIGKILL');
    await helper.undo();
  });
});

describe('security 14 what a slot may have on a node is bounded', () => {
  it('in directories', async () => {
    const helper = await ofNobody('slot-aaaaaaaabh');
    const directories = ['a', 'b', 'c', 'd', 'e'].map(directoryOfNobody);
    for (const directory of directories.slice(0, 4)) await helper.adoptDirectory(directory);
    await expect(helper.adoptDirectory(directories[4] ?? '')).rejects.toMatchObject({ code: 'too_many' });
    await helper.undo();
    expect(directories.map(directory => existsSync(directory))).toEqual([false, false, false, false, true]);
    rmSync(join(nodes.directory, 'work'), { recursive: true });
  });
});

/** Where a process is, among those of which it can be limited how many they are. */
function cgroupOf(pid: number): string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  const placeIn = (controllers: string): string =>
    lines.find(line => line.split(':')[1] === controllers)?.split(':')[2] ?? '';
  return existsSync('/sys/fs/cgroup/pids')
    ? join('/sys/fs/cgroup/pids', placeIn('pids'))
    : join('/sys/fs/cgroup', placeIn(''));
}

describe('security 14 what a user may have on a node is bounded', () => {
  /** Nobody's on this machine, nor that of another run of this at the same time. */
  const uid = 30_000 + (process.pid % 30_000);

  it('in what their helpers and DHCP services take together: they are in a cgroup of their own, which goes with the last one', async () => {
    const ids = ['slot-aaaaaaaabr', 'slot-aaaaaaaabs'] as const;
    const [one, two] = [
      await nodes.helper(0, ids[0], argvOf(uid)),
      await nodes.helper(0, ids[1], argvOf(uid)),
    ];
    await one.attachNic(nicPlan(52), 'one');
    const dhcp = Number(readFileSync(join(nodes.stateDir, 'n01', 'bridges', 'wbtest', 'pid'), 'utf8'));
    const pids = [await helperPid(ids[0]), await helperPid(ids[1]), dhcp];
    const [cgroup = '', ...others] = pids.map(cgroupOf);
    expect([basename(cgroup), ...others]).toEqual([`workspace-pilot-${uid}`, cgroup, cgroup]);
    expect(Number(readFileSync(join(cgroup, 'pids.max'), 'utf8'))).toBe(limitsOf(mostHelpers()).processes);
    await one.undo();
    expect(existsSync(cgroup)).toBe(true);
    await two.undo();
    expect(existsSync(cgroup)).toBe(false);
  });

  it('which does not keep the node from being restored when it is full', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaabt', argvOf(uid));
    await helper.attachNic(nicPlan(53), 'one');
    const cgroup = cgroupOf(await helperPid('slot-aaaaaaaabt'));
    writeFileSync(join(cgroup, 'pids.max'), '1');
    await expect(helper.attachNic(nicPlan(54), 'two')).rejects.toMatchObject({ code: 'helper_failed' });
    await helper.undo();
    await expectAsBefore();
  });

  it('in how many helpers they have at once: one more is told so, until one has ended', async () => {
    const [program = '', ...argv] = argvOf(uid);
    const start = (at: number): Promise<RawHelper> => {
      const slotId = `slot-cccccccc${String.fromCharCode(97 + Math.floor(at / 26), 97 + (at % 26))}`;
      return startRawHelper([program, ...argv, '--node', 'n01', '--slot', slotId]);
    };
    const most = mostHelpers();
    const helpers = await Promise.all(Array.from({ length: most }, (_, at) => start(at)));
    await expect(start(most)).rejects.toThrow(`user ${uid} has as many helpers on this node as they may`);
    expect(await helpers[0]?.end()).toBe(0);
    helpers.push(await start(most));
    await Promise.all(helpers.map(helper => helper.end()));
  });
});

describe('security 26 the helper and kill-all believe nothing that others than root could have written', () => {
  let shared: string;
  beforeEach(() => {
    shared = join(nodes.directory, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o777);
  });
  afterEach(() => rmSync(shared, { recursive: true }));

  it.each(['--state-dir', '--disk-dir'])('in %s', async option => {
    const argv = nodes.helperArgv(0).map((each, at, all) => (all[at - 1] === option ? shared : each));
    const says = `${shared} can be written to by others`;
    await expect(nodes.helper(0, 'slot-aaaaaaaabu', argv)).rejects.toMatchObject({
      code: 'helper_missing',
      message: expect.stringContaining(says),
    });
    const { code, stdout, stderr } = await nodes.killAll(0, option, join(shared, 'inner'));
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(says) });
  });

  it("in the policy's directory", async () => {
    await expect(nodes.helper(0, 'slot-aaaaaaaabu', argvOf(65_534, shared))).rejects.toThrow(
      'the policy must be where root alone can make files',
    );
  });
});

describe("security 21, 22 a slot's id says nothing about whose it is", () => {
  it("another user's slot of the same id stays as it is, and one of their own goes beside it", async () => {
    const one = await nodes.helper(0, 'slot-aaaaaaaabi');
    await one.attachNic(nicPlan(48), 'one');
    const other = await ofNobody('slot-aaaaaaaabi');
    await other.detachNic('wttest48');
    await other.attachNic(nicPlan(49, { bridge: { ...nicPlan(49).bridge, name: 'wbother' } }), 'two');
    await other.undo();
    expect([await has('wttest48'), await has('wttest49')]).toEqual([true, false]);
    await one.undo();
  });

  it("a bridge of another user's workspace is not joined", async () => {
    const one = await nodes.helper(0, 'slot-aaaaaaaabj');
    await one.attachNic(nicPlan(48), 'one');
    const other = await ofNobody('slot-aaaaaaaabk');
    await expect(other.attachNic(nicPlan(49), 'two')).rejects.toMatchObject({ code: 'bridge_foreign' });
    await Promise.all([one.undo(), other.undo()]);
  });

  it('which files a power loss has left is not forgotten because another user names the slot', async () => {
    const one = await ofNobody('slot-aaaaaaaabl');
    const directory = directoryOfNobody('slot');
    await one.adoptDirectory(directory);
    process.kill(await helperPid('slot-aaaaaaaabl'), 'SIGSTOP');
    rmSync(nodes.stateDir, { recursive: true });
    const other = await nodes.helper(0, 'slot-aaaaaaaabl');
    await other.undo();
    expect((await nodes.killAll(0)).stdout).toBe('slot-aaaaaaaabl: undone\nn01 is a job node again\n');
    expect(existsSync(directory)).toBe(false);
    process.kill(await helperPid('slot-aaaaaaaabl'), 'SIGKILL');
    // Its pilot starts another, which knows of nothing.
    await one.undo();
  });
});

describe('security 23 the undo kills what the slot started, and nothing else', () => {
  it("not a process that has become root's since", async () => {
    const helper = await ofNobody('slot-aaaaaaaabm');
    const as = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] as const;
    const child = await startChild([...as, 'sh', '-c', 'read line; exec passwd'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const name = (): string => readFileSync(`/proc/${child.pid}/comm`, 'utf8').trim();
    await expect.poll(name, { interval: 10 }).toBe('sh');
    await helper.adoptProcess(child.pid);
    child.stdin?.write('go\n');
    await expect.poll(name, { interval: 10 }).toBe('passwd');
    await helper.undo();
    expect(startTimeOf(child.pid)).toBeDefined();
    child.kill('SIGKILL');
  });

  it('not a process that has got the id of one of its own', async () => {
    const stranger = await startChild(['sleep', 'infinity'], { detached: true });
    const slot = join(nodes.stateDir, 'n01', 'slots', 'slot-aaaaaaaabn.0');
    mkdirSync(slot, { recursive: true });
    writeFileSync(
      join(slot, 'undo.jsonl'),
      `${JSON.stringify({ kind: 'process', pid: stranger.pid, startTime: '1' })}\n`,
    );
    expect((await nodes.killAll(0)).code).toBe(0);
    expect(startTimeOf(stranger.pid)).toBeDefined();
    stranger.kill('SIGKILL');
  });

  it("not what stands in the slot's directory and is another user's", async () => {
    const helper = await ofNobody('slot-aaaaaaaabo');
    const directory = directoryOfNobody('slot');
    const kept = join(nodes.directory, 'kept');
    mkdirSync(kept);
    writeFileSync(join(kept, 'file'), 'x');
    symlinkSync(kept, join(directory, 'link'));
    mkdirSync(join(directory, 'of-root'));
    writeFileSync(join(directory, 'of-root', 'file'), 'x');
    await helper.adoptDirectory(directory);
    await expect(helper.undo()).rejects.toMatchObject({ code: 'undo_failed' });
    expect([existsSync(join(directory, 'of-root', 'file')), existsSync(join(kept, 'file'))]).toEqual([
      true,
      true,
    ]);
    rmSync(join(directory, 'of-root'), { recursive: true });
    expect((await nodes.killAll(0)).code).toBe(0);
    expect([existsSync(directory), existsSync(join(kept, 'file'))]).toEqual([false, true]);
    await helper.undo();
  });
});

describe('security 24 the helper does not tell what its caller may not see', () => {
  it('whether a directory is there', async () => {
    const helper = await ofNobody('slot-aaaaaaaabp');
    const secret = join(nodes.directory, 'secret', 'inner', 'x');
    mkdirSync(secret, { recursive: true, mode: 0o700 });
    writeFileSync(join(secret, 'file'), '');
    const said = await Promise.all(
      [secret, `${secret}/none/at-all`, join(secret, 'file'), join(secret, 'file', 'below')].map(path =>
        helper.adoptDirectory(path).then(
          () => 'adopted',
          (cause: Error) => cause.message.replace(path, 'PATH'),
        ),
      ),
    );
    expect(new Set(said)).toEqual(new Set(["there is no directory PATH that is the caller's"]));
    await helper.undo();
  });
});
