import { describe, expect, it } from 'vitest';
import { CommandFailure, type CommandResult, type ProcessRunner } from '../../platform/process.ts';
import type { GangRequest } from '../lrm.ts';
import { slurm } from './slurm.ts';

/** What cannot be had from a real Slurm at will; the rest is in the contract, which runs against one (test/e2e/lrm-slurm.test.ts). */

/** A squeue or sinfo that prints these rows, of as many fields as it is asked for. */
function printed(argv: readonly string[], rows: readonly (readonly string[])[]): string {
  const fields = (argv.at(-1) ?? '').split(',').map(field => field.split(':'));
  const end = fields[0]?.[1] ?? '';
  return [fields.map(([name = '']) => name), ...rows].map(row => `${row.join(end)}${end}\n`).join('');
}

describe('a job that is to end later', () => {
  const uid = String(process.getuid?.());
  const row = ['7', uid, 'RUNNING', 'None', '1000', '4600', 'N/A', 'n01', 'wsp-slot-aaaaaaaaaa', '(null)'];
  const extended = async (until: number) => {
    const asked: string[] = [];
    const run: ProcessRunner['run'] = argv => {
      if (argv[0] === 'scontrol') asked.push(argv.slice(1).join(' '));
      const stdout = printed(argv, argv[0] === 'squeue' ? [row] : []);
      return Promise.resolve({ code: 0, signal: null, stdout, stderr: '' });
    };
    return [await slurm({}, { run }).extend('7', until), asked];
  };

  it('lasts at least as long as it is to, in the whole minutes that Slurm counts', async () => {
    const endsAt = 4_600_000;
    expect(await extended(endsAt + 90_000)).toEqual([endsAt + 120_000, ['update JobId=7 TimeLimit=+2']]);
    expect(await extended(endsAt + 60_000)).toEqual([endsAt + 60_000, ['update JobId=7 TimeLimit=+1']]);
    // It lasts for long enough already.
    for (const until of [endsAt, endsAt - 1]) expect(await extended(until)).toEqual([endsAt, []]);
  });
});

describe('nodes of a job', () => {
  const uid = String(process.getuid?.());
  const job = (state: string, nodes: string) =>
    ['7', uid, state, 'None', '1000', '4600', 'N/A', nodes, 'wsp-slot-aaaaaaaaaa', '(null)'] as const;
  /** A Slurm with this job, and these rows of sinfo; `asked`: the commands that were run. */
  const with_ = (state: string, nodes: string, troubles: readonly (readonly string[])[], code = 0) => {
    const asked: string[] = [];
    const run: ProcessRunner['run'] = argv => {
      asked.push(argv.slice(0, 5).join(' '));
      const sinfo = argv[0] === 'sinfo';
      const stdout = printed(argv, sinfo ? troubles : [job(state, nodes)]);
      return Promise.resolve({ code: sinfo ? code : 0, signal: null, stdout, stderr: '' });
    };
    return { asked, list: () => slurm({}, { run }).list() };
  };

  it('that an administrator drains are told, once, with the words as they are', async () => {
    // n03 is in two partitions; n09 is none of ours.
    const row = ['n03', 'draining', 'kernel | update: 5|6'];
    const { asked, list } = with_('RUNNING', 'n[01-03]', [row, row, ['n09', 'draining', 'disk']]);
    expect((await list())[0]?.draining).toEqual([{ node: 'n03', reason: 'kernel | update: 5|6' }]);
    expect(asked).toContain('sinfo -a -t drain,down,fail -O');
  });

  it("site S10 a newline in one's reason is no other node's", async () => {
    const { list } = with_('RUNNING', 'n[01-03]', [['n03', 'draining', 'disk\nn01|draining\nfan']]);
    expect((await list())[0]?.draining).toEqual([{ node: 'n03', reason: 'disk; n01|draining; fan' }]);
  });

  it('are none when sinfo names none, and may have no words', async () => {
    expect((await with_('RUNNING', 'n01', []).list())[0]?.draining).toEqual([]);
    const [drained] = await with_('RUNNING', 'n01', [['n01', 'drained', 'none']]).list();
    expect(drained?.draining).toEqual([{ node: 'n01', reason: '' }]);
  });

  it('that are lost are named, with the words that Slurm or an administrator has for it', async () => {
    const rows = [
      ['n02', 'down*', 'Not responding'],
      ['n01', 'drained', 'disk'],
    ];
    expect((await with_('NODE_FAIL', 'n[01-02]', rows).list())[0]).toMatchObject({
      state: 'node-failed',
      reason: 'Slurm has lost a node of the job: n02 (Not responding)',
    });
  });

  it('site S7 that are being powered up are why the job does not run yet', async () => {
    const { asked, list } = with_('CONFIGURING', 'n01', [['n01', 'allocated#', 'none']]);
    expect((await list())[0]).toMatchObject({ state: 'starting', reason: 'its nodes are being powered up' });
    expect(asked).toContain('sinfo -a -t drain,down,fail,powering_up -O');
  });

  it('are not asked for while no job of ours has any', async () => {
    const { asked, list } = with_('PENDING', '', [['n03', 'draining', 'kernel']]);
    await list();
    expect(asked.filter(command => command.startsWith('sinfo'))).toEqual([]);
  });

  it('are not taken as back in service because sinfo fails: there is no list then', async () => {
    const failed = with_('RUNNING', 'n01', [], 1);
    await expect(failed.list()).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
  });
});

