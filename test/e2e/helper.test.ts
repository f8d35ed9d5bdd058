import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTimeOf } from '../../src/control/helper/proc.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';
import { type BareNodes, nicPlan, quietNodes } from '../support/node.ts';
import { root } from '../support/site.ts';

/** The privileged helper on a node of its own: real bridges, taps, filters and DHCP. */

let nodes: BareNodes;
let before: string;
beforeAll(async () => {
  nodes = await quietNodes();
  before = await nodes.snapshot(0);
});
afterAll(() => nodes?.stop());

const journals = (): readonly string[] =>
  existsSync(nodes.stateDir)
    ? readdirSync(nodes.stateDir, { recursive: true, encoding: 'utf8' }).filter(path =>
        path.endsWith('undo.jsonl'),
      )
    : [];

/** The slots of which something is noted on disk. */
const records = (): readonly string[] => {
  const directory = join(`${nodes.stateDir}-disk`, 'n01');
  return existsSync(directory) ? readdirSync(directory) : [];
};

/** The node is, to the last line, what it was before any helper came. */
async function expectAsBefore(): Promise<void> {
  await expect.poll(() => nodes.snapshot(0), { timeout: 20_000, interval: 100 }).toBe(before);
  expect(journals()).toEqual([]);
}

const link = async (name: string): Promise<boolean> =>
  (await nodes.run(0, 'ip', 'link', 'show', 'dev', name)).code === 0;

/** A process that only a signal ends, as a VMM of a slot would be. */
async function endless(): Promise<Child> {
  return startChild(['sleep', 'infinity'], { detached: true });
}

