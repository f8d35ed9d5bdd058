import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import { type LrmCommands, lrmCommands, oneLine, secondsOf } from '../commands.ts';
import { type GangRequest, type Lrm, type LrmCapabilities, LrmError, type LrmJob } from '../lrm.ts';
import { keepProgram, programFile, sweepPrograms } from '../programs.ts';
import { endedJobs } from './accounting.ts';
import { environmentFor, jobScript, parallelEnvironment, qsubArguments } from './job-script.ts';
import { Memory } from './memory.ts';
import { parseHosts, parseJobs, parseReasons } from './qstat.ts';

/** Where Grid Engine's commands are, and what of it gangs use. */
export interface GridEngineSettings {
  /** Directory of qsub, qstat, qdel, qhost, qconf. Default: PATH. */
  readonly binDir?: string | undefined;
  /** SGE_ROOT, SGE_CELL and the daemons' ports for them. Default: the environment's. */
  readonly root?: string | undefined;
  readonly cell?: string | undefined;
  readonly qmasterPort?: number | undefined;
  readonly execdPort?: number | undefined;
  /** The queue that gangs go to, for the limits. Default: all that have the parallel environments. */
  readonly queue?: string | undefined;
  /** Parallel environments, one for each number of slots on a node that VMs may need (sge_pe(5): allocation_rule, a number; control_slaves TRUE). */
  readonly parallelEnvironments: readonly string[];
  /** The resource that counts memory, for each slot (complex(5)). Not one that sets a limit on addresses (h_vmem): Node.js and QEMU reserve many. */
  readonly memoryResource: string;
  /** Directory that this host and the nodes share and the service's user alone can read. Default: .workspace-pilot in the home. */
  readonly programDir?: string | undefined;
  /** The Node program on the nodes. Default: `node`. */
  readonly node?: string | undefined;
}

