import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import type { CommandResult, ProcessRunner } from '../../platform/process.ts';
import type { GangRequest } from '../lrm.ts';
import { type PbsJob, toJob } from './job.ts';
import { jobScript, qsubArguments } from './job-script.ts';
import { pbs } from './pbs.ts';
import type { PbsSettings } from './section.ts';
import { parseJsonNodes } from './qstat-json.ts';
import { parseTextLimits, parseXmlJobs, parseXmlNodes } from './qstat-xml.ts';
import { capabilitiesOf, type PbsLimits, type PbsSite } from './server.ts';

/** What the adapter asks of PBS and makes of answers that are made up; recorded ones are in pbs.test.ts and job.test.ts. */

let programDir: string;
beforeEach(() => {
  programDir = mkdtempSync(join(tmpdir(), 'wsp-programs-'));
});
afterEach(() => rmSync(programDir, { recursive: true }));

type Answer = string | Partial<CommandResult>;
const user = userInfo().username;
const request: GangRequest = {
  jobName: 'wsp-slot-a',
  nodes: 2,
  memoryMiBPerNode: 64,
  cpusPerNode: 2,
  walltimeMs: 60_000,
  options: [],
  program: 'the program',
};

function adapter(
  dialect: PbsSettings['dialect'],
  answers: Record<string, Answer>,
  settings: Partial<PbsSettings> = {},
) {
  const [asked, envs, inputs]: [string[], NodeJS.ProcessEnv[], (string | undefined)[]] = [[], [], []];
  const run: ProcessRunner['run'] = (argv, options) => {
    const line = argv.join(' ');
    asked.push(line);
    envs.push(options?.env ?? {});
    inputs.push(options?.input);
    const answer = answers[Object.keys(answers).find(each => line.startsWith(each)) ?? ''];
    if (answer === undefined) return Promise.reject(new Error(`nobody expected ${line}`));
    const told = typeof answer === 'string' ? { stdout: answer } : answer;
    return Promise.resolve({ code: 0, signal: null, stdout: '', stderr: '', ...told });
  };
  return { lrm: pbs({ dialect, programDir, ...settings }, { run }, systemClock), asked, envs, inputs };
}

const xmlJob = (id: string, state: string, more = '', owner = user): string =>
  `<Job><Job_Id>${id}</Job_Id><Job_Name>wsp-slot-${id}</Job_Name><Job_Owner>${owner}@head</Job_Owner><job_state>${state}</job_state><Resource_List><walltime>00:10:00</walltime></Resource_List>${more}</Job>`;
const xml = (...jobs: readonly string[]): string => `<Data>${jobs.join('')}</Data>`;
const active = 'Server: head\n    server_state = Active\n    default_queue = batch\n';
const ended = '<exit_status>3</exit_status><start_time>1000</start_time><comp_time>1100</comp_time>';

describe('Torque', () => {
  it('is asked how jobs ended that have left the list, and which it does not know any more', async () => {
    const answers: Record<string, Answer> = {
      'qstat -x 5': '',
      'qstat -x': xml(xmlJob('5.head', 'R'), xmlJob('6.head', 'Q')),
    };
    const { lrm, asked } = adapter('torque', answers);
    expect(await lrm.list()).toHaveLength(2);
    answers['qstat -x'] = ' \n';
    answers['qstat -B -f'] = active;
    answers['qstat -x 5'] = {
      code: 153,
      stdout: xml(xmlJob('5.head', 'C', ended)),
      stderr: 'qstat: Unknown Job Id 6.head\n',
    };
    writeFileSync(join(programDir, 'wsp-slot-5.head.said'), 'no such file\n');
    const reason = 'a pilot ended with exit code 3: no such file';
    expect(await lrm.list()).toMatchObject([{ jobId: '5.head', state: 'failed', reason, endsAt: 1_100_000 }]);
    expect(asked.at(-1)).toBe('qstat -x 5.head 6.head');
    expect(await lrm.list()).toHaveLength(1);
    expect(asked.at(-1)).toBe('qstat -B -f');
  });

  it('has said nothing when it fails without naming a job', async () => {
    const answers: Record<string, Answer> = { 'qstat -x 5': '', 'qstat -x': xml(xmlJob('5.head', 'R')) };
    const { lrm } = adapter('torque', answers);
    await lrm.list();
    answers['qstat -x'] = xml();
    answers['qstat -x 5'] = { code: 1, stdout: 'pbs_iff: cannot connect' };
    await expect(lrm.list()).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'qstat: pbs_iff: cannot connect',
    });
    // Another's job is no word of ours; nor is one that is there.
    answers['qstat -x 5'] = { code: 153, stderr: 'qstat: Unknown Job Id 55.head\n' };
    await expect(lrm.list()).rejects.toMatchObject({ kind: 'unavailable' });
    answers['qstat -x 5'] = { code: 0, stdout: xml(xmlJob('5.head', 'R')) };
    await expect(lrm.list()).rejects.toThrow('qstat does not list 5.head, and does not say why');
    answers['qstat -x 5'] = { code: 153, stderr: 'qstat: Unknown Job Id 5.head\n' };
    expect(await lrm.list()).toEqual([]);
  });

  it('has jobs of others and other jobs, which are none of ours', async () => {
    const other = xmlJob('8.head', 'R').replace('wsp-slot-8.head', 'simulation');
    const { lrm } = adapter('torque', {
      'qstat -x': xml(xmlJob('5.head', 'R', '', 'mallory'), other, xmlJob('7.head', 'R')),
    });
    expect((await lrm.list()).map(({ jobId }) => jobId)).toEqual(['7.head']);
  });
});

