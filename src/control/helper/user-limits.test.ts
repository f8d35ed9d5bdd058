import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Child, startChild } from '../../platform/children.ts';
import { helpersOf, limitsOf, mostHelpers } from './user-limits.ts';

/** A user whom this machine has not. */
const uid = 64_931;

describe('security 14 the helpers of a user on a node', () => {
  it('are as many as leases can need, and what they take together goes with it', () => {
    expect([1, 32, 33, 128].map(processors => mostHelpers(processors))).toEqual([64, 64, 66, 256]);
    expect(limitsOf(64)).toEqual({ processes: 2_048, memoryMiB: 4_096 });
  });
});

describe.skipIf(process.getuid?.() !== 0)('security 14 the helpers of a user are counted', () => {
  let place: string;
  let program: string;
  const children: Child[] = [];
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'wsp-helpers-'));
    // Another user has to get to it.
    chmodSync(place, 0o755);
    program = join(place, 'node-tools.cjs');
    writeFileSync(program, 'process.stdin.resume(); process.stdout.write("up\\n");');
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL');
      await child.exited;
    }
    rmSync(place, { recursive: true });
  });

  /** Resolves when it runs. */
  async function start(argv: readonly [string, ...string[]], sudoUid = String(uid)): Promise<Child> {
    const child = await startChild(argv, {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: process.env['PATH'], SUDO_UID: sudoUid },
    });
    children.push(child);
    await new Promise(resolve => child.stdout?.once('data', resolve));
    return child;
  }

  it('by whom sudo has named, in the end', async () => {
    const [one, two] = [
      await start([process.execPath, program, 'helper']),
      await start([process.execPath, program, 'helper', '--slot', 'x']),
    ];
    await start([process.execPath, program, 'helper'], '64932');
    await start([process.execPath, program, 'helper'], '6493');
    await start([process.execPath, program, 'kill-all']);
    expect(new Set(helpersOf(uid))).toEqual(new Set([one.pid, two.pid]));
    one.kill('SIGKILL');
    await one.exited;
    expect(helpersOf(uid)).toEqual([two.pid]);
  });

  it('and nobody can pretend to be one: not who is not root, not another program', async () => {
    const as = ['setpriv', '--reuid=64931', '--regid=64931', '--clear-groups'] as const;
    await start([...as, process.execPath, program, 'helper']);
    const script = join(place, 'script');
    writeFileSync(script, 'echo up; read line');
    await start(['sh', script, 'helper']);
    expect(helpersOf(uid)).toEqual([]);
  });
});
