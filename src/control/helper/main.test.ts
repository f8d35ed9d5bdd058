import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ImitatedNode, nicOf, policy } from '../../../test/support/imitated-node.ts';
import type { RunOptions } from '../../platform/process.ts';
import { type Caller, forgetCaller } from './ambient.ts';
import { undoJournal } from './journal.ts';
import { runHelper } from './main.ts';
import { keyText } from './slot-key.ts';
import { helpersOf } from './user-limits.ts';

/** The helper as a program, on an imitated node; as a process of root's in test/e2e/helper.test.ts. */

const interfaces = vi.hoisted(() => new Set<string>());
const here = vi.hoisted(() => ({
  node: undefined as unknown,
  /** What it does and says, in order. */
  told: [] as string[],
  /** Of a second and more; those that are called off are gone. */
  timers: [] as { readonly delayMs: number; readonly fire: () => void }[],
}));
vi.mock('../network/interfaces.ts', () => ({ interfaceNames: () => new Set(interfaces) }));
vi.mock('./ambient.ts', () => ({ forgetCaller: vi.fn() }));
vi.mock('./user-limits.ts', async original => ({
  ...(await original<typeof import('./user-limits.ts')>()),
  mostHelpers: () => 64,
  helpersOf: vi.fn(() => []),
}));
vi.mock('./cgroups.ts', () => ({
  removeEmptyCgroups: () => void here.told.push('cgroups removed'),
  UserCgroups: class {
    enter = (): readonly string[] => {
      here.told.push('entered');
      return ['no limit'];
    };
    leave = (): void => void here.told.push('left');
  },
}));
vi.mock('../../platform/printing.ts', () => ({ print: (text: string) => here.told.push(text.trim()) }));
vi.mock('../../platform/clock.ts', async original => {
  const real = await original<typeof import('../../platform/clock.ts')>();
  const after: typeof real.systemClock.after = (delayMs, fire) => {
    if (delayMs < 1_000) return real.systemClock.after(delayMs, fire);
    const timer = { delayMs, fire };
    here.timers.push(timer);
    return () => {
      here.timers = here.timers.filter(each => each !== timer);
    };
  };
  return { ...real, systemClock: { ...real.systemClock, after } };
});
vi.mock('../../platform/process.ts', async original => ({
  ...(await original<typeof import('../../platform/process.ts')>()),
  systemProcesses: {
    run: (argv: readonly string[], { input }: RunOptions) => (here.node as ImitatedNode).run(argv, input),
  },
}));

const key = { slotId: 'slot-aaaaaaaaaa', uid: 0 };
const attach = (number: number): string =>
  `${JSON.stringify({ id: number, op: 'attach-nic', nic: nicOf(number), hostname: 'one' })}\n`;