describe('the commands of PBS', () => {
  it('run where the site says, at its server, with times in UTC, and with no more of the environment', async () => {
    const { lrm, asked, envs } = adapter(
      'openpbs',
      { '/opt/pbs/bin/qdel': '' },
      { binDir: '/opt/pbs/bin', server: 'head2' },
    );
    await lrm.cancel('5.head2');
    expect(asked).toEqual(['/opt/pbs/bin/qdel 5.head2']);
    expect(envs[0]).toMatchObject({ PBS_SERVER: 'head2', PBS_DEFAULT: 'head2', TZ: 'UTC' });
    expect(envs[0]).not.toHaveProperty('NODE_ENV');
    expect(lrm.kind).toBe('pbs');
    const bare = adapter('torque', { qdel: '' });
    await bare.lrm.cancel('5.head');
    expect(bare.envs[0]).toMatchObject({ TZ: 'UTC', PBS_SERVER: process.env['PBS_SERVER'] });
    lrm.onChange(() => undefined)();
    await lrm.close();
  });
});

describe('a gang that is submitted', () => {
  const nodes = (...all: readonly (readonly [string, number, string])[]): string =>
    `<Data>${all.map(([name, cpus, memory]) => `<Node><name>${name}</name><state>free</state><np>${cpus}</np><status>rectime=1,physmem=${memory},ncpus=9</status></Node>`).join('')}</Data>`;
  const two = nodes(['n1', 2, '64mb'], ['n2', 2, '64mb']);

  it('goes to a server that has as much, its program in a file', async () => {
    const { lrm, asked, inputs } = adapter(
      'torque',
      { 'pbsnodes -x': two, qsub: 'Welcome\n17.head\n' },
      { node: '/opt/node' },
    );
    expect(await lrm.submit({ ...request, queue: 'vms' })).toBe('17.head');
    expect(asked).toEqual([
      'pbsnodes -x',
      `qsub ${qsubArguments('torque', { ...request, queue: 'vms' }).join(' ')}`,
    ]);
    expect(inputs.at(-1)).toContain(`/opt/node ${programDir}/wsp-slot-a.cjs`);
    expect(readFileSync(join(programDir, 'wsp-slot-a.cjs'), 'utf8')).toBe('the program');
  });

  it.each([
    ['one node less', [['n1', 2, '64mb']], /2 nodes with 2 processors and 64 MiB are wanted, 1 of 1 nodes/],
    [
      'too little memory',
      [
        ['n1', 2, '64mb'],
        ['n2', 2, '63mb'],
      ],
      /1 of 2 nodes/,
    ],
    [
      'too few processors',
      [
        ['n1', 2, '64mb'],
        ['n2', 1, '64mb'],
      ],
      /1 of 2 nodes/,
    ],
  ] as const)('is refused by one that could never run it: %s', async (_what, has, words) => {
    const { lrm } = adapter('torque', { 'pbsnodes -x': nodes(...has) });
    await expect(lrm.submit(request)).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(words) as string,
    });
    expect(existsSync(join(programDir, 'wsp-slot-a.cjs'))).toBe(false);
  });

  it.each<[Answer, string, string]>([
    ['17\n', 'unavailable', 'PBS could not be asked: 17'],
    [{ code: 0 }, 'unavailable', 'PBS could not be asked: qsub exited with 0 and printed nothing'],
    [{ code: 1, stdout: '17.head\n', stderr: 'qsub: x\n' }, 'unavailable', 'PBS could not be asked: x'],
  ])('has no job when qsub says %j', async (qsub, kind, message) => {
    await expect(adapter('torque', { 'pbsnodes -x': two, qsub }).lrm.submit(request)).rejects.toMatchObject({
      kind,
      message,
    });
  });

  it('is looked at by a dry run as it is by a submission: the queue, else the server’s, then the nodes', async () => {
    const queues =
      'Queue: batch\n    enabled = True\n    resources_max.walltime = 00:01:00\nQueue: open\n    enabled = True\n';
    const server = `${active}    resources_max.walltime = 00:02:00\n`;
    const { lrm } = adapter('torque', { 'qstat -B -f': server, 'qstat -Q -f': queues, 'pbsnodes -x': two });
    await lrm.dryRun(request);
    await expect(lrm.dryRun({ ...request, walltimeMs: 60_001 })).rejects.toMatchObject({ kind: 'refused' });
    await lrm.dryRun({ ...request, queue: 'open', walltimeMs: 120_000 });
    await expect(lrm.dryRun({ ...request, queue: 'open', walltimeMs: 120_001 })).rejects.toThrow(
      'the longest job of the queue open of PBS is 2m',
    );
    await expect(lrm.dryRun({ ...request, nodes: 3 })).rejects.toMatchObject({ kind: 'refused' });
    const without = adapter('torque', {
      'qstat -B -f': 'Server: head\n    x = 1\n',
      'qstat -Q -f': queues,
      'pbsnodes -x': two,
    });
    await without.lrm.dryRun({ ...request, walltimeMs: 1e9 });
  });

  it('names queue and account only when there are some', () => {
    for (const dialect of ['openpbs', 'torque'] as const) {
      const words = qsubArguments(dialect, request);
      expect(words).not.toContain('-q');
      expect(words.slice(-2)).toEqual(['-v', 'PATH']);
    }
  });

  it('has in its script what its dialect needs to find the commands', () => {
    const places = { programFile: '/srv/a.cjs', wordsFile: '/srv/a.said', node: 'node', binDir: undefined };
    const [open, torque] = [jobScript('openpbs', places), jobScript('torque', places)];
    expect(open).toContain('. /etc/pbs.conf && PATH=$PATH:$PBS_EXEC/bin\n');
    expect(open).toContain('pbsdsh -- /bin/sh');
    expect(torque).not.toContain('/etc/pbs.conf');
    const own = jobScript('torque', { ...places, binDir: '/opt/torque/bin' });
    expect(own).toContain('/opt/torque/bin');
    expect(torque).not.toContain('undefined');
    expect(() => jobScript('torque', { ...places, node: 'a b' })).toThrow(
      expect.objectContaining({ kind: 'refused' }),
    );
  });
});

