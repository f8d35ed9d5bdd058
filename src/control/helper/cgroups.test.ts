import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CgroupFiles, removeEmptyCgroups, UserCgroups } from './cgroups.ts';

/** With files as the kernel has them; on real ones in test/e2e/helper-attacks.test.ts. */

let place: string;
let files: CgroupFiles;
let cgroups: UserCgroups;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-cgroups-'));
  files = { root: join(place, 'cgroup'), self: join(place, 'self') };
  writeFileSync(files.self, '0::/slurm/job_7\n');
  cgroups = new UserCgroups(1_000, { processes: 64, memoryMiB: 128 }, files);
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

const own = 'workspace-pilot-1000';

/** The files are there and empty, but for those with a content. */
function make(...paths: readonly (string | readonly [path: string, content: string])[]): void {
  for (const each of paths) {
    const [path, content] = typeof each === 'string' ? [each, ''] : each;
    const file = join(files.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

const read = (path: string): string => readFileSync(join(files.root, path), 'utf8');
const me = String(process.pid);

describe('security 14 the helpers of a user are in a cgroup of their own', () => {
  test('in version 2, with a limit of processes and of memory', () => {
    make('cgroup.procs', ['cgroup.subtree_control', 'cpu memory pids\n']);
    make(`${own}/cgroup.procs`, `${own}/pids.max`, `${own}/memory.max`, 'system.slice/cgroup.procs');
    expect(cgroups.enter()).toEqual([]);
    expect(
      [
        `${own}/pids.max`,
        `${own}/memory.max`,
        `${own}/cgroup.procs`,
        'cgroup.procs',
        'system.slice/cgroup.procs',
      ].map(read),
    ).toEqual(['64', '134217728', me, '', '']);
    cgroups.leave();
    expect(read('cgroup.procs')).toBe(me);
  });

  test('in version 1, of the hierarchies that can limit; in the root of all others', () => {
    make('freezer/cgroup.procs', 'pids/cgroup.procs', 'memory/cgroup.procs', 'unified/cgroup.procs');
    make(['unified/cgroup.subtree_control', '\n'], `pids/${own}/cgroup.procs`, `pids/${own}/pids.max`);
    make(`memory/${own}/cgroup.procs`, `memory/${own}/memory.limit_in_bytes`);
    expect(cgroups.enter()).toEqual([]);
    expect(
      [
        `pids/${own}/pids.max`,
        `pids/${own}/cgroup.procs`,
        `memory/${own}/memory.limit_in_bytes`,
        `memory/${own}/cgroup.procs`,
        'freezer/cgroup.procs',
        'unified/cgroup.procs',
        'pids/cgroup.procs',
      ].map(read),
    ).toEqual(['64', me, '134217728', me, me, me, '']);
    cgroups.leave();
    expect(['pids/cgroup.procs', 'memory/cgroup.procs'].map(read)).toEqual([me, me]);
  });
});

describe('security 14 what a node cannot do for the helpers of a user', () => {
  test('where nothing can be limited they are in the root, and say so', () => {
    make('cgroup.procs', ['cgroup.subtree_control', 'cpu\n']);
    expect(cgroups.enter()).toEqual([
      "this node cannot limit the processes that a user's helpers take together",
      "this node cannot limit the memory that a user's helpers take together",
    ]);
    expect(read('cgroup.procs')).toBe(me);
    expect(existsSync(join(files.root, own))).toBe(false);
  });

  test('where no cgroup can be made they are in the root, with the limit that can be set', () => {
    make('pids/cgroup.procs', 'memory/cgroup.procs', `memory/${own}`);
    make(`pids/${own}/cgroup.procs`, `pids/${own}/pids.max`);
    expect(cgroups.enter()).toEqual([
      "this node cannot limit the memory that a user's helpers take together",
    ]);
    expect(['memory/cgroup.procs', `pids/${own}/cgroup.procs`].map(read)).toEqual([me, me]);
  });

  test("they say which of the job's they cannot leave", () => {
    make('freezer/slurm/cgroup.procs', 'freezer/cgroup.procs/none');
    const stuck = `cannot leave the job's cgroup in ${files.root}/freezer`;
    expect(cgroups.enter()).toContain(stuck);
    writeFileSync(files.self, '3:freezer:/\n0::/\n');
    expect(cgroups.enter()).not.toContain(stuck);
  });

  test('their cgroup goes when nobody is in it; and nothing else does', () => {
    make('pids/cgroup.procs', 'memory/cgroup.procs', 'freezer/cgroup.procs', `pids/${own}/cgroup.procs`);
    const others = ['memory/workspace-pilot', 'memory/workspace-pilot-7x', `freezer/${own}`];
    const empty = [`memory/${own}`, 'memory/workspace-pilot-7'];
    for (const path of [...others, ...empty]) mkdirSync(join(files.root, path));
    removeEmptyCgroups(files);
    const there = (path: string): boolean => existsSync(join(files.root, path));
    expect([...empty, `pids/${own}`, ...others].map(there)).toEqual([false, false, true, true, true, true]);
  });
});
