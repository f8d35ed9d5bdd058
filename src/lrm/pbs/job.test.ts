import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LrmJob } from '../lrm.ts';
import { hostsOf, type PbsJob, sizeMiB, toJob } from './job.ts';
import { jobScript, qsubArguments, walltimeText } from './job-script.ts';
import { parseJsonJobs } from './qstat-json.ts';
import { parseXmlJobs } from './qstat-xml.ts';

/** Jobs as real servers showed them: OpenPBS 23.06.06 and Torque. */

const text = (path: string): string =>
  readFileSync(new URL(`fixtures/${path}.txt`, import.meta.url), 'utf8')
    .replace(/^\$ .*\n/, '')
    .replace(/\[exit \d+\]\n$/, '');
const openPbs = (name: string): readonly LrmJob[] =>
  parseJsonJobs(text(`openpbs/${name}`)).map(job => toJob(job, false));
const torque = (name: string): readonly LrmJob[] =>
  parseXmlJobs(text(`torque/${name}`)).map(job => toJob(job, false));

describe('a job of OpenPBS', () => {
  it.each([
    ['qstat-queued-busy', 'waiting', 'it waits: Not enough free nodes available'],
    ['qstat-queued-node-offline', 'waiting', 'it waits: Not enough free nodes available'],
    ['qstat-queued-never-runs', 'waiting', 'PBS can never run it: Not enough total nodes available'],
    ['qstat-held', 'waiting', 'the job is held by its user (qrls lets it go)'],
    ['qstat-waiting-until', 'waiting', 'it may not start before Sun Nov 22 12:53:00 2026'],
    ['qstat-running-2nodes', 'running', undefined],
    ['qstat-after-qrerun', 'starting', 'PBS is starting it: its nodes are being prepared'],
    ['qstat-exiting', 'ending', 'the job was deleted by pbsuser@pbss (qdel)'],
    ['qstat-finished-after-qdel', 'cancelled', 'the job was deleted by pbsuser@pbss (qdel)'],
    ['qstat-finished-walltime', 'timeout', 'the job reached its time limit'],
    ['qstat-finished-exit1', 'failed', 'a pilot ended with exit code 1'],
    ['qstat-finished-no-such-program', 'failed', 'a pilot ended with exit code 254'],
  ])('%s is %s', (name, state, reason) => {
    expect(openPbs(name)).toMatchObject([{ state, reason }]);
  });

  it.each([
    [
      'pbs 3',
      'qstat-suspended-by-preemption',
      'suspended',
      /suspended the job for others: Insufficient amount/,
    ],
    ['pbs 4', 'qstat-preempted-by-deletion-ending', 'ending', /for one that goes before it/],
    ['pbs 3', 'qstat-ending-stuck-1', 'ending', /deleted by wsp@pbss \(qdel\)/],
    ['pbs 4', 'qstat-finished-preempted-by-deletion', 'preempted', /for one that goes before it/],
    ['pbs 6', 'qstat-finished-mom-restarted', 'node-failed', /pbs_mom .*was started anew.*Exit_status -4/],
    ['pbs 6', 'qstat-finished-after-outside-qdel', 'cancelled', /deleted by root@pbss \(qdel\)/],
    ['pbs 6', 'qstat-qdel-ending', 'ending', /deleted by root@pbss \(qdel\)/],
    ['pbs 6', 'qstat-finished-walltime-real', 'timeout', /time limit/],
    ['pbs 6', 'qstat-queued-node-offline', 'waiting', /^it waits: Not enough free nodes available$/],
    ['site S7', 'qstat-running-2nodes-real', 'starting', /nodes are being prepared/],
    ['site S7', 'qstat-running-real-guests', 'running', undefined],
  ])('%s: %s is %s', (_finding, name, state, reason) => {
    const [job] = openPbs(name.startsWith('qstat') ? `../openpbs-real/${name}` : name);
    expect(job?.state).toBe(state);
    if (reason) expect(job?.reason).toMatch(reason);
    else expect(job?.reason).toBeUndefined();
  });

  it('pbs 6: has no estimated start while it is held', () => {
    expect(openPbs('../openpbs-real/qstat-held-uos')).toMatchObject([
      {
        state: 'waiting',
        reason: 'the job is held by its user and an operator and the system (qrls lets it go)',
        outlook: 'needs-somebody',
        estimatedStartAt: undefined,
      },
    ]);
    const [waiting] = openPbs('../openpbs-real/qstat-queued-estimated');
    expect(waiting).toMatchObject({
      outlook: 'passes',
      estimatedStartAt: Date.UTC(2026, 10, 27, 20, 16, 32),
    });
  });

  it('has its times in UTC, and its nodes', () => {
    const startedAt = Date.UTC(2026, 10, 22, 11, 52, 48);
    expect(openPbs('qstat-running-2nodes')).toEqual([
      {
        jobId: '11.pbss',
        jobName: 'wsp-slot1',
        state: 'running',
        reason: undefined,
        estimatedStartAt: undefined,
        startedAt,
        endsAt: startedAt + 600_000,
        nodes: ['pbm1', 'pbm2'],
      },
    ]);
    const [ended] = openPbs('qstat-finished-after-qdel');
    expect(ended).toMatchObject({ startedAt, endsAt: Date.UTC(2026, 10, 22, 11, 52, 53) });
  });

  it.each([
    ['"Sun Nov  1 09:05:00 2026"', Date.UTC(2026, 10, 1, 9, 5)],
    ['1795348400', 1_795_348_400_000],
    ['"UNKNOWN"', undefined],
  ])('is expected to start at %s', (value, at) => {
    const waiting = text('openpbs/qstat-queued-busy').replace(
      '"substate"',
      `"estimated":\t{\n\t\t\t\t"exec_vnode":\t"(pbm1:ncpus=2)",\n\t\t\t\t"start_time":\t${value}\n\t\t\t},\n\t\t\t"substate"`,
    );
    expect(parseJsonJobs(waiting).map(job => toJob(job, false))).toMatchObject([{ estimatedStartAt: at }]);
  });

  it('is found though another’s environment is no JSON', () => {
    const bad = text('openpbs/qstat-all').replaceAll(
      '"PBS_O_LANG":\t"C.UTF-8"',
      String.raw`"N":	007,				"Q":	"\'"`,
    );
    expect(() => JSON.parse(bad) as unknown).toThrow(SyntaxError);
    expect(parseJsonJobs(bad)).toEqual(parseJsonJobs(text('openpbs/qstat-all')));
    expect(() => parseJsonJobs(bad.slice(0, -50))).toThrow(expect.objectContaining({ kind: 'unavailable' }));
    expect(() => parseJsonJobs(bad.replace('"job_state":\t"R"', '"job_state":\t007'))).toThrow(
      /not its list/,
    );
  });
});