/** The adapter for Grid Engine: qsub with a parallel environment, one qstat for all jobs, qdel. It changes nothing of Grid Engine and needs no privilege in it. */
export function gridEngine(settings: GridEngineSettings, processes: ProcessRunner, clock: Clock): Lrm {
  const commands = commandsOf(settings, processes);
  const { programDir = join(homedir(), '.workspace-pilot'), memoryResource } = settings;
  const memory = new Memory();
  return {
    kind: 'gridengine',
    capabilities: () => capabilities(commands, settings),

    async submit(request: GangRequest): Promise<string> {
      const environment = environmentFor(request.cpusPerNode, await environments(commands, settings));
      const script = jobScript(programFile(programDir, request.jobName), settings.node ?? 'node');
      await keepProgram(programDir, request);
      const { code, stdout, stderr } = await commands.run(
        'qsub',
        qsubArguments(request, environment, memoryResource),
        script,
      );
      const jobId = stdout.trim().split('\n').at(-1) ?? '';
      if (code === 0 && /^\d+$/.test(jobId)) return jobId;
      const words = oneLine(stderr || stdout)
        .replace(/^Unable to run job: /, '')
        .replace(/;? ?Exiting\.$/, '');
      const kind = isOutage(stderr) || code === 0 ? 'unavailable' : 'refused';
      throw new LrmError(
        kind,
        `Grid Engine refused the job: ${words || `qsub exited with ${code} and no word`}`,
      );
    },

    async dryRun(request: GangRequest): Promise<void> {
      const environment = environmentFor(request.cpusPerNode, await environments(commands, settings));
      const script = jobScript(programFile(programDir, request.jobName), settings.node ?? 'node');
      const args = qsubArguments(request, environment, memoryResource);
      // The last -w counts.
      const { code, stdout, stderr } = await commands.run('qsub', [...args, '-w', 'v'], script);
      if (code === 0) return;
      const kind = isOutage(stderr) ? 'unavailable' : 'refused';
      throw new LrmError(kind, `Grid Engine would refuse the job: ${oneLine(stdout || stderr)}`);
    },

    async list(): Promise<readonly LrmJob[]> {
      const listed = parseJobs(
        await commands.ask('qstat', ['-xml', '-r', '-g', 't', '-u', userInfo().username]),
      );
      const live = new Set(listed.map(({ jobId }) => jobId));
      const ended = (await endedJobs(accountingFile(settings), memory.deletions)).filter(
        ({ jobId }) => !live.has(jobId),
      );
      await sweepPrograms(programDir, new Set(listed.map(({ jobName }) => jobName)), clock.now());
      return [...(await withReasons(commands, listed)), ...ended, ...memory.look(listed, ended)];
    },

    async cancel(jobId: string): Promise<void> {
      memory.noteDeletion(jobId);
      const { code, stdout, stderr } = await commands.run('qdel', [jobId]);
      // A job that is gone is what was wanted.
      if (code !== 0 && isOutage(stderr))
        throw new LrmError('unavailable', `qdel: ${oneLine(stderr || stdout)}`);
    },

    extend: () =>
      Promise.reject(new LrmError('refused', 'Grid Engine gives a running job no more time (qalter(1))')),
    // Grid Engine tells an ordinary user nothing by itself.
    onChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
}

function commandsOf(settings: GridEngineSettings, processes: ProcessRunner): LrmCommands {
  return lrmCommands(
    {
      binDir: settings.binDir,
      inherited: ['SGE_ROOT', 'SGE_CELL', 'SGE_QMASTER_PORT', 'SGE_EXECD_PORT', 'SGE_CLUSTER_NAME'],
      env: environmentOf(settings),
    },
    processes,
  );
}

function accountingFile({ root = process.env['SGE_ROOT'], cell }: GridEngineSettings): string | undefined {
  const name = cell ?? process.env['SGE_CELL'] ?? 'default';
  return root === undefined ? undefined : join(root, name, 'common/accounting');
}

function environmentOf({ root, cell, qmasterPort, execdPort }: GridEngineSettings): NodeJS.ProcessEnv {
  return {
    // qstat's times have no zone.
    TZ: 'UTC',
    ...(root === undefined ? {} : { SGE_ROOT: root }),
    ...(cell === undefined ? {} : { SGE_CELL: cell }),
    ...(qmasterPort === undefined ? {} : { SGE_QMASTER_PORT: String(qmasterPort) }),
    ...(execdPort === undefined ? {} : { SGE_EXECD_PORT: String(execdPort) }),
  };
}

async function environments({ run }: LrmCommands, { parallelEnvironments }: GridEngineSettings) {
  return Promise.all(
    parallelEnvironments.map(async name => {
      const { code, stdout, stderr } = await run('qconf', ['-sp', name]);
      if (code === 0) return parallelEnvironment(stdout);
      throw new LrmError(
        isOutage(stderr) ? 'unavailable' : 'refused',
        `qconf -sp ${name}: ${oneLine(stderr || stdout)}`,
      );
    }),
  );
}

/** One more query when something waits: why. */
async function withReasons({ run }: LrmCommands, jobs: readonly LrmJob[]): Promise<readonly LrmJob[]> {
  const waiting = jobs.filter(({ state, reason }) => state === 'waiting' && reason === undefined);
  if (waiting.length === 0) return jobs;
  const { code, stdout } = await run('qstat', ['-xml', '-j', waiting.map(({ jobId }) => jobId).join(',')]);
  // One of them has gone meanwhile, or it was never asked to collect reasons: they wait all the same.
  const reasons = code === 0 ? parseReasons(stdout) : new Map<string, readonly string[]>();
  return jobs.map(job =>
    waiting.includes(job) ? { ...job, reason: waitingReason(reasons.get(job.jobId) ?? []) } : job,
  );
}

function waitingReason(said: readonly string[]): string {
  const [first] = said;
  return first === undefined
    ? 'it waits for nodes to become free'
    : `it waits for nodes to become free: ${oneLine(first)}`;
}

async function capabilities(commands: LrmCommands, settings: GridEngineSettings): Promise<LrmCapabilities> {
  const { ask } = commands;
  const known = await environments(commands, settings);
  const names = settings.queue ?? (await ask('qconf', ['-sql'])).trim().split('\n').join(',');
  const queues = queuesOf(await ask('qconf', ['-sq', names])).filter(queue =>
    settings.parallelEnvironments.some(name =>
      queue('pe_list')
        .split(/[\s,]+/)
        .includes(name),
    ),
  );
  if (queues.length === 0)
    throw new LrmError(
      'unavailable',
      `no queue of ${names} has a parallel environment of ${settings.parallelEnvironments.join(', ')}`,
    );
  const hosts = parseHosts(await ask('qhost', ['-q', '-xml']), settings.queue ?? null);
  const limits = queues.flatMap(queue => secondsOf(queue('h_rt')) ?? []);
  const most = (values: readonly number[]): number => Math.max(0, ...values);
  return {
    nodes: hosts.length,
    idleNodes: hosts.filter(({ used, memoryMiB }) => used === 0 && memoryMiB > 0).length,
    memoryMiBPerNode: most(hosts.map(({ memoryMiB }) => memoryMiB)),
    cpusPerNode: Math.min(
      most(hosts.map(({ cpus }) => cpus)),
      most(known.map(({ slotsPerNode }) => slotsPerNode)),
    ),
    ...(limits.length === queues.length ? { maxWalltimeMs: most(limits) * 1_000 } : {}),
    // The shortest warning that any of them gives (queue_conf(5), notify).
    killDelayMs: Math.min(...queues.map(queue => secondsOf(queue('notify')) ?? 60)) * 1_000,
    nodeNameEnv: ['HOSTNAME'],
    // Grid Engine does not tell the job: its time is from its start.
    jobEndEnv: [],
    walltimeStepMs: 1_000,
  };
}

/** `qconf -sq` of several queues: keys and values, the queues one after the other. A value may be overridden for hosts; the ordinary one counts. */
function queuesOf(text: string): readonly ((key: string) => string)[] {
  const blocks = text
    .replaceAll(/\\\n\s*/g, '')
    .split(/^(?=qname\s)/m)
    .filter(block => block.startsWith('qname'));
  return blocks.map(block => {
    const values = new Map(
      block.split('\n').map(line => [line.split(/\s/)[0] ?? '', line.replace(/^\S+\s+/, '')]),
    );
    return key => (values.get(key) ?? '').split(',[')[0]?.trim() ?? '';
  });
}

/** Words of Grid Engine's commands when sge_qmaster cannot be reached: another try may help. */
function isOutage(stderr: string): boolean {
  return /commlib error|unable to (send message to|contact) qmaster|can't (connect|reach)|connection refused|got no connection|failed receiving gdi|not reachable/i.test(
    stderr,
  );
}