describe('a slot', () => {
  beforeEach(expectAsBefore);

  it('is undone to the last line: two interfaces, a process, a directory', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaaaa');
    const vmm = await endless();
    const directory = join(nodes.directory, 'work', 'n01', 'slot');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'overlay.qcow2'), 'x');
    await helper.adoptDirectory(directory);
    await helper.adoptProcess(vmm.pid);
    await helper.attachNic(nicPlan(11), 'one');
    await helper.attachNic(nicPlan(12), 'two');
    const during = await nodes.snapshot(0);
    for (const part of [
      'wttest11',
      'wttest12',
      'wbtest',
      'table netdev wsp-wttest11',
      'table inet wsp-wbtest',
    ])
      expect(during).toContain(part);
    await helper.undo();
    expect((await vmm.exited).signal).toBe('SIGKILL');
    expect(existsSync(directory)).toBe(false);
    await expectAsBefore();
  });

  it("pbs 5 leaves the node's /dev/null to root, and has its DHCP service run as nobody", async () => {
    chownSync('/dev/null', 0, 0);
    // As /run is: else the DHCP service stays root, and gives nothing away.
    chmodSync(nodes.directory, 0o755);
    const helper = await nodes.helper(0, 'slot-aaaaaaaaau');
    await helper.attachNic(nicPlan(11), 'one');
    chmodSync(nodes.directory, 0o700);
    const pid = readFileSync(join(nodes.stateDir, 'n01', 'bridges', 'wbtest', 'pid'), 'utf8').trim();
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Uid:\s+65534\b/m);
    const { uid, gid, mode } = statSync('/dev/null');
    expect({ uid, gid, mode: (mode & 0o777).toString(8) }).toEqual({ uid: 0, gid: 0, mode: '666' });
    await helper.undo();
    expect(existsSync(nodes.stateDir)).toBe(false);
  });

  it('gives back one interface and keeps the other', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaaab');
    await helper.attachNic(nicPlan(11), 'one');
    await helper.attachNic(nicPlan(12), 'two');
    await helper.detachNic('wttest11');
    await helper.detachNic('wttest11');
    expect([await link('wttest11'), await link('wttest12'), await link('wbtest')]).toEqual([
      false,
      true,
      true,
    ]);
    await helper.detachNic('wttest12');
    expect(await link('wbtest')).toBe(false);
    await helper.undo();
  });

  it('shares a bridge with another slot, and leaves it to that one', async () => {
    const [one, two] = await Promise.all([
      nodes.helper(0, 'slot-aaaaaaaaac'),
      nodes.helper(0, 'slot-aaaaaaaaad'),
    ]);
    await Promise.all([one.attachNic(nicPlan(11), 'one'), two.attachNic(nicPlan(12), 'two')]);
    await expect(two.attachNic(nicPlan(11), 'thief')).rejects.toMatchObject({ code: 'tap_in_use' });
    await one.undo();
    const left = await nodes.snapshot(0);
    expect(left).not.toContain('wttest11');
    expect(left).toContain('wttest12');
    expect(left).toContain('wbtest');
    await two.undo();
  });

  it('is undone by its helper when the pilot is killed, with its process group and session', async () => {
    const vmm = await endless();
    const pilot = await pilotWith('slot-aaaaaaaaae', nicPlan(11), vmm.pid);
    expect(await link('wttest11')).toBe(true);
    process.kill(-pilot.pid, 'SIGKILL');
    expect((await vmm.exited).signal).toBe('SIGKILL');
  });

  it('goes on when its helper is killed: another one takes over the journal', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaaaf');
    await helper.attachNic(nicPlan(11), 'one');
    await killHelper('slot-aaaaaaaaaf');
    await helper.attachNic(nicPlan(12), 'two');
    expect([await link('wttest11'), await link('wttest12')]).toEqual([true, true]);
    await helper.undo();
  });

  it('is undone by kill-all when pilot and helper are both killed; twice at once is as good', async () => {
    const vmm = await endless();
    const pilot = await pilotWith('slot-aaaaaaaaag', nicPlan(11), vmm.pid);
    process.kill(-pilot.pid, 'SIGSTOP');
    await killHelper('slot-aaaaaaaaag');
    process.kill(-pilot.pid, 'SIGKILL');
    await pilot.exited;
    expect([await link('wttest11'), journals().length]).toEqual([true, 1]);
    const [one, two] = await Promise.all([nodes.killAll(0, '--json'), nodes.killAll(0, '--json')]);
    expect([one.code, two.code]).toEqual([0, 0]);
    expect(`${one.stdout}${two.stdout}`).toContain('"undone":["slot-aaaaaaaaag"]');
    expect((await vmm.exited).signal).toBe('SIGKILL');
  });

  it("report D is undone by another slot's helper when pilot and helper are both killed; slots that live are not", async () => {
    const vmm = await endless();
    const directory = join(nodes.directory, 'work', 'n01', 'slot-aaaaaaaaav', 'vms');
    mkdirSync(directory, { recursive: true });
    const pilot = await pilotWith('slot-aaaaaaaaav', nicPlan(11), vmm.pid, directory);
    const living = await nodes.helper(0, 'slot-aaaaaaaaaw');
    await living.attachNic(nicPlan(12), 'two');
    process.kill(-pilot.pid, 'SIGSTOP');
    await killHelper('slot-aaaaaaaaav');
    process.kill(-pilot.pid, 'SIGKILL');
    await pilot.exited;
    // Its pilot lives, and starts it again: nobody holds the slot for a moment only.
    await killHelper('slot-aaaaaaaaaw');
    const next = await nodes.helper(0, 'slot-aaaaaaaaax');
    expect([await link('wttest11'), existsSync(directory), journals().length]).toEqual([true, true, 2]);
    await expect.poll(() => link('wttest11'), { timeout: 90_000, interval: 200 }).toBe(false);
    expect((await vmm.exited).signal).toBe('SIGKILL');
    await expect.poll(journals, { timeout: 10_000 }).toHaveLength(1);
    expect(existsSync(directory)).toBe(false);
    expect(await link('wttest12')).toBe(true);
    await living.detachNic('wttest12');
    await Promise.all([living.undo(), next.undo()]);
  });

  it('is undone by kill-all beside a live helper, which then serves no more', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaaah');
    await helper.attachNic(nicPlan(11), 'one');
    expect((await nodes.killAll(0)).stdout).toBe('slot-aaaaaaaaah: undone\nn01 is a job node again\n');
    await expect(helper.attachNic(nicPlan(12), 'two')).rejects.toMatchObject({ code: 'slot_undone' });
    await helper.undo();
  });

  it('original defect 4, the end of one slot destroys every guest on the node: another slot is left alone', async () => {
    const [one, two] = await Promise.all([
      nodes.helper(0, 'slot-aaaaaaaaai'),
      nodes.helper(0, 'slot-aaaaaaaaaj'),
    ]);
    await one.attachNic(nicPlan(11), 'one');
    await two.attachNic(nicPlan(12), 'two');
    expect((await nodes.killAll(0, '--slot', 'slot-aaaaaaaaai')).code).toBe(0);
    expect([await link('wttest11'), await link('wttest12')]).toEqual([false, true]);
    await Promise.all([one.undo(), two.undo()]);
  });
});