describe('a job of Torque', () => {
  it('is any of those of one answer', () => {
    const startedAt = 1_795_348_558_000;
    expect(torque('qstat-x-all').map(({ jobId, state, reason }) => [jobId, state, reason])).toEqual([
      ['0.pbss', 'cancelled', 'the job was deleted in the queue'],
      ['1.pbss', 'waiting', 'PBS has not started it yet and does not say why'],
      ['2.pbss', 'waiting', 'the job is held by its user (qrls lets it go)'],
      ['5.pbss', 'running', undefined],
    ]);
    expect(torque('qstat-x-running-2nodes')).toMatchObject([
      { startedAt, endsAt: startedAt + 600_000, nodes: ['pbm2', 'pbm1'] },
    ]);
    const [ended] = torque('qstat-x-completed');
    expect(ended).toMatchObject({ state: 'cancelled', endsAt: 1_795_348_562_000 });
    expect(ended?.reason).toMatch(/SIGTERM/);
  });

  it('is found though another’s text is no XML', () => {
    const bad = text('torque/qstat-x-all').replace(
      '</Data>',
      '<Job><Job_Id>9.pbss</Job_Id><comment>a < b & c</Job></Data>',
    );
    expect(parseXmlJobs(bad)).toEqual(parseXmlJobs(text('torque/qstat-x-all')));
  });
});

