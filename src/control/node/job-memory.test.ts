import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type JobMemory, jobMemory, OomKills } from './job-memory.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-job-memory-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A cgroup filesystem with these files, seen by a process of these cgroups. */
function host(self: string, files: Readonly<Record<string, string>>) {
  writeFileSync(join(directory, 'self'), self);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return { root: directory, self: join(directory, 'self') };
}

const none = '9223372036854771712\n';

describe('the memory of a job', () => {
  it('report C is read from the first hierarchy: the kills of the step, the limit of the job', () => {
    const files = host('5:cpuset:/\n4:memory:/slurm_n01/uid_7/job_3/step_0\n0::/\n', {
      'memory/memory.limit_in_bytes': none,
      'memory/slurm_n01/memory.limit_in_bytes': none,
      'memory/slurm_n01/uid_7/job_3/memory.limit_in_bytes': `${256 * 2 ** 20}\n`,
      'memory/slurm_n01/uid_7/job_3/memory.max_usage_in_bytes': `${256 * 2 ** 20}\n`,
      'memory/slurm_n01/uid_7/job_3/step_0/memory.limit_in_bytes': none,
      'memory/slurm_n01/uid_7/job_3/step_0/memory.oom_control':
        'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
    });
    expect(jobMemory(files)).toEqual({ oomKills: 2, limit: { limitMiB: 256, usedMiB: 256 } });
  });

  it.each([
    ['memory.peak', { 'job/memory.peak': `${250 * 2 ** 20}\n`, 'job/memory.current': '4096\n' }],
    ['memory.current, where there is no peak', { 'job/memory.current': `${250 * 2 ** 20}\n` }],
  ])('report C is read from the second hierarchy: %s', (_, used) => {
    const files = host('0::/job/step\n', {
      ...used,
      'job/memory.max': `${256 * 2 ** 20}\n`,
      'job/step/memory.max': 'max\n',
      'job/step/memory.events': 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n',
    });
    expect(jobMemory(files)).toEqual({ oomKills: 1, limit: { limitMiB: 256, usedMiB: 250 } });
  });

  it('has no limit, or is not known at all', () => {
    const files = host('4:memory:/\n', {
      'memory/memory.limit_in_bytes': none,
      'memory/memory.oom_control': 'oom_kill 0\n',
    });
    expect(jobMemory(files)).toEqual({ oomKills: 0, limit: undefined });
    expect(jobMemory(host('4:memory:/elsewhere\n', {}))).toBeUndefined();
    expect(jobMemory({ root: directory, self: join(directory, 'absent') })).toBeUndefined();
  });
});

describe('OomKills', () => {
  it('report C tells of each kill once, and of none from before', () => {
    let oomKills = 3;
    const kills = new OomKills((): JobMemory => ({ oomKills, limit: undefined }));
    expect(kills.take()).toBeUndefined();
    oomKills = 5;
    expect([kills.take(), kills.take(), kills.take()]).toEqual([
      { oomKills: 5, limit: undefined },
      { oomKills: 5, limit: undefined },
      undefined,
    ]);
  });
});