describe('a job that is given more time', () => {
  const start = '<start_time>1000</start_time>';
  const running = xml(
    xmlJob('4.head', 'R', '<start_time>5000</start_time>'),
    xmlJob('5.head', 'R', start),
    xmlJob('6.head', 'Q'),
  );

  it('lasts for it from its start, in whole seconds, and no less than it does', async () => {
    const { lrm, asked } = adapter('torque', { 'qstat -x': running, qalter: '' });
    expect(await lrm.extend('5.head', 1_700_001)).toBe(1_701_000);
    expect(asked.at(-1)).toBe('qalter -l walltime=00:11:41 5.head');
    // Until 600 s after its start anyhow.
    expect(await lrm.extend('5.head', 1_600_000)).toBe(1_600_000);
    expect(asked.at(-1)).toBe('qstat -x');
  });

  it.each(['6.head', '7.head'])('runs: %s does not', async jobId => {
    await expect(adapter('torque', { 'qstat -x': running }).lrm.extend(jobId, 2e9)).rejects.toMatchObject({
      kind: 'refused',
    });
  });

  it('is not when PBS cannot be asked', async () => {
    const { lrm } = adapter('torque', { 'qstat -x': running, qalter: { code: 1, stdout: 'Bus error' } });
    await expect(lrm.extend('5.head', 2e9)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('Bus error') as string,
    });
  });
});