describe('how a job ended', () => {
  const ended: PbsJob = {
    jobId: '1.pbss',
    jobName: 'wsp-slot1',
    owner: 'pbsuser@pbss',
    letter: 'C',
    comment: '',
    holds: 'n',
    execHost: 'pbm1/0',
    walltimeSeconds: 60,
    startedAt: 1_000_000,
    endedAt: 1_030_000,
    estimatedStartAt: undefined,
    notBefore: '',
    exitStatus: 0,
  };
  it.each<[string, Partial<PbsJob>, boolean, LrmJob['state'], RegExp | undefined]>([
    ['well', {}, false, 'completed', undefined],
    ['by our order, whatever its exit status', { exitStatus: 137 }, true, 'cancelled', /qdel/],
    [
      'by qdel, which OpenPBS says in its substate alone',
      { letter: 'F', substate: 91, exitStatus: 265 },
      false,
      'cancelled',
      /qdel/,
    ],
    ['by SIGKILL', { exitStatus: 265 }, false, 'failed', /signal 9/],
    ['by its walltime, in Torque’s number', { exitStatus: -11 }, false, 'timeout', /time limit/],
    [
      'by its walltime, which nobody says',
      { exitStatus: 271, endedAt: 1_060_000 },
      true,
      'timeout',
      /time limit/,
    ],
    ['by preemption', { exitStatus: 271, comment: 'Job preempted by 7.pbss' }, false, 'preempted', /7\.pbss/],
    ['before it began', { exitStatus: -3 }, false, 'failed', /could not start.*Exit_status -3/],
    ['pbs 6: by its memory', { letter: 'F', exitStatus: -27 }, false, 'failed', /more memory/],
    ['pbs 6: by its processors', { letter: 'F', exitStatus: -25 }, false, 'failed', /more processors/],
    ['pbs 6: by its memory, in Torque’s number', { exitStatus: -10 }, false, 'failed', /more memory/],
    ['pbs 6: as nobody knows', { exitStatus: -77 }, false, 'failed', /ended the job \(Exit_status -77\)/],
    ['pbs 6: by the mom, whoever ordered it', { exitStatus: -4 }, true, 'node-failed', /pbs_mom/],
    ['without its program', { exitStatus: 77 }, false, 'failed', /programDir/],
    ['without all its tasks', { exitStatus: 78 }, false, 'failed', /pbsdsh/],
    ['somehow', { exitStatus: undefined }, false, 'failed', /does not say how/],
    ['elsewhere', { letter: 'M' }, false, 'failed', /state M/],
  ])('%s', (_how, more, deleted, state, reason) => {
    const job = toJob({ ...ended, ...more }, deleted);
    expect(job.state).toBe(state);
    if (reason) expect(job.reason).toMatch(reason);
    else expect(job.reason).toBeUndefined();
  });
});

it.each([
  ['pbm1/0*2+pbm2/0*2', ['pbm1', 'pbm2']],
  ['n1.site.example/0+n1.site.example/1', ['n1']],
  ['10.0.0.7/0', ['10.0.0.7']],
  ['', []],
])('hostsOf(%s)', (execHost, hosts) => {
  expect(hostsOf(execHost)).toEqual(hosts);
});

it.each([
  ['24684092kb', 24_105],
  ['512mb', 512],
  ['2gb', 2_048],
  ['1048576', 1],
  ['1mw', 8],
  ['lots', undefined],
])('sizeMiB(%s)', (size, expected) => {
  expect(sizeMiB(size)).toBe(expected);
});

describe('what is asked for', () => {
  const request = {
    jobName: 'wsp-slot-a',
    nodes: 3,
    memoryMiBPerNode: 301,
    cpusPerNode: 2,
    walltimeMs: 90_500,
    queue: 'vms',
    account: 'grant',
    options: ['-p', '10'],
    program: 'the secret',
  };
  it('of OpenPBS is a chunk for each node, of Torque nodes and the memory of all', () => {
    const rest = '-l walltime=00:01:31 -r n -m n -j oe -k oe -S /bin/sh -v PATH -q vms -A grant -p 10';
    expect(qsubArguments('openpbs', request).join(' ')).toBe(
      `-N wsp-slot-a -l select=3:ncpus=2:mpiprocs=1:mem=301mb -l place=scatter ${rest}`,
    );
    expect(qsubArguments('torque', request).join(' ')).toBe(
      `-N wsp-slot-a -l nodes=3:ppn=2 -l mem=903mb ${rest}`,
    );
    expect(walltimeText(360_000)).toBe('100:00:00');
  });

  const places = {
    programFile: '/srv/programs/wsp-slot-a.cjs',
    wordsFile: '/srv/programs/wsp-slot-a.said',
    node: '/usr/bin/node',
    binDir: '/opt/torque/bin',
  };

  it('security 26: its script signals processes of its own user alone', () => {
    const signalling = jobScript('openpbs', places)
      .split('\n')
      .filter(line => /\bp(kill|grep)\b/.test(line));
    expect(signalling).toEqual(['pkill -TERM -u "$(id -u)" -f -- "$0"']);
  });

  it('has no path in its script that the shell would take apart', () => {
    const script = jobScript('torque', places);
    expect(script).toContain('/usr/bin/node /srv/programs/wsp-slot-a.cjs /srv/programs/wsp-slot-a.said');
    expect(script).toContain('pbsdsh -u -- /bin/sh');
    for (const odd of [
      { programFile: '/srv; id/x' },
      { wordsFile: "/srv/'x" },
      { node: 'no de' },
      { binDir: '/opt/$(id)' },
    ])
      expect(() => jobScript('openpbs', { ...places, ...odd })).toThrow(/cannot take this path/);
  });
});
