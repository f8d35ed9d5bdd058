import { describe, expect, it } from 'vitest';
import type { CommandResult, ProcessRunner } from '../../platform/process.ts';
import type { GangRequest, Lrm } from '../lrm.ts';
import { batchScript } from './batch-script.ts';
import type { SlurmSettings } from './section.ts';
import { type SlurmParts, slurm } from './slurm.ts';

/** What the adapter asks Slurm's commands, and makes of their answers; a real one is in test/e2e/lrm-slurm.test.ts. */

const request: GangRequest = {
  jobName: 'wsp-slot-aaaaaaaaaa',
  nodes: 2,
  memoryMiBPerNode: 300,
  cpusPerNode: 3,
  walltimeMs: 60_001,
  options: ['--qos=vms'],
  program: 'the program',
};

/** A squeue or sinfo that prints these rows, of as many fields as it is asked for. */
function printed(argv: readonly string[], rows: readonly (readonly string[])[]): string {
  const fields = (argv.at(-1) ?? '').split(',').map(field => field.split(':'));
  const end = fields[0]?.[1] ?? '';
  return [fields.map(([name = '']) => name), ...rows].map(row => `${row.join(end)}${end}\n`).join('');
}

type Rows = readonly (readonly string[])[];
type Answers = Partial<Record<string, Partial<CommandResult> | Rows>>;

const isRows = (answer: Partial<CommandResult> | Rows): answer is Rows => Array.isArray(answer);

function adapter(answers: Answers, settings: SlurmSettings = {}, parts: SlurmParts = { uid: 4_711 }) {
  const [asked, envs, inputs]: [string[], NodeJS.ProcessEnv[], (string | undefined)[]] = [[], [], []];
  const run: ProcessRunner['run'] = (argv, options) => {
    asked.push(argv.join(' ').replace(/ -O .*/, ' -O'));
    envs.push(options?.env ?? {});
    inputs.push(options?.input);
    const answer = answers[argv[0].split('/').at(-1) ?? ''] ?? {};
    const told = isRows(answer) ? { stdout: printed(argv, answer) } : answer;
    return Promise.resolve({ code: 0, signal: null, stdout: '', stderr: '', ...told });
  };
  return { lrm: slurm(settings, { run }, parts), asked, envs, inputs };
}

const row = (state: string, more: { id?: string; end?: string; nodes?: string; uid?: string } = {}) => [
  ...[
    more.id ?? '7',
    more.uid ?? '4711',
    state,
    'None',
    '1000',
    more.end ?? '4600',
    'N/A',
    more.nodes ?? 'n01',
  ],
  ...['wsp-slot-aaaaaaaaaa', '(null)'],
];

describe('what a site of Slurm has', () => {
  const sinfo = [
    ['debug*', 'up', '1:00:00', 'n[01-02]', '4000', '2', 'idle', 'kvm'],
    ['vms', 'up', '2:00:00', 'n03', '8000', '4', 'mixed', '(null)'],
  ];

  it('is what sinfo and the configuration say', async () => {
    const { lrm, asked } = adapter({
      sinfo,
      scontrol: { stdout: 'Configuration data\nKillWait                = 45 sec\n' },
    });
    expect(await lrm.capabilities()).toEqual({
      nodes: 2,
      idleNodes: 2,
      sizes: [{ nodes: 2, idleNodes: 2, memoryMiB: 4_000, cpus: 2 }],
      memoryMiBPerNode: 4_000,
      cpusPerNode: 2,
      maxWalltimeMs: 3_600_000,
      killDelayMs: 45_000,
      nodeNameEnv: ['SLURMD_NODENAME'],
      jobEndEnv: ['SLURM_JOB_END_TIME'],
      walltimeStepMs: 60_000,
    });
    expect(asked).toEqual(['sinfo -a -e -O', 'scontrol show config']);
    expect(lrm.kind).toBe('slurm');
  });

  it('is that of its queue, as far as its options leave it; a warning of half a minute when none is told', async () => {
    const settings = { queue: 'debug,vms', options: ['-x', 'n01'] };
    const { lrm } = adapter(
      { sinfo, scontrol: { stdout: 'AccountingStoreFlags = job_comment,job_script\n' } },
      settings,
    );
    expect(await lrm.capabilities()).toMatchObject({
      nodes: 2,
      idleNodes: 1,
      killDelayMs: 30_000,
      keepsScripts: 'AccountingStoreFlags=job_script',
    });
    await expect(adapter({ sinfo }, { queue: 'gpu' }).lrm.capabilities()).rejects.toMatchObject({
      kind: 'refused',
    });
    await expect(adapter({ sinfo: [] }).lrm.capabilities()).rejects.toMatchObject({ kind: 'unavailable' });
  });
});

