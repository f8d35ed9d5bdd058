import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AgentErrand, AgentErrandResult } from '../../protocol/agent.ts';
import { startTimeOf } from '../../control/helper/proc.ts';
import { takeGlobal } from '../program.ts';
import { runErrand } from './install.ts';

/**
 * `wsp nodes add` and `remove` on the node, with programs that stand for the agent; the real one:
 * test/e2e/pools.test.ts.
 */

let place: string;
let directory: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-install-'));
  directory = join(place, 'deep/agent');
});
afterEach(async () => {
  await errand({ kind: 'remove', directory });
  rmSync(place, { recursive: true });
});

const at = (name: string): string => join(directory, name);
const modeOf = (path: string): number => statSync(path).mode & 0o777;

/** Writes down how it was started, says that it has joined, and stays until it is told to go. */
const staying = `
  const { closeSync, writeFileSync, writeSync } = require('node:fs');
  writeFileSync('started.json', JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd() }));
  console.log('a word');
  console.error('another word');
  const fd = Number(process.env.WSP_JOINED_FD);
  writeSync(fd, 'joined');
  closeSync(fd);
  require('node:net').createServer().listen(0);`;
const leaving = `console.log('x'.repeat(3_000)); console.error('it cannot be'); process.exitCode = 3;`;

type Add = Extract<AgentErrand, { kind: 'add' }>;
const adding = (change: Partial<Add> = {}): Add => ({
  kind: 'add',
  directory,
  program: staying,
  secret: 'the-join-secret-of-the-pool',
  ca: null,
  args: ['--pool', 'default'],
  ...change,
});

/** The errand, as it is told of on standard output, with its exit code. */
async function errand(one: AgentErrand): Promise<AgentErrandResult & { readonly code: number }> {
  let printed = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text, ...rest) => {
    printed += String(text);
    const done = rest.find(each => typeof each === 'function');
    if (done) queueMicrotask(() => done());
    return true;
  });
  const code = await runErrand(one).finally(() => write.mockRestore());
  expect(printed.endsWith('}\n')).toBe(true);
  return { ...(JSON.parse(printed) as AgentErrandResult), code };
}

describe('an errand', () => {
  it('that came with the program is taken once, and out of the reach of others', () => {
    const world = globalThis as Record<string, unknown>;
    expect(takeGlobal('wspAgentErrand')).toBeUndefined();
    const one = adding();
    world['wspAgentErrand'] = one;
    expect(takeGlobal('wspAgentErrand')).toBe(one);
    expect('wspAgentErrand' in world).toBe(false);
  });
});

describe('an agent that is added', () => {
  it('runs in its directory with its files, which are nobody else’s, until it is removed', async () => {
    const added = await errand(adding({ ca: 'a certificate\n' }));
    expect(added).toEqual({ code: 0, done: true, pid: expect.any(Number) });
    const pid = 'pid' in added ? Number(added.pid) : 0;
    expect(JSON.parse(readFileSync(at('started.json'), 'utf8'))).toEqual({
      args: [
        ...['agent', '--pool', 'default', '--secret-file', at('join-secret')],
        ...['--ca-file', at('service.pem')],
      ],
      cwd: directory,
    });
    expect(readFileSync(at('join-secret'), 'utf8')).toBe('the-join-secret-of-the-pool\n');
    expect(readFileSync(at('service.pem'), 'utf8')).toBe('a certificate\n');
    expect(readFileSync(at('node-tools.cjs'), 'utf8')).toBe(staying);
    expect(readFileSync(at('agent.pid'), 'utf8')).toBe(`${pid} ${startTimeOf(pid)}\n`);
    expect(readFileSync(at('agent.log'), 'utf8')).toBe('a word\nanother word\n');
    const modes = ['', 'node-tools.cjs', 'join-secret', 'service.pem', 'agent.pid', 'agent.log'];
    expect(modes.map(name => modeOf(at(name)))).toEqual([0o700, 0o700, 0o600, 0o600, 0o600, 0o600]);
    // In a session of its own, or it would end with ssh's: the sixth field of proc(5), stat.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    expect(fields[3]).toBe(String(pid));

    const again = await errand(adding({ secret: 'another-secret-of-the-pool' }));
    expect(again).toMatchObject({ code: 1, done: false, why: expect.stringContaining(String(pid)) });
    expect(readFileSync(at('join-secret'), 'utf8')).toBe('the-join-secret-of-the-pool\n');

    expect(await errand({ kind: 'remove', directory })).toEqual({ code: 0, done: true, pid });
    expect(startTimeOf(pid)).toBeUndefined();
    expect(readdirSync(directory).toSorted()).toEqual(['agent.log', 'started.json']);
  });

  it('has no certificate where none is needed, and may be in the home of whoever it runs as', async () => {
    const home = relative(homedir(), directory);
    expect(await errand(adding({ directory: home }))).toMatchObject({ code: 0, done: true });
    const { args } = JSON.parse(readFileSync(at('started.json'), 'utf8')) as { args: string[] };
    expect(args).toEqual(['agent', '--pool', 'default', '--secret-file', at('join-secret')]);
    expect(existsSync(at('service.pem'))).toBe(false);
    expect(await errand({ kind: 'remove', directory: home })).toMatchObject({ done: true });
  });

  it('that ends before it has joined is none, and its last words are told', async () => {
    const { code, ...result } = await errand(adding({ program: leaving }));
    expect([code, result.done]).toEqual([1, false]);
    const why = 'why' in result ? result.why : '';
    expect(why).toMatch(/^the agent has not joined: x+\nit cannot be$/);
    expect(why.length).toBeLessThan(2_100);
    expect(existsSync(at('agent.pid'))).toBe(false);
    // It may be tried again.
    expect(await errand(adding())).toMatchObject({ code: 0, done: true });
  });

  it('that cannot be written down is told of', async () => {
    mkdirSync(join(directory, 'node-tools.cjs'), { recursive: true });
    const result = await errand(adding());
    expect(result).toMatchObject({ code: 1, done: false, why: expect.stringContaining('node-tools.cjs') });
    rmSync(at('node-tools.cjs'), { recursive: true });
  });
});

describe('an agent that is removed', () => {
  it('need not be there', async () => {
    expect(await errand({ kind: 'remove', directory })).toEqual({ code: 0, done: true, pid: null });
  });

  it('is not whoever has its number now', async () => {
    await errand(adding());
    await errand({ kind: 'remove', directory });
    for (const text of [`${process.pid} 1\n`, `${process.pid}\n`, '']) {
      writeFileSync(at('agent.pid'), text);
      expect(await errand({ kind: 'remove', directory })).toEqual({ code: 0, done: true, pid: null });
    }
  });
});