let node: ImitatedNode;
let input: PassThrough;
let signals: string[];
beforeEach(() => {
  here.node = node = new ImitatedNode(interfaces);
  input = new PassThrough();
  [here.told, here.timers, signals] = [[], [], []];
  called({ uid: 0, gid: 0 });
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(input as never);
  vi.spyOn(process, 'getuid').mockReturnValue(0);
  vi.spyOn(process, 'on').mockImplementation(name => {
    signals.push(String(name));
    return process;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation(text => here.told.push(String(text).trim()) > 0);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await node.remove();
});

function called(caller: Caller | undefined): void {
  vi.mocked(forgetCaller).mockReturnValue(caller);
}

const args = (): string[] => [
  ...['--state-dir', join(node.place, 'state'), '--disk-dir', join(node.place, 'disk')],
  ...['--node', 'n01', '--slot', key.slotId],
];
const greeting = '{"id":0,"ok":true,"protocol":2,"features":["set-peers","check-networks"]}';

describe('a helper', () => {
  it('greets when it is where it belongs, answers, and undoes the slot when nobody asks any more', async () => {
    const over = runHelper(args());
    input.write(attach(1));
    input.write('{"id":2,"op":"run"}\nwhat\n');
    await expect.poll(() => here.told.length).toBe(6);
    expect(here.told.splice(0)).toEqual([
      'entered',
      'wsp helper: no limit',
      greeting,
      '{"id":1,"ok":true}',
      '{"id":2,"ok":false,"code":"bad_request","message":"op \\"run\\" is not known"}',
      expect.stringMatching(/^\{"id":-1,"ok":false,"code":"bad_request"/),
    ]);
    expect(existsSync(join(node.at.slots, keyText(key), 'holder'))).toBe(true);
    input.end();
    expect(await over).toBe(0);
    expect(here.told).toEqual(['left', 'cgroups removed']);
    expect([[...interfaces], existsSync(join(node.place, 'state'))]).toEqual([['lo', 'eth1'], false]);
  });

  it('says what is left, and keeps its journal', async () => {
    const over = runHelper(args());
    input.write(attach(1));
    await expect.poll(() => here.told.at(-1)).toBe('{"id":1,"ok":true}');
    node.failsAt = 'link del dev wttest1';
    here.told = [];
    input.end();
    expect(await over).toBe(1);
    expect(here.told).toEqual([
      'left',
      expect.stringMatching(/^wsp helper: not undone: interfaces: wttest1/),
      'cgroups removed',
    ]);
    expect(undoJournal(node.at, key).entries()).toHaveLength(1);
  });

  it('goes on with the journal of one that has died', async () => {
    undoJournal(node.at, key).append({ kind: 'nic', tap: 'wttest1', bridge: 'wbtest', address: '10.91.0.1' });
    const over = runHelper(args());
    await expect.poll(() => here.told.at(-1)).toBe(greeting);
    // It has something to undo: it waits for its pilot however long.
    here.timers.find(({ delayMs }) => delayMs === 60_000)?.fire();
    expect(input.destroyed).toBe(false);
    input.end();
    expect([await over, existsSync(node.at.node)]).toEqual([0, false]);
  });

  it('of no use to anybody ends', async () => {
    const over = runHelper(args());
    await expect.poll(() => here.timers.length).toBe(1);
    here.timers[0]?.fire();
    expect(await over).toBe(0);
    expect(here.told).toContain('wsp helper: standard input: the helper received no request within 1m');
  });

  it('has nothing more to say when kill-all has undone its slot', async () => {
    const over = runHelper(args());
    input.write(attach(1));
    await expect.poll(() => here.told.at(-1)).toBe('{"id":1,"ok":true}');
    const journal = undoJournal(node.at, key);
    journal.remove(journal.entries());
    input.write(`${attach(2)}${attach(3)}`);
    await expect.poll(() => here.told.filter(line => line.includes('slot_undone')).length).toBe(1);
    expect(await over).toBe(0);
    expect(here.told.filter(line => line.includes('"id":3'))).toEqual([]);
  });

  it('outlives whatever ends the job, and is stopped by no terminal', async () => {
    input.end();
    await runHelper(args());
    expect(new Set(signals)).toEqual(
      new Set([
        'SIGTERM',
        'SIGINT',
        'SIGHUP',
        'SIGQUIT',
        'SIGUSR1',
        'SIGUSR2',
        'SIGTSTP',
        'SIGTTIN',
        'SIGTTOU',
      ]),
    );
  });
});

describe('slots that nobody undoes any more', () => {
  const dead = { slotId: 'slot-aaaaaaaaab', uid: 0 };
  const deadSlot = (): void => {
    undoJournal(node.at, dead).append({
      kind: 'nic',
      tap: 'wttest9',
      bridge: 'wbtest',
      address: '10.91.0.9',
    });
    writeFileSync(join(node.at.slots, keyText(dead), 'holder'), '');
  };
  const sweep = () => here.timers.find(({ delayMs }) => delayMs === 30_000);

  it('are undone by another one’s helper, half a minute later', async () => {
    deadSlot();
    const over = runHelper(args());
    await expect.poll(() => sweep() !== undefined).toBe(true);
    sweep()?.fire();
    await expect.poll(() => here.told.at(-1)).toMatch(/^wsp helper: slot-aaaaaaaaab is undone/);
    input.end();
    expect(await over).toBe(0);
    expect(existsSync(node.at.node)).toBe(false);
  });

  it('are left when that ends before', async () => {
    deadSlot();
    const over = runHelper(args());
    await expect.poll(() => sweep() !== undefined).toBe(true);
    input.end();
    await over;
    expect([sweep(), undoJournal(node.at, dead).entries().length]).toEqual([undefined, 1]);
  });

  it('are not looked for again where there are none', async () => {
    const over = runHelper(args());
    await expect.poll(() => here.told.at(-1)).toBe(greeting);
    input.end();
    await over;
    expect(sweep()).toBeUndefined();
  });
});

describe('a helper is none', () => {
  it.each<[string, RegExp, (given: string[]) => string[]]>([
    ['a state directory', /--state-dir must be given once/, ([, , ...others]) => others],
    [
      'an absolute one',
      /--state-dir must be given once/,
      ([name = '', , ...others]) => [name, 'run', ...others],
    ],
    ['one state directory', /--state-dir must be given once/, given => [...given, '--state-dir', '/run/x']],
    [
      'one disk directory',
      /--disk-dir must be given at most once/,
      given => [...given, '--disk-dir', '/run/x'],
    ],
    ['one node', /--node must be given once/, given => [...given, '--node', 'n01']],
    ['a node name', /--node must be given once/, given => given.with(5, 'n 1')],
    ['one slot', /--slot must be given once/, given => [...given, '--slot', key.slotId]],
    ['a slot id', /--slot must be given once/, given => given.with(7, 'one')],
    ['arguments that it knows', /--all/, given => [...given, '--all']],
    ['directories of root’s alone', /--state-dir must be where root/, given => given.with(1, '/tmp/none')],
    ['directories of root’s alone', /--disk-dir must be where root/, given => given.with(3, '/tmp/none')],
    ['an absolute policy', /--policy must be given once/, given => [...given, '--policy', 'x']],
    [
      'a policy that is there',
      /there is no policy/,
      given => [...given, '--policy', join(node.place, 'none')],
    ],
    [
      'one policy',
      /--policy must be given once/,
      given => [...given, ...['--policy', '/a', '--policy', '/b']],
    ],
  ])('without %s', async (_, words, change) => {
    expect(await runHelper(change(args()))).toBe(2);
    expect(here.told).toEqual([expect.stringMatching(words)]);
    expect(signals).toEqual([]);
  });

  it('without sudo’s word for who has called it', async () => {
    called(undefined);
    expect(await runHelper(args())).toBe(2);
    expect(here.told).toEqual([expect.stringContaining('start it with sudo')]);
  });

  it('unless it is root', async () => {
    vi.mocked(process.getuid as () => number).mockReturnValue(1_000);
    expect(await runHelper(args())).toBe(2);
    expect(here.told).toEqual([expect.stringContaining('root is needed')]);
  });

  it('may keep its records where they are kept by default', async () => {
    const given = args();
    expect(await runHelper([...given.slice(0, 2), ...given.slice(4), '--policy', 'x'])).toBe(2);
    expect(here.told).toEqual([expect.stringContaining('--policy must be given once')]);
  });
});

describe('what root allows users', () => {
  let path: string;
  beforeEach(() => {
    path = join(node.place, 'policy.json');
    writeFileSync(path, JSON.stringify(policy), { mode: 0o644 });
    called({ uid: 1_000, gid: 100 });
  });

  it('has to be said', async () => {
    expect(await runHelper(args())).toBe(2);
    expect(here.told).toEqual([expect.stringContaining('--policy must be given once, as an absolute path')]);
  });

  it.each([0, 1_000])('bounds what user %i asks for', async uid => {
    called({ uid, gid: 100 });
    const over = runHelper([...args(), '--policy', path]);
    input.end(`${attach(1)}${attach(2)}`);
    expect(await over).toBe(0);
    expect(here.told).toContain('{"id":1,"ok":true}');
    expect(here.told).toContainEqual(expect.stringMatching(/^\{"id":2,"ok":false,"code":"not_allowed"/));
    expect(node.ran.join('\n')).toContain(`tuntap add dev wttest1 mode tap user ${uid}`);
  });

  it.each([
    [1_000, 64, 0],
    [1_000, 65, 2],
    [0, 65, 0],
  ])('is to user %i so many helpers at once: %i ends with %i', async (uid, there, code) => {
    called({ uid, gid: 100 });
    vi.mocked(helpersOf).mockReturnValueOnce(Array<number>(there).fill(1));
    input.end();
    expect(await runHelper([...args(), '--policy', path])).toBe(code);
    expect(here.told.includes(greeting)).toBe(code === 0);
  });

  it('is said in words', async () => {
    expect(await runHelper(['--check-policy', path])).toBe(0);
    expect(here.told.join('\n')).toContain('private');
    here.told = [];
    writeFileSync(path, '{}');
    expect(await runHelper(['--check-policy', path])).toBe(2);
    expect(here.told).toEqual([expect.stringContaining(`wsp helper: ${path}: `)]);
    expect(await runHelper(['--check-policy', path, '--node'])).toBe(2);
  });
});