describe('kill-all', () => {
  it('original defect 5, kill-all exits 0 whatever it did: it says what it does not know, and does not call the node restored', async () => {
    await nodes.run(0, 'ip', 'tuntap', 'add', 'dev', 'wtforeign', 'mode', 'tap');
    const { code, stdout } = await nodes.killAll(0);
    await nodes.run(0, 'ip', 'link', 'del', 'wtforeign');
    expect(code).toBe(1);
    expect(stdout).toContain('interface wtforeign is there, but in no journal');
    expect(stdout).toContain('n01 is NOT restored');
  });

  it('reads past a line that a crash has torn, and stops at an entry of a kind that it does not know', async () => {
    const slot = join(nodes.stateDir, 'n01', 'slots', 'slot-aaaaaaaaak.0');
    mkdirSync(slot, { recursive: true });
    mkdirSync(join(nodes.stateDir, 'n01', 'bridges'), { recursive: true });
    writeFileSync(join(slot, 'undo.jsonl'), '{"kind":"volume","device":"/dev/sdb"}\n');
    const unknown = await nodes.killAll(0);
    expect(unknown.code).toBe(1);
    expect(unknown.stdout).toContain('an entry of an unknown kind');
    writeFileSync(
      join(slot, 'undo.jsonl'),
      '{"kind":"nic","tap":"wttest19","bridge":"wbtest","address":"10.91.0.19"}\n{"kind":"process","pi',
    );
    expect((await nodes.killAll(0)).stdout).toBe('slot-aaaaaaaaak: undone\nn01 is a job node again\n');
    await expectAsBefore();
  });
});

describe('a node that has lost its power', () => {
  /** A slot with files on disk, whose journal went with the power; the record on disk did not. */
  function lostSlot(slotId: string): string {
    const files = join(nodes.directory, 'n01', slotId, 'vms');
    mkdirSync(files, { recursive: true });
    writeFileSync(join(files, 'disk.qcow2'), 'x');
    const record = join(`${nodes.stateDir}-disk`, 'n01', `${slotId}.0`);
    mkdirSync(join(record, '..'), { recursive: true });
    writeFileSync(record, JSON.stringify({ path: files, uid: 0, gid: 0 }));
    return files;
  }

  it('keeps on disk which files to remove as long as there are any', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaaap');
    const files = join(nodes.directory, 'n01', 'slot-aaaaaaaaap', 'vms');
    mkdirSync(files, { recursive: true });
    await helper.adoptDirectory(files);
    expect(records()).toEqual(['slot-aaaaaaaaap.0']);
    expect(await helper.undo()).toBeUndefined();
    expect(existsSync(files)).toBe(false);
    expect(records()).toEqual([]);
  });

  it('has what was on its disk removed by kill-all', async () => {
    const files = lostSlot('slot-aaaaaaaaaq');
    const { code, stdout } = await nodes.killAll(0);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'slot-aaaaaaaaaq: undone\nn01 is a job node again\n',
    });
    expect(existsSync(files)).toBe(false);
    expect(records()).toEqual([]);
  });

  it("has it removed with the next slot's first files, and not that slot's own", async () => {
    const lost = lostSlot('slot-aaaaaaaaar');
    const own = join(nodes.directory, 'n01', 'slot-aaaaaaaaas', 'vms');
    mkdirSync(own, { recursive: true });
    const helper = await nodes.helper(0, 'slot-aaaaaaaaas');
    await helper.adoptDirectory(own);
    expect(existsSync(lost)).toBe(false);
    expect(existsSync(own)).toBe(true);
    expect(records()).toEqual(['slot-aaaaaaaaas.0']);
    await helper.undo();
  });

  it('is not called restored when a record cannot be read', async () => {
    lostSlot('slot-aaaaaaaaat');
    const record = join(`${nodes.stateDir}-disk`, 'n01', 'slot-aaaaaaaaat.0');
    writeFileSync(record, '{"path":"relative"}');
    const { code, stdout } = await nodes.killAll(0);
    expect(code).toBe(1);
    expect(stdout).toContain('slot-aaaaaaaaat.0 cannot be read');
    rmSync(record);
  });
});