describe('a job that is beyond a limit', () => {
  const uid = String(process.getuid?.());
  const waits = (reason: string) =>
    ['7', uid, 'PENDING', reason, 'N/A', 'N/A', 'N/A', '', 'wsp-slot-aaaaaaaaaa', '(null)'] as const;
  /** A Slurm with this job; `asked`: what was asked of its accounting, which prints `figure`. */
  const with_ = (reason: string, figure: string, code = 0) => {
    const asked: string[] = [];
    const run: ProcessRunner['run'] = argv => {
      const isOfOne = argv.includes('-j');
      if (argv[0] === 'sacctmgr') asked.push(argv.slice(1).join(' '));
      const stdout =
        argv[0] === 'sacctmgr'
          ? figure
          : printed(argv, [isOfOne ? ['normal', 'physics', 'ann'] : waits(reason)]);
      return Promise.resolve({ code: argv[0] === 'sacctmgr' ? code : 0, signal: null, stdout, stderr: '' });
    };
    return { asked, lrm: slurm({}, { run }) };
  };
  const reasonOf = async (lrm: ReturnType<typeof slurm>) => (await lrm.list())[0]?.reason;

  it.each([
    ['QOSMaxWallDurationPerJobLimit', '1-00:03:00\n', 'at most 1d3m', 'qos where name=normal format=MaxWall'],
    [
      'AssocMaxCpuPerJobLimit',
      'cpu=4,mem=8G\n',
      'at most 4 processors',
      'assoc where account=physics user=ann format=MaxTRES',
    ],
    ['QOSMaxMemoryPerNode', 'cpu=4,mem=8G\n', 'at most 8G', 'qos where name=normal format=MaxTRESPerNode'],
    ['QOSMinCpuNotSatisfied', 'cpu=2\n', 'at least 2 processors', 'qos where name=normal format=MinTRES'],
  ])('has its figure in the reason, which is asked for once: %s', async (reason, figure, words, question) => {
    const { asked, lrm } = with_(reason, figure);
    expect(await reasonOf(lrm)).toMatch(new RegExp(`: ${words}$`));
    expect(await reasonOf(lrm)).toMatch(new RegExp(`: ${words}$`));
    expect(asked).toEqual([`-nP show ${question}`]);
  });

  it('has its reason without it where it cannot be learnt, which is no reason to ask again', async () => {
    const { asked, lrm } = with_('QOSMaxWallDurationPerJobLimit', '', 1);
    for (let times = 0; times < 3; times += 1)
      expect(await reasonOf(lrm)).toMatch(/\(QOSMaxWallDurationPerJobLimit\)$/);
    expect(asked).toHaveLength(1);
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
  const failed = (words: string): string => `sbatch: error: Batch job submission failed: ${words}\n`;

  /** Said of the request itself. */
  const refusals = [
    failed('Invalid account or account/partition combination specified'),
    `sbatch: error: invalid partition specified: nowhere\n${failed('Invalid partition name specified')}`,
    `sbatch: error: Memory specification can not be satisfied\n${failed('Requested node configuration is not available')}`,
    failed('Invalid qos specification'),
    failed('Invalid feature specification'),
    failed('Requested time limit is invalid (missing or exceeds some limit)'),
    failed("User's group not permitted to use this partition"),
    `sbatch: error: QOSMaxWallDurationPerJobLimit\n${failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")}`,
    'sbatch: unrecognized option \'--foo\'\nTry "sbatch --help" for more information\n',
    'sbatch: error: Invalid --mem specification\n',
    'allocation failure: Requested node configuration is not available\n',
  ];
  /** Passes. */
  const deferrals = [
    `sbatch: error: AssocMaxSubmitJobLimit\n${failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")}`,
    `sbatch: error: QOSMaxSubmitJobPerUserLimit\n${failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")}`,
    // Of all that the account has: it passes when others of its jobs are over.
    ...['AssocGrpSubmitJobsLimit', 'QOSGrpSubmitJobsLimit'].map(
      limit =>
        `sbatch: error: ${limit}\n${failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")}`,
    ),
    failed('MaxJobCount limit reached'),
    failed('Required partition not available (inactive or drain)'),
    failed('System submissions disabled'),
    failed('Licenses currently unavailable'),
  ];
  /** Says nothing about the request. */
  const outages = [
    failed('Unable to contact slurm controller (connect failure)'),
    failed('Slurm backup controller in standby mode'),
    failed('Socket timed out on send/recv operation'),
    failed('Resource temporarily unavailable'),
    failed('Unspecified error'),
    failed('A word of 2030'),
    'sbatch: error: If munged is up, restart with --num-threads=10\nsbatch: error: Munge encode failed: Failed to access "/run/munge/munge.socket.2": No such file or directory (Did you start munged?)\nsbatch: error: slurm_send_node_msg: auth_g_create: REQUEST_SUBMIT_BATCH_JOB has authentication error\nsbatch: error: Batch job submission failed: Protocol authentication error\n',
    'sbatch: error: s_p_parse_file: unable to read "/etc/slurm/slurm.conf": Permission denied\nsbatch: error: ClusterName needs to be specified\nsbatch: fatal: Unable to process configuration file\n',
    'sbatch: error: fork: Resource temporarily unavailable\n',
    // What the site's submit plugin says may have any word in it.
    `sbatch: error: Invalid account? ask the help desk\n${failed('Unspecified error')}`,
    '',
  ];

  it.each([
    ...refusals.map(stderr => ['refused', stderr] as const),
    ...deferrals.map(stderr => ['deferred', stderr] as const),
    ...outages.map(stderr => ['unavailable', stderr] as const),
  ])('report 1 site S6: %s: %s', async (expected, stderr) => {
    await expect(says({ code: 1, stderr }).submit(request)).rejects.toEqual(kind(expected));
    await expect(says({ code: 1, stderr }).dryRun(request)).rejects.toEqual(kind(expected));
  });

  it('prints no job id is unavailable: the job may be there', async () => {
    await expect(says({ stdout: 'OK\n' }).submit(request)).rejects.toEqual(kind('unavailable'));
    expect(await says({ stdout: 'Welcome\n17;site\n' }).submit(request)).toBe('17');
  });

  it('hangs, or is not there, is unavailable', async () => {
    const failing = with_(argv => Promise.reject(new CommandFailure('timeout', argv, 'took too long')));
    await expect(failing.submit(request)).rejects.toEqual(kind('unavailable'));
    await expect(failing.list()).rejects.toEqual(kind('unavailable'));
  });

  it('report 1: does not know the job to cancel has done what was wanted, and nothing else has', async () => {
    await says({
      code: 1,
      stderr: 'scancel: error: Kill job error on job id 99: Invalid job id specified',
    }).cancel('99');
    for (const stderr of [
      'scancel: error: Kill job error on job id 99: Protocol authentication error',
      'scancel: error: Kill job error on job id 99: Access/permission denied',
      '',
    ])
      await expect(says({ code: 1, stderr }).cancel('99')).rejects.toEqual(kind('unavailable'));
  });
});