describe('the commands of Slurm', () => {
  it('run where the site says, with times as numbers where they are read, and with no more of the environment', async () => {
    const { lrm, asked, envs } = adapter(
      { squeue: [] },
      { binDir: '/opt/slurm/bin', conf: '/etc/other.conf' },
    );
    await lrm.list();
    await lrm.cancel('7');
    expect(asked).toEqual(['/opt/slurm/bin/squeue --user=4711 -t all -O', '/opt/slurm/bin/scancel 7']);
    expect(envs[0]).toMatchObject({ SLURM_CONF: '/etc/other.conf', SLURM_TIME_FORMAT: '%s' });
    expect(envs[1]).toMatchObject({ SLURM_CONF: '/etc/other.conf', PATH: process.env['PATH'] });
    expect(envs[1]).not.toHaveProperty('SLURM_TIME_FORMAT');
    expect(envs[1]).not.toHaveProperty('NODE_ENV');
  });

  it('have the configuration, time zone and tickets of the service where the site says nothing', async () => {
    const before = { ...process.env };
    Object.assign(process.env, { SLURM_CONF: '/etc/mine.conf', TZ: 'Asia/Tokyo', KRB5CCNAME: 'FILE:/tmp/x' });
    try {
      const { lrm, envs } = adapter({});
      await lrm.cancel('7');
      expect(envs[0]).toMatchObject({
        SLURM_CONF: '/etc/mine.conf',
        TZ: 'Asia/Tokyo',
        KRB5CCNAME: 'FILE:/tmp/x',
      });
    } finally {
      for (const name of ['SLURM_CONF', 'TZ', 'KRB5CCNAME'])
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
    }
  });
});

describe('a gang that is submitted', () => {
  const options =
    '--parsable --job-name=wsp-slot-aaaaaaaaaa --nodes=2-2 --ntasks-per-node=1 --cpus-per-task=3 --mem=300M --time=2 --no-requeue --export=ALL --chdir=/ --output=/dev/null';

  it('is asked for with what it needs, and has its program in its script', async () => {
    const { lrm, asked, inputs } = adapter({ sbatch: { stdout: '17\n' } }, { node: '/opt/node' });
    expect(await lrm.submit(request)).toBe('17');
    expect(asked).toEqual([`sbatch ${options} --qos=vms`]);
    expect(inputs[0]).toBe(batchScript(request, '/opt/node'));
    expect(inputs[0]).toContain('\nthe program\n');
    const queued = adapter({ sbatch: { stdout: 'Welcome\n18;cluster\n' } });
    expect(await queued.lrm.submit({ ...request, queue: 'vms', account: 'qcd' })).toBe('18');
    expect(queued.asked).toEqual([`sbatch ${options} --partition=vms --account=qcd --qos=vms`]);
    expect(queued.inputs[0]).toBe(batchScript(request, 'node'));
  });

  it('is not submitted by a dry run', async () => {
    const { lrm, asked } = adapter({ sbatch: { stderr: 'sbatch: Job 7 to start at …' } });
    await lrm.dryRun(request);
    expect(asked).toEqual([`sbatch --test-only ${options} --qos=vms`]);
  });

  it.each<[string, Partial<CommandResult>, string]>([
    [
      'submit',
      {
        code: 1,
        stdout: '17\n',
        stderr: 'sbatch: error: Batch job submission failed: Invalid qos specification',
      },
      'Slurm refused the job: Batch job submission failed: Invalid qos specification',
    ],
    ['submit', { stdout: 'x17\n' }, 'Slurm printed no job number'],
    ['submit', { stdout: '' }, 'Slurm printed no job number'],
    ['submit', { code: 3 }, 'Slurm refused the job: sbatch exited with 3 and printed nothing'],
    ['dryRun', { code: null }, 'Slurm would refuse the job: sbatch exited with a signal and printed nothing'],
  ] as const)('is told why it is not: %s, %j', async (how, answer, message) => {
    const { lrm } = adapter({ sbatch: answer });
    const kind = answer.stderr?.includes('qos') ? 'refused' : 'unavailable';
    await expect(how === 'submit' ? lrm.submit(request) : lrm.dryRun(request)).rejects.toMatchObject({
      kind,
      message,
    });
  });

  it('has no program or path in its script that would end it', () => {
    const delimiter = `end-of-program-${request.jobName}`;
    expect(() => batchScript({ ...request, program: `a\n${delimiter}\nb` }, 'node')).toThrow(
      /contains the line/,
    );
    expect(batchScript({ ...request, program: `a ${delimiter}` }, 'node')).toContain(`<<'${delimiter}'`);
    for (const node of ['no de', '$(id)', '', '/opt/node;'])
      expect(() => batchScript(request, node)).toThrow(expect.objectContaining({ kind: 'refused' }));
    expect(batchScript(request, '/opt/node-20/bin/node')).toContain(
      '--nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=3 /opt/node-20/bin/node -)',
    );
  });
});