describe('what the node has already', () => {
  const uplink = (name: string): NicPlan =>
    nicPlan(11, {
      bridge: {
        name: 'wbtest',
        link: { kind: 'uplink', interface: name },
        serviceAddress: '169.254.77.1',
        mtu: 1_500,
      },
    });
  const refusal = async (nic: NicPlan): Promise<unknown> => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaaal');
    const refused = await helper.attachNic(nic, 'one').then(
      () => 'attached',
      (cause: { readonly code: string }) => cause.code,
    );
    await helper.undo();
    return refused;
  };

  it('is not taken: an interface with an address, one that is not there, a bridge that is not ours', async () => {
    expect(await refusal(uplink('eth0'))).toBe('uplink_in_use');
    expect(await refusal(uplink('eth7'))).toBe('uplink_missing');
    await expectAsBefore();
    await nodes.run(0, 'ip', 'link', 'add', 'wbtest', 'type', 'bridge');
    expect(await refusal(nicPlan(11))).toBe('bridge_foreign');
    await nodes.run(0, 'ip', 'link', 'del', 'wbtest');
    await nodes.run(0, 'ip', 'link', 'add', 'br0', 'type', 'bridge');
    await nodes.run(0, 'ip', 'link', 'set', 'eth1', 'master', 'br0');
    expect(await refusal(uplink('eth1'))).toBe('uplink_busy');
    await nodes.run(0, 'ip', 'link', 'del', 'br0');
    await expectAsBefore();
  });

  it('is lent and given back: the uplink', async () => {
    expect(await refusal(uplink('eth1'))).toBe('attached');
    await expectAsBefore();
  });

  it("is not adopted: a process of somebody else's, a directory of somebody else's", async () => {
    const stranger = await startChild(
      ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'sleep', 'infinity'],
      { detached: true },
    );
    const helper = await nodes.helper(0, 'slot-aaaaaaaaam');
    await expect.poll(() => readFileSync(`/proc/${stranger.pid}/status`, 'utf8')).toMatch(/^Uid:\s+65534/m);
    await expect(helper.adoptProcess(stranger.pid)).rejects.toMatchObject({ code: 'not_yours' });
    await expect(helper.adoptDirectory('/var/cache/man/x')).rejects.toMatchObject({ code: 'not_yours' });
    await helper.undo();
    expect(startTimeOf(stranger.pid)).toBeDefined();
    stranger.kill('SIGKILL');
  });
});

