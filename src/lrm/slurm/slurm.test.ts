import { describe, expect, it } from 'vitest';
import { CommandFailure, type CommandResult, type ProcessRunner } from '../../platform/process.ts';
import type { GangRequest } from '../lrm.ts';
import { parseCapabilities, slurm } from './slurm.ts';

/** What cannot be had from a real Slurm at will; the rest is in the contract, which runs against one (test/e2e/lrm-slurm.test.ts). */

const config = 'Configuration data as of …\nKillWait                = 45 sec\nSLURM_VERSION = 22.05.8\n';

describe('capabilities of a queue', () => {
  it('come from the default partition when none is named', () => {
    const rows = 'debug*|4|7976|2|1:00:00|1/3/0/4\nbig|100|512000|64|infinite|0/100/0/100\n';
    expect(parseCapabilities(rows, config, undefined)).toMatchObject({
      nodes: 4,
      idleNodes: 3,
      memoryMiBPerNode: 7_976,
      cpusPerNode: 2,
      maxWalltimeMs: 3_600_000,
      killDelayMs: 45_000,
    });
    expect(parseCapabilities(rows, config, 'big')).not.toHaveProperty('maxWalltimeMs');
  });

  it('add up nodes of several kinds, and say what the largest can give', () => {
    const rows = 'mixed*|2|1000+|2|2-12:30:00|0/2/0/2\nmixed*|3|4000|8+|2-12:30:00|1/2/0/3\n';
    expect(parseCapabilities(rows, config, undefined)).toMatchObject({
      nodes: 5,
      idleNodes: 4,
      memoryMiBPerNode: 4_000,
      cpusPerNode: 8,
      maxWalltimeMs: (60 * 60 + 30) * 60_000,
    });
  });

  it('are an error for a queue that is not there', () => {
    expect(() => parseCapabilities('debug*|4|7976|2|1:00:00|1/3/0/4\n', config, 'big')).toThrow(
      'Slurm has no queue big',
    );
    expect(() => parseCapabilities('', config, undefined)).toThrow('Slurm has no queue (default)');
  });
});

describe('nodes that an administrator drains', () => {
  const running = { job_id: 7, name: 'wsp-slot-aaaaaaaaaa', job_state: 'RUNNING', nodes: 'n[01-03]' };
  const waiting = { job_id: 8, name: 'wsp-slot-bbbbbbbbbb', job_state: 'PENDING', nodes: '' };
  const over = { job_id: 9, name: 'wsp-slot-cccccccccc', job_state: 'COMPLETED', nodes: 'n03' };
  /** A Slurm with these jobs, and this answer of sinfo; `asked`: the commands that were run. */
  const with_ = (jobs: readonly object[], sinfo: Partial<CommandResult>) => {
    const asked: string[] = [];
    const run: ProcessRunner['run'] = ([command = '', ...args]) => {
      asked.push([command, ...args].join(' '));
      const printed = args.includes('--json') ? JSON.stringify({ jobs }) : '';
      const answer = command === 'sinfo' ? sinfo : { stdout: printed };
      return Promise.resolve({ code: 0, signal: null, stdout: '', stderr: '', ...answer });
    };
    return { asked, list: () => slurm({}, { run }).list() };
  };

  it('are told of the running job that has them, once, with the words as they are', async () => {
    // n03 is in two partitions; n09 is none of ours.
    const stdout = 'n03|kernel | update: 5|6\nn03|kernel | update: 5|6\nn09|disk\n';
    const { asked, list } = with_([running, waiting, over], { stdout });
    const [first, second, third] = await list();
    expect(first?.draining).toEqual([{ node: 'n03', reason: 'kernel | update: 5|6' }]);
    expect([second?.draining, third?.draining]).toEqual([undefined, undefined]);
    expect(asked).toContain('sinfo -h -a -N -t drain -o %N|%E');
  });

  it('are none when sinfo names none, and may have no words', async () => {
    expect((await with_([running], { stdout: '' }).list())[0]?.draining).toEqual([]);
    const [job] = await with_([running], { stdout: 'n01|none\n' }).list();
    expect(job?.draining).toEqual([{ node: 'n01', reason: '' }]);
  });

  it('are not asked for while no job of ours runs', async () => {
    const { asked, list } = with_([waiting, over], { stdout: 'n03|kernel\n' });
    await list();
    expect(asked.filter(command => command.startsWith('sinfo'))).toEqual([]);
  });

  it('are not taken as back in service because sinfo fails: there is no list then', async () => {
    const failed = with_([running], { code: 1, stderr: 'slurm_load_partitions: Connection refused' });
    await expect(failed.list()).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
  });
});

describe('a command of Slurm that', () => {
  const request: GangRequest = {
    jobName: 'wsp-slot-aaaaaaaaaa',
    nodes: 1,
    memoryMiBPerNode: 64,
    cpusPerNode: 1,
    walltimeMs: 60_000,
    options: [],
    program: '',
  };
  const with_ = (run: ProcessRunner['run']) => slurm({}, { run });
  const says = (result: Partial<CommandResult>) =>
    with_(() => Promise.resolve({ code: 0, signal: null, stdout: '', stderr: '', ...result }));
  const kind = (expected: string) => expect.objectContaining({ name: 'LrmError', kind: expected });

  it.each([
    [
      'cannot reach its controller',
      'unavailable',
      { code: 1, stderr: 'sbatch: error: Batch job submission failed: Unable to contact slurm controller' },
    ],
    ['prints no job id', 'unavailable', { code: 0, stdout: 'OK\n' }],
    [
      'refuses',
      'refused',
      { code: 1, stderr: 'sbatch: error: Batch job submission failed: Invalid account\n' },
    ],
    ['fails without a word', 'refused', { code: 1 }],
  ] as const)('%s is %s', async (_, expected, result) => {
    await expect(says(result).submit(request)).rejects.toEqual(kind(expected));
  });

  it('hangs, or is not there, is unavailable', async () => {
    const failing = with_(argv => Promise.reject(new CommandFailure('timeout', argv, 'took too long')));
    await expect(failing.submit(request)).rejects.toEqual(kind('unavailable'));
    await expect(failing.list()).rejects.toEqual(kind('unavailable'));
  });

  it('does not know the job to cancel has done what was wanted', async () => {
    await says({ code: 1, stderr: 'scancel: error: Invalid job id 99' }).cancel('99');
    await expect(says({ code: 1, stderr: 'Connection refused' }).cancel('99')).rejects.toEqual(
      kind('unavailable'),
    );
  });
});