describe('a job that is given more time', () => {
  const refused = (answers: Answers, message: RegExp) =>
    expect(adapter(answers).lrm.extend('7', 9_000_000)).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(message) as string,
    });

  it('runs, is this one, and is ours', async () => {
    await refused({ squeue: [] }, /only a job that runs/);
    await refused({ squeue: [row('PENDING')] }, /only a job that runs/);
    await refused({ squeue: [row('SUSPENDED')] }, /only a job that runs/);
    await refused({ squeue: [row('RUNNING', { id: '8' })] }, /only a job that runs/);
    await refused({ squeue: [row('RUNNING', { uid: '4712' })] }, /only a job that runs/);
    await refused({ squeue: [row('RUNNING', { end: 'UNLIMITED' })] }, /only a job that runs/);
    const { lrm, asked } = adapter({ squeue: [row('RUNNING', { id: '8', end: '9000' }), row('RUNNING')] });
    expect(await lrm.extend('7', 4_600_001)).toBe(4_660_000);
    expect(asked.at(-1)).toBe('scontrol update JobId=7 TimeLimit=+1');
  });

  it('is not, when Slurm does not let us', async () => {
    const scontrol = { code: 1, stderr: 'slurm_update error: Access/permission denied\n' };
    await refused(
      { squeue: [row('RUNNING')], scontrol },
      /^Slurm: slurm_update error: Access\/permission denied$/,
    );
  });
});

describe('the nodes of some jobs', () => {
  const listed = async (rows: readonly (readonly string[])[], sinfo: readonly (readonly string[])[]) => {
    const { lrm, asked } = adapter({ squeue: rows, sinfo });
    return { jobs: await lrm.list(), asked };
  };

  it('are asked for when one of the jobs has nodes, and those that are powered up when one starts', async () => {
    const { asked } = await listed([row('PENDING', { id: '1', nodes: '' }), row('RUNNING', { id: '2' })], []);
    expect(asked.at(-1)).toBe('sinfo -a -t drain,down,fail -O');
    const starts = await listed([row('RUNNING', { id: '1' }), row('CONFIGURING', { id: '2' })], []);
    expect(starts.asked.at(-1)).toBe('sinfo -a -t drain,down,fail,powering_up -O');
    for (const state of ['SUSPENDED', 'NODE_FAIL', 'CONFIGURING'])
      expect((await listed([row(state)], [])).asked).toHaveLength(2);
    for (const state of ['PENDING', 'COMPLETED', 'COMPLETING', 'FAILED'])
      expect((await listed([row(state)], [])).asked).toHaveLength(1);
  });

  it('are told to those that they matter to', async () => {
    const sinfo = [
      ['n01', 'drained', '(null)'],
      ['n02', 'down*', ''],
      ['n03', 'POWERING_UP', 'none'],
    ];
    const { jobs } = await listed(
      [
        row('SUSPENDED', { id: '1', nodes: 'n01' }),
        row('RUNNING', { id: '2', nodes: 'n[02-03]' }),
        row('NODE_FAIL', { id: '3', nodes: 'n[01-02]' }),
        row('NODE_FAIL', { id: '4', nodes: 'n01' }),
        row('NODE_FAIL', { id: '5', nodes: 'n09' }),
        row('CONFIGURING', { id: '6', nodes: 'n03' }),
        row('CONFIGURING', { id: '7', nodes: 'n02' }),
        row('FAILED', { id: '8', nodes: 'n01' }),
      ],
      sinfo,
    );
    expect(jobs.map(({ jobId, draining, reason }) => [jobId, draining, reason])).toEqual([
      ['1', [{ node: 'n01', reason: '' }], 'the job is suspended'],
      ['2', [], undefined],
      ['3', undefined, 'Slurm has lost a node of the job: n02'],
      ['4', undefined, 'Slurm has lost a node of the job: n01'],
      ['5', undefined, 'Slurm has lost a node of the job'],
      ['6', undefined, 'its nodes are being powered up'],
      ['7', undefined, 'its nodes are being made ready'],
      ['8', undefined, 'Slurm ended the job: FAILED'],
    ]);
  });
});

it('the adapter hears nothing by itself, and has nothing to close', async () => {
  const { lrm }: { lrm: Lrm } = adapter({});
  lrm.onChange(() => undefined)();
  await lrm.close();
});