describe('a job', () => {
  const job: PbsJob = {
    jobId: '1.head',
    jobName: 'wsp-slot-a',
    owner: 'u@head',
    letter: 'R',
    comment: '',
    holds: 'n',
    execHost: 'n1/0',
    walltimeSeconds: 60,
    startedAt: 1_000_000,
    endedAt: 1_030_000,
    estimatedStartAt: 7,
    notBefore: 'Monday',
    exitStatus: undefined,
  };

  it.each<[string, Partial<PbsJob>, object]>([
    [
      'somebody works at its node',
      { letter: 'U' },
      { state: 'suspended', reason: /somebody works at a node/ },
    ],
    [
      'suspended by a command',
      { letter: 'S', substate: 43 },
      { state: 'suspended', reason: /by a command \(qsig\)/ },
    ],
    [
      'suspended for others',
      { letter: 'S' },
      { state: 'suspended', reason: /^the scheduler has suspended the job for others$/ },
    ],
    [
      'suspended for others, who say why',
      { letter: 'S', comment: 'Not Running: Draining' },
      { state: 'suspended', reason: /for others: Draining$/ },
    ],
    [
      'on its way',
      { letter: 'T' },
      { state: 'waiting', nodes: [], startedAt: undefined, endsAt: undefined, estimatedStartAt: undefined },
    ],
    ['begun by an array', { letter: 'B' }, { state: 'waiting' }],
    [
      'for later',
      { letter: 'W' },
      { state: 'waiting', outlook: 'passes', reason: /^it may not start before Monday$/ },
    ],
    ['in the queue', { letter: 'Q' }, { state: 'waiting', estimatedStartAt: 7 }],
    ['exiting', { letter: 'E' }, { state: 'ending', endsAt: 1_060_000 }],
    ['ended as part of an array', { letter: 'X', exitStatus: 0 }, { state: 'completed', endsAt: 1_030_000 }],
    ['elsewhere', { letter: 'M' }, { state: 'failed', reason: /^PBS says of the job: state M$/ }],
    [
      'elsewhere, with words',
      { letter: 'M', comment: 'moved' },
      { state: 'failed', reason: /state M \(moved\)$/ },
    ],
    ['running without a start', { startedAt: undefined }, { state: 'running', endsAt: undefined }],
    ['running without a limit', { walltimeSeconds: undefined }, { state: 'running', endsAt: undefined }],
    ['held for others', { letter: 'H', substate: 22 }, { outlook: 'passes', reason: /on which it depends/ }],
    [
      'held by an operator',
      { letter: 'H', holds: 'o' },
      { outlook: 'needs-somebody', reason: /^the job is held by an operator \(qrls/ },
    ],
    [
      'held by an operator of old',
      { letter: 'H', holds: 'p' },
      { reason: /^the job is held by an operator \(qrls/ },
    ],
    [
      'held by nobody that is told',
      { letter: 'H', comment: 'Held: x' },
      { reason: /^the job is held: Held: x \(qrls/ },
    ],
    [
      'held, in its own words',
      { letter: 'H', holds: 'u', comment: 'Job held by u' },
      { reason: /^the job is held by its user \(qrls/ },
    ],
    [
      'deleted in the queue',
      { letter: 'C', startedAt: undefined },
      { state: 'cancelled', reason: /in the queue/ },
    ],
    ['over at its limit', { letter: 'C', endedAt: 1_060_000 }, { state: 'timeout' }],
    ['over just before its limit', { letter: 'C', endedAt: 1_059_999 }, { state: 'failed' }],
    [
      'ended for its memory',
      { letter: 'F', comment: 'x exceeded resource mem', exitStatus: 1 },
      { state: 'failed', reason: /more mem than/ },
    ],
    [
      'ended for its time',
      { letter: 'F', comment: 'x exceeded resource walltime', exitStatus: 1 },
      { state: 'timeout' },
    ],
    ['ended with 256', { letter: 'F', exitStatus: 256 }, { state: 'failed', reason: /exit code 256$/ }],
  ])('%s', (_what, change, expected) => {
    const told = toJob({ ...job, ...change }, false);
    const { reason, ...rest } = expected as { reason?: RegExp };
    expect(told).toMatchObject(rest);
    if (reason) expect(told.reason).toMatch(reason);
  });
});

describe('what a server has', () => {
  const node = { name: 'n1', idle: true, cpus: 2, memoryMiB: 64, queue: undefined };
  const limits: PbsLimits = {
    maxWalltimeSeconds: undefined,
    killDelaySeconds: undefined,
    isEnabled: true,
  };
  const site: PbsSite = {
    defaultQueue: 'batch',
    server: { ...limits, maxWalltimeSeconds: 100, killDelaySeconds: 3 },
    queues: new Map([
      ['batch', limits],
      ['own', { ...limits, maxWalltimeSeconds: 50, killDelaySeconds: 5 }],
    ]),
    nodes: [
      node,
      { ...node, name: 'n2', idle: false, queue: 'own' },
      { ...node, name: 'n3', queue: 'batch' },
    ],
  };

  it('is its queue’s, else the server’s, else what PBS does without a word; its nodes are those of the queue', () => {
    expect(capabilitiesOf(site, undefined, 9)).toMatchObject({
      nodes: 2,
      idleNodes: 2,
      maxWalltimeMs: 100_000,
      killDelayMs: 3_000,
    });
    expect(capabilitiesOf(site, 'own', 9)).toMatchObject({
      nodes: 2,
      idleNodes: 1,
      maxWalltimeMs: 50_000,
      killDelayMs: 5_000,
    });
    expect(capabilitiesOf(site, 'none', 9)).toBeUndefined();
    const bare = { ...site, defaultQueue: undefined, server: limits, nodes: [] };
    const told = capabilitiesOf(bare, undefined, 9);
    expect(told).toMatchObject({ nodes: 0, memoryMiBPerNode: 0, cpusPerNode: 0, killDelayMs: 9_000 });
    expect(told).not.toHaveProperty('maxWalltimeMs');
    expect(told).not.toHaveProperty('sizes');
  });

  it('is told by OpenPBS in virtual nodes, which are one host', () => {
    const vnode = (more: object, has: object = {}) => ({
      state: 'free',
      resources_available: { host: 'n1.site', ncpus: 2, mem: '64mb', ...has },
      ...more,
    });
    const hosts = (all: object) => parseJsonNodes(JSON.stringify({ pbs_server: 's', nodes: all }));
    expect(hosts({ 'n1[0]': vnode({ queue: 'own' }), 'n1[1]': vnode({}) })).toEqual([
      { name: 'n1', idle: true, cpus: 4, memoryMiB: 128, queue: 'own' },
    ]);
    for (const busy of [{ jobs: ['1'] }, { resources_assigned: { ncpus: 1 } }, { state: 'offline' }])
      for (const pair of [
        [vnode(busy), vnode({})],
        [vnode({}), vnode(busy)],
      ])
        expect(hosts({ a: pair[0], b: pair[1] })).toMatchObject([{ idle: false }]);
    expect(hosts({ 'n7.site': { state: 'free' } })).toEqual([
      { name: 'n7', idle: true, cpus: 0, memoryMiB: 0, queue: undefined },
    ]);
  });

  it('is told by Torque with what runs there', () => {
    const told = parseXmlNodes(
      '<Data><Node><name>n1.site</name><state>free</state><np>4</np><jobs>0/5.head</jobs><status>a=b=c,physmem=64mb</status></Node><Node><name>n2</name><state>down</state></Node></Data>',
    );
    expect(told).toEqual([
      { name: 'n1', idle: false, cpus: 4, memoryMiB: 64, queue: undefined },
      { name: 'n2', idle: false, cpus: 0, memoryMiB: 0, queue: undefined },
    ]);
    const queues = parseTextLimits(
      'x\nQueue: a\n    enabled = False\n    kill_delay = 7\nQueue: b\n    resources_max.walltime = 01:00:00\n',
    );
    expect([...queues]).toMatchObject([
      ['a', { isEnabled: false, killDelaySeconds: 7, maxWalltimeSeconds: undefined }],
      ['b', { isEnabled: true, killDelaySeconds: undefined, maxWalltimeSeconds: 3_600 }],
    ]);
    for (const garbage of ['', 'no queue', '<Data/>'])
      expect(() => parseTextLimits(garbage)).toThrow(/is not its list/);
    expect(parseXmlJobs('<Data></Data>')).toEqual([]);
    const [job] = parseXmlJobs(
      xml(xmlJob('1.head', 'C', '<exit_status>x</exit_status><start_time>0</start_time>')),
    );
    expect(job).toMatchObject({ exitStatus: undefined, startedAt: undefined, walltimeSeconds: 600 });
  });
});
