import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Child, startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { systemProcesses } from '../../platform/process.ts';
import { helperDirectory, type HelperDirectory } from './journal.ts';
import { endStuckHolder, withNodeLock } from './node-lock.ts';
import { startTimeOf } from './proc.ts';

/** How long it was to be waited for the lock; it is waited for less where nobody will give it free. */
const asked = vi.hoisted(() => [] as string[]);
const patience = vi.hoisted(() => ({ seconds: '' }));
vi.mock('../../platform/children.ts', async original => {
  const real = await original<typeof import('../../platform/children.ts')>();
  const start: typeof real.startChild = (argv, options) => {
    const at = argv.indexOf('--timeout') + 1;
    if (argv[0] !== 'flock' || at === 0) return real.startChild(argv, options);
    asked.push(argv[at] ?? '');
    const seconds = patience.seconds || asked.at(-1) || '';
    return real.startChild(['flock', ...argv.slice(1).with(at - 1, seconds)], options);
  };
  return { ...real, startChild: start };
});

let place: string;
let at: HelperDirectory;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-node-lock-'));
  at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

/** Who holds the lock that a newcomer would find; undefined: nobody does. */
async function holder(): Promise<string | undefined> {
  const path = join(at.node, 'lock');
  const tried = await systemProcesses.run(['flock', '--nonblock', path, 'true'], { deadlineMs: 10_000 });
  return tried.code === 0 ? undefined : readFileSync(path, 'utf8');
}

describe("the node's lock", () => {
  it('is held while the work is done, and gone with the directory of a node that has nothing', async () => {
    expect(await withNodeLock(at, holder)).toBe(String(process.pid));
    expect(existsSync(join(place, 'state'))).toBe(false);
  });

  it('is the new one for who waited for one that was taken away', async () => {
    let second: Promise<string | undefined> | undefined;
    await withNodeLock(at, async () => {
      second = withNodeLock(at, holder);
    });
    // Of a file that is not there any more nobody else would see that it is locked.
    expect(await second).toBe(String(process.pid));
  });

  it('is one, though somebody else has made it anew by then', async () => {
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      for (const _ of [1, 2, 3]) expect(await holder()).toBe(String(process.pid));
      inside -= 1;
    };
    let second: Promise<void> | undefined;
    await withNodeLock(at, async () => {
      second = withNodeLock(at, work);
    });
    await Promise.all([second, withNodeLock(at, work)]);
    expect(most).toBe(1);
  });

  it('is given free by work that fails', async () => {
    await expect(withNodeLock(at, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await withNodeLock(at, () => Promise.resolve('yes'))).toBe('yes');
  });

  it('stays with a node that has a slot or a bridge, and so does the state directory', async () => {
    for (const directory of [at.slots, at.bridges]) {
      mkdirSync(join(directory, 'one'), { recursive: true });
      await withNodeLock(at, () => Promise.resolve());
      expect([existsSync(join(at.node, 'lock')), existsSync(join(directory, 'one'))]).toEqual([true, true]);
      rmSync(directory, { recursive: true });
    }
    for (const directory of [at.slots, at.bridges, join(place, 'state/n02')]) mkdirSync(directory);
    await withNodeLock(at, () => Promise.resolve());
    expect([existsSync(at.node), existsSync(join(place, 'state/n02'))]).toEqual([false, true]);
  });
});

describe('a lock that another one holds', () => {
  let child: Child;
  beforeEach(async () => {
    patience.seconds = '0.2';
    mkdirSync(join(at.slots, 'one'), { recursive: true });
    const script = 'exec 3>>"$1"; flock 3; echo up; read line';
    child = await startChild(['sh', '-c', script, 'helper', join(at.node, 'lock')], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await new Promise(resolve => child.stdout?.once('data', resolve));
    writeFileSync(join(at.node, 'lock'), String(child.pid));
  });
  afterEach(async () => {
    patience.seconds = '';
    child.kill('SIGKILL');
    await child.exited;
  });

  it('is waited for, and then it is said who that is', async () => {
    asked.length = 0;
    const work = vi.fn(() => Promise.resolve());
    await expect(withNodeLock(at, work)).rejects.toMatchObject({
      code: 'node_locked',
      message: `the node's lock ${at.node}/lock is held by process ${child.pid} for more than 20s`,
    });
    expect([asked, work.mock.calls.length]).toEqual([['20'], 0]);
  });

  it('is taken from who holds it for longer than one change takes', async () => {
    await endStuckHolder(at, systemClock);
    expect((await child.exited).signal).toBe('SIGKILL');
    expect(await withNodeLock(at, holder)).toBe(String(process.pid));
  });

  it('is not taken from who has the number of one that held it', async () => {
    const other = await startChild(['sleep', 'infinity']);
    writeFileSync(join(at.node, 'lock'), String(other.pid));
    await expect(endStuckHolder(at, systemClock)).rejects.toMatchObject({ code: 'node_locked' });
    expect(startTimeOf(other.pid)).toBeDefined();
    other.kill('SIGKILL');
    await other.exited;
  });
});

it('nobody is ended where the lock is free', async () => {
  mkdirSync(join(at.slots, 'one'), { recursive: true });
  await endStuckHolder(at, systemClock);
  expect(readFileSync(join(at.node, 'lock'), 'utf8')).toBe(String(process.pid));
});
