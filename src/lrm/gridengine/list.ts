import type { LrmCommands } from '../commands.ts';
import { finalJobStates, type LrmJob } from '../lrm.ts';
import { begunJobs, sweepPrograms, takeWords } from '../programs.ts';
import { endedJobs, lostWords } from './accounting.ts';
import { type Details, noDetails, parseDetails } from './details.ts';
import { parseQueueStates } from './hosts.ts';
import type { Memory } from './memory.ts';
import { type ListedJob, parseJobs } from './qstat.ts';
import { holds, type QueueStates, type Why, whyItWaits } from './reasons.ts';
import { formatMoment } from '../../protocol/units.ts';

/** Where the list is made from. */
export interface Sources {
  readonly commands: LrmCommands;
  /** The user whose jobs are ours. */
  readonly owner: string;
  readonly accounting: string | undefined;
  readonly programDir: string;
  readonly memory: Memory;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** All of our jobs: one qstat, the accounting's end, what was remembered; more if jobs need it. */
export async function listJobs(sources: Sources): Promise<readonly LrmJob[]> {
  const { commands, owner, programDir, memory } = sources;
  const listed = parseJobs(await commands.ask('qstat', ['-xml', '-r', '-g', 't', '-u', owner]), owner);
  const live = new Set(listed.map(({ jobId }) => jobId));
  await noteSilent(sources, listed);
  const known = { owner, deletions: memory.deletions, lost: memory.lost };
  const ended = (await endedJobs(sources.accounting, known)).filter(({ jobId }) => !live.has(jobId));
  const begun = await begunJobs(programDir);
  const told = await Promise.all(ended.map(job => withWords(sources, job, begun)));
  await sweepPrograms(programDir, new Set(listed.map(({ jobName }) => jobName)), sources.now());
  const running = withBeginnings(listed, begun);
  const jobs = await withReasons(sources, running);
  return [...jobs.map(job => withSilent(job, memory.silent)), ...told, ...memory.look(jobs, ended)];
}

/** What qrsh and pilots of a failed job said last; their file is removed, however it ended. */
async function withWords(
  { programDir, memory }: Sources,
  job: LrmJob,
  begun: ReadonlySet<string>,
): Promise<LrmJob> {
  const { jobId, jobName, state, reason = 'the job failed' } = job;
  if (begun.has(jobName)) memory.noteWords(jobId, await takeWords(programDir, jobName));
  const words = memory.wordsOf(jobId);
  return state !== 'failed' || words === undefined ? job : { ...job, reason: `${reason}: ${words}` };
}

/** A job that has its nodes runs once its own script does; before that the site's prolog does. */
function withBeginnings(jobs: readonly ListedJob[], begun: ReadonlySet<string>): readonly ListedJob[] {
  return jobs.map(job => {
    const isStarting = job.state === 'starting' || (job.state === 'running' && !begun.has(job.jobName));
    const reason = 'Grid Engine makes its nodes ready (the prolog runs)';
    return isStarting ? { ...job, state: 'starting', reason } : job;
  });
}

/** Which nodes of running jobs Grid Engine hears nothing of. */
async function noteSilent({ commands, memory, now }: Sources, jobs: readonly ListedJob[]): Promise<void> {
  const onNodes = jobs.filter(({ nodes }) => nodes.length > 0);
  if (onNodes.length === 0) return;
  const { code, stdout } = await commands.run('qselect', ['-qs', 'u']);
  // It fails when there is none.
  const silent = new Set(code === 0 ? stdout.split('\n').map(line => line.trim().split('@')[1] ?? '') : []);
  for (const { jobId, nodes } of onNodes)
    memory.noteSilent(
      jobId,
      nodes.filter(node => silent.has(node)),
      now(),
    );
}

function withSilent(job: LrmJob, silent: ReadonlyMap<string, readonly string[]>): LrmJob {
  const nodes = silent.get(job.jobId);
  return nodes && !finalJobStates.has(job.state) ? { ...job, reason: lostWords(nodes) } : job;
}

/** More queries when something waits: why. */
async function withReasons(sources: Sources, jobs: readonly ListedJob[]): Promise<readonly LrmJob[]> {
  const waiting = jobs.filter(({ state }) => state === 'waiting');
  if (waiting.length === 0) return jobs.map(plain);
  const details = await detailsOf(sources, waiting);
  const held = waiting.filter(({ isHeld, waitsFor }) => isHeld && waitsFor.length === 0);
  const holders = held.length === 0 ? new Map<string, string>() : await holdersOf(sources);
  const remarks = [...details.remarks.values()].flat().concat(details.general);
  const states = await statesFor(sources, remarks);
  return jobs.map(job =>
    job.state === 'waiting'
      ? { ...plain(job), ...whyWaits(job, { details, holders, states, now: sources.now() }) }
      : plain(job),
  );
}

function plain({ isHeld: _held, isInError: _error, waitsFor: _jobs, ...job }: ListedJob): LrmJob {
  return job;
}

async function detailsOf({ commands }: Sources, jobs: readonly ListedJob[]): Promise<Details> {
  const ids = jobs.map(({ jobId }) => jobId).join(',');
  const { code, stdout } = await commands.run('qstat', ['-xml', '-j', ids]);
  // One of them has gone meanwhile: they wait all the same.
  return code === 0 ? parseDetails(stdout) : noDetails;
}

/** Who holds which of our jobs: qstat tells it only by being asked for each kind. */
async function holdersOf({ commands, owner }: Sources): Promise<ReadonlyMap<string, string>> {
  const by = new Map<string, string>();
  // The highest last: it is the one that has to let go.
  for (const kind of ['u', 'o', 's'] as const) {
    const { code, stdout } = await commands.run('qstat', ['-xml', '-s', `h${kind}`, '-u', owner]);
    if (code === 0) for (const { jobId } of parseJobs(stdout, owner)) by.set(jobId, holds[kind]);
  }
  return by;
}

/** "Not available" says little; what the queue's state is says more. */
async function statesFor({ commands }: Sources, remarks: readonly string[]): Promise<QueueStates> {
  if (!remarks.some(remark => /temporarily not available/.test(remark))) return new Map();
  const { code, stdout } = await commands.run('qhost', ['-q', '-xml']);
  return code === 0 ? parseQueueStates(stdout) : new Map();
}

function whyWaits(
  { jobId, isHeld, isInError, waitsFor }: ListedJob,
  known: {
    readonly details: Details;
    readonly holders: ReadonlyMap<string, string>;
    readonly states: QueueStates;
    readonly now: number;
  },
): Why {
  const { remarks, general, errors, startsAfter } = known.details;
  if (isInError) {
    const error = errors.get(jobId);
    return {
      reason: `Grid Engine could not start it and has set it aside${error === undefined ? '' : `: ${error}`}; an administrator can let it try again (qmod -cj)`,
      outlook: 'needs-somebody',
    };
  }
  const holder = known.holders.get(jobId);
  if (holder !== undefined) return { reason: holder, outlook: 'needs-somebody' };
  if (waitsFor.length > 0)
    return { reason: `it waits for job ${waitsFor.join(', ')} to end (hold_jid)`, outlook: 'passes' };
  if (isHeld)
    return {
      reason: 'the job is held: by an array dependency, or by an administrator',
      outlook: 'needs-somebody',
    };
  const after = startsAfter.get(jobId) ?? 0;
  if (after > known.now)
    return {
      reason: `it is not to start before ${formatMoment(after)} (qsub -a)`,
      outlook: 'passes',
    };
  return whyItWaits([...(remarks.get(jobId) ?? []), ...general], known.states);
}