describe('input that no pilot of ours sends', () => {
  it.each([
    ['not JSON', 'attach!'],
    ['a list', '[]'],
    ['nothing', 'null'],
    ['no id', '{"op":"undo"}'],
    ['an unknown operation', '{"id":1,"op":"run","command":"id"}'],
    ['an unknown field', '{"id":1,"op":"undo","force":true}'],
    ["an interface of the node's", '{"id":1,"op":"detach-nic","tap":"eth0"}'],
    ['a rule in a name', JSON.stringify(request({ tap: 'wt1" accept #' }))],
    ['a line in a MAC', JSON.stringify(request({ mac: '02:00:00:00:00:01\nip' }))],
    ['a multicast MAC', JSON.stringify(request({ mac: '01:00:5e:00:00:01' }))],
    [
      'a group as a peer',
      '{"id":1,"op":"set-peers","bridge":"wbtest","peers":[{"address":"224.0.0.1","macs":[]}]}',
    ],
    [
      'a rule in a peer',
      '{"id":1,"op":"set-peers","bridge":"wbtest","peers":[{"address":"10.0.0.1 }","macs":[]}]}',
    ],
    [
      "a multicast MAC of a peer's",
      '{"id":1,"op":"set-peers","bridge":"wbtest","peers":[{"address":"10.0.0.1","macs":["01:00:5e:00:00:01"]}]}',
    ],
    ["the node's own loopback", JSON.stringify(request({ address: '127.0.0.1' }))],
    ['pid 1', '{"id":1,"op":"adopt-process","pid":1}'],
    ['the root directory', '{"id":1,"op":"adopt-directory","path":"/"}'],
    ['a way up', '{"id":1,"op":"adopt-directory","path":"/a/b/c/../../../etc"}'],
    ['a prototype', '{"id":1,"op":"__proto__"}'],
  ])('is refused with a reason: %s', async (_, line) => {
    const [answer] = await say(line);
    expect(answer).toMatchObject({ ok: false, code: 'bad_request' });
  });

  it('is refused when it has no end, and what follows is served', async () => {
    const answers = await say(`${'x'.repeat(300_000)}\n{"id":7,"op":"undo"}`);
    expect(answers.at(-1)).toEqual({ id: 7, ok: true });
    expect(answers[0]).toMatchObject({ id: -1, ok: false, code: 'bad_request' });
  });

  it.each([
    ['no slot', ['--node', 'n01']],
    ['a slot that is a path', ['--node', 'n01', '--slot', '../../etc']],
    ['a node that is a path', ['--node', '..', '--slot', 'slot-aaaaaaaaaa']],
    ['two slots', ['--node', 'n01', '--slot', 'slot-aaaaaaaaaa', '--slot', 'slot-aaaaaaaaab']],
    ['two state directories', ['--node', 'n01', '--slot', 'slot-aaaaaaaaaa', '--state-dir', '/etc']],
  ])('is refused with exit code 2: %s', async (_, args) => {
    const { code, stderr } = await nodes.run(0, ...nodes.helperArgv(0).slice(2), ...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^wsp helper: .*\n$/);
  });

  function request(more: Partial<NicPlan>): unknown {
    return { id: 1, op: 'attach-nic', nic: nicPlan(11, more), hostname: 'one' };
  }
});

/** Gives a helper's input a text and closes it; its answers after the greeting. */
async function say(text: string): Promise<unknown[]> {
  const [command, ...argv] = nodes.helperArgv(0);
  const child = await startChild([command, ...argv, '--node', 'n01', '--slot', 'slot-aaaaaaaaan'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.stdin?.end(`${text}\n`);
  expect((await child.exited).code).toBe(0);
  return said
    .trim()
    .split('\n')
    .slice(1)
    .map(line => JSON.parse(line) as unknown);
}

/** A process of its own, session and group too, that holds a slot as a pilot would. Resolves when the slot has its interface. */
async function pilotWith(slotId: string, nic: NicPlan, pid: number, directory?: string): Promise<Child> {
  const program = `
const { startHelper } = await import('${root}/src/control/helper/client.ts');
const { systemClock } = await import('${root}/src/platform/clock.ts');
const { silentLog } = await import('${root}/src/platform/log.ts');
const helper = await startHelper({ argv: ${JSON.stringify(nodes.helperArgv(0))}, node: 'n01', slotId: '${slotId}', clock: systemClock, log: silentLog });
await helper.adoptProcess(${pid});
${directory === undefined ? '' : `await helper.adoptDirectory(${JSON.stringify(directory)});`}
await helper.attachNic(${JSON.stringify(nic)}, 'one');
console.log('attached');
setInterval(() => undefined, 1000);`;
  const child = await startChild(
    [process.execPath, '--import', 'tsx', '--input-type=module', '--eval', program],
    { cwd: root, stdio: ['ignore', 'pipe', 2], detached: true },
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    void child.exited.then(({ code }) => reject(new Error(`the pilot ended with ${code}`)));
  });
  return child;
}

/** SIGKILL, to the helper of a slot, and gone. */
async function killHelper(slotId: string): Promise<void> {
  const { stdout } = await nodes.run(0, 'pgrep', '-f', '--', `node-tools.cjs helper .*--slot ${slotId}$`);
  const pids = stdout.trim().split('\n').map(Number);
  expect(pids).toHaveLength(1);
  for (const pid of pids) {
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => startTimeOf(pid), { interval: 10 }).toBeUndefined();
  }
}
