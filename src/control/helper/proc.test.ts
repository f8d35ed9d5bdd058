import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Child, startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import { argumentsOf, endProcess, isAlive, ownerOf, pidsWith, startTimeOf } from './proc.ts';

let place: string;
const children: Child[] = [];
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-proc-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await child.exited;
  }
  rmSync(place, { recursive: true, force: true });
});

/** Resolves when it has said a line. */
async function start(argv: readonly [string, ...string[]]): Promise<Child & { readonly said: string }> {
  const child = await startChild(argv, { stdio: ['pipe', 'pipe', 'ignore'] });
  children.push(child);
  const said = await new Promise<string>(resolve =>
    child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString())),
  );
  return { ...child, said: said.trim() };
}

const endless = ['sh', '-c', 'echo up; read line'] as const;
const nobody = 4_194_303;

describe('a process', () => {
  it('is known by its start time, whatever it is called', async () => {
    const program = join(place, 'a) S 1 (b');
    copyFileSync('/bin/sh', program);
    const [plain, odd] = [await start(endless), await start([program, ...endless.slice(1)])];
    for (const { pid } of [plain, odd]) {
      expect(startTimeOf(pid)).toMatch(/^\d{3,}$/);
      expect(isAlive({ pid, startTime: startTimeOf(pid) ?? '' })).toBe(true);
    }
    // They were started within a minute of each other, a hundred ticks a second.
    expect(Math.abs(Number(startTimeOf(odd.pid)) - Number(startTimeOf(plain.pid)))).toBeLessThan(6_000);
    expect(isAlive({ pid: plain.pid, startTime: '1' })).toBe(false);
    expect(startTimeOf(nobody)).toBeUndefined();
  });

  it('is gone as soon as it is a zombie', async () => {
    const { said } = await start(['sh', '-c', 'true & echo $!; exec sleep infinity']);
    await expect.poll(() => startTimeOf(Number(said))).toBeUndefined();
    expect(argumentsOf(Number(said))).toEqual([]);
  });

  it('is told by its arguments, each of them whole', async () => {
    const word = `--word=${place}`;
    const { pid } = await start([...endless, 'name', word, 'two words', '']);
    expect(argumentsOf(pid)).toEqual([...endless, 'name', word, 'two words', '']);
    expect(pidsWith(word)).toEqual([pid]);
    expect([pidsWith(word.slice(0, -1)), argumentsOf(nobody)]).toEqual([[], []]);
  });
});

describe.skipIf(process.getuid?.() !== 0)('whose a process is', () => {
  it('is told by all four of its ids', async () => {
    // A shell gives up what it has more of than its caller.
    const script = '$| = 1; print "up\\n"; <STDIN>';
    const as = (...ids: string[]) => start(['setpriv', ...ids, '--clear-groups', 'perl', '-e', script]);
    expect(ownerOf((await as('--reuid=64931')).pid)).toBe(64_931);
    expect(ownerOf((await as('--ruid=64931')).pid)).toBeUndefined();
    expect(ownerOf((await as('--euid=64931')).pid)).toBeUndefined();
    expect([ownerOf(process.pid), ownerOf(nobody)]).toEqual([0, undefined]);
  });
});

describe('a process that is ended', () => {
  it('is gone then; and no other one with its number is touched', async () => {
    const child = await start(endless);
    const startTime = startTimeOf(child.pid) ?? '';
    expect(await endProcess(systemClock, { pid: child.pid, startTime: '1' }, 'SIGKILL', 1_000)).toBe(true);
    expect(startTimeOf(child.pid)).toBe(startTime);
    expect(await endProcess(systemClock, { pid: child.pid, startTime }, 'SIGKILL', 10_000)).toBe(true);
    expect((await child.exited).signal).toBe('SIGKILL');
    expect(await endProcess(systemClock, { pid: child.pid, startTime }, 'SIGKILL', 1_000)).toBe(true);
  });

  it('gets the signal that was asked for, and is waited for so long and no longer', async () => {
    const child = await start(['sh', '-c', 'trap "" TERM; echo up; while read line; do :; done']);
    const clock = createVirtualClock(0);
    const startTime = startTimeOf(child.pid) ?? '';
    let outcome: boolean | undefined;
    const ended = endProcess(clock, { pid: child.pid, startTime }, 'SIGTERM', 1_000);
    void ended.then(result => (outcome = result));
    await clock.advanceTo(1_000);
    expect(outcome).toBeUndefined();
    await clock.advanceTo(1_010);
    expect([await ended, startTimeOf(child.pid)]).toEqual([false, startTime]);
  });

  it('may end by itself at that moment; what else the kernel refuses is told', async () => {
    const endWith = async (code: string): Promise<boolean> => {
      const child = await start(endless);
      const startTime = startTimeOf(child.pid) ?? '';
      const killed = vi.spyOn(process, 'kill').mockImplementationOnce(() => {
        child.kill('SIGKILL');
        throw Object.assign(new Error(code), { code });
      });
      return endProcess(systemClock, { pid: child.pid, startTime }, 'SIGKILL', 10_000).finally(() =>
        killed.mockRestore(),
      );
    };
    await expect(endWith('EPERM')).rejects.toThrow('EPERM');
    expect(await endWith('ESRCH')).toBe(true);
  });
});
