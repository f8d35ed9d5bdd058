import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { startChild } from './children.ts';
import { CommandFailure } from './process.ts';

describe('startChild', () => {
  it('runs a program, carries its streams and tells its exit code', async () => {
    const child = await startChild(['sh', '-c', 'cat; echo words >&2; exit 3'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin?.end('hello');
    if (!child.stdout || !child.stderr) throw new Error('pipes expected');
    // Both at once: what nobody reads by the time that the program ends is thrown away.
    expect(await Promise.all([text(child.stdout), text(child.stderr)])).toEqual(['hello', 'words\n']);
    expect(await child.exited).toEqual({ code: 3, signal: null });
    expect(child.kill()).toBe(false);
  });

  it('tells the signal that ended it', async () => {
    const child = await startChild(['sleep', '60']);
    expect(child.pid).toBeGreaterThan(0);
    expect(child.kill('SIGKILL')).toBe(true);
    expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('rejects with a typed failure when the program is not there', async () => {
    const failure = await startChild(['wsp-no-such-program'], { cwd: '/' }).catch((cause: unknown) => cause);
    expect(failure).toBeInstanceOf(CommandFailure);
    expect(failure).toMatchObject({ kind: 'not-found' });
    expect(String(failure)).toContain('wsp-no-such-program is not installed');
  });

  it('rejects when the arguments cannot be passed on', async () => {
    await expect(startChild(['true', 'a\0b'])).rejects.toMatchObject({ kind: 'not-started' });
  });

  it('survives a write to a child that has gone', async () => {
    const child = await startChild(['true'], { stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin?.write('x'.repeat(1_000_000));
    expect(await child.exited).toEqual({ code: 0, signal: null });
  });
});
