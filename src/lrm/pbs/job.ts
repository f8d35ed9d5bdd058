import { secondsOf } from '../commands.ts';
import { LrmError, type LrmJob, type LrmJobState } from '../lrm.ts';
import { isNode, textOf, type XmlNode } from '../xml.ts';
import { endOfNumber, plain, waitingWords } from './words.ts';

/** What both dialects say of a job, in their own letters and numbers. Times in milliseconds since the epoch; undefined: not told. */
export interface PbsJob {
  readonly jobId: string;
  readonly jobName: string;
  /** `user@host`: who submitted it. */
  readonly owner: string;
  /** qstat(1), `job_state`: E(xiting), H(eld), Q(ueued), R(unning), S(uspended), T(ransit), U(ser busy), W(aiting); ended: C (Torque), F, X, M(oved). */
  readonly letter: string;
  readonly comment: string;
  /** Who holds it, a letter each: u(ser), o(ther, an operator), s(ystem); `n`: nobody. */
  readonly holds: string;
  /** `node/slots+…`: where it runs. */
  readonly execHost: string;
  readonly walltimeSeconds: number | undefined;
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly estimatedStartAt: number | undefined;
  /** It may not start before this. */
  readonly notBefore: string;
  /** 256 and a signal's number when that ended the job; negative: PBS's own reasons. */
  readonly exitStatus: number | undefined;
  /** OpenPBS: 91 is a job that was deleted. */
  readonly substate?: number | undefined;
}

/** What a dialect has words of its own for. */
type OwnWords = 'jobId' | 'startedAt' | 'endedAt' | 'estimatedStartAt' | 'exitStatus' | 'substate';

/** A job of an answer in JSON or XML: `own`, and what both dialects call the same. */
export function pbsJob(job: XmlNode, own: Pick<PbsJob, OwnWords>): PbsJob {
  return {
    ...own,
    jobName: textOf(job['Job_Name']),
    owner: textOf(job['Job_Owner']),
    letter: textOf(job['job_state']),
    comment: textOf(job['comment']),
    holds: textOf(job['Hold_Types']),
    execHost: textOf(job['exec_host']),
    walltimeSeconds: secondsOf(textOf(partOf(job, 'Resource_List')['walltime'])),
    notBefore: textOf(job['Execution_Time']),
  };
}

/** What has members of its own in something that PBS said; empty when it is not there. */
export function partOf(node: XmlNode, name: string): XmlNode {
  const part = node[name];
  return isNode(part) ? part : {};
}

/** A whole number; undefined for anything else. */
export function numberOf(value: unknown): number | undefined {
  const said = textOf(value);
  return /^-?[0-9]+$/.test(said) ? Number(said) : undefined;
}

/** An answer that is not its document. It is never an empty list, which would end every lease. */
export function garbage(who: string, form: 'JSON' | 'XML', stdout: string): LrmError {
  return new LrmError(
    'unavailable',
    `${who} printed what is not its list as ${form}: ${stdout.slice(0, 200)}`,
  );
}

/** OpenPBS's substates (job.h) that its letters do not tell. */
const prerun = 41;
const suspendedByCommand = 43;
const dependencyHold = 22;
const deleted = 91;
/** The scheduler of OpenPBS deletes jobs for one reason: others go before them. */
const scheduler = /^Scheduler@/;
/** Exit codes of our job script (job-script.ts). */
const noProgram = 77;
const notLaunched = 78;

/** A job as all LRMs have it. `weEnded`: we have ordered its end, which PBS hardly tells. */
export function toJob(job: PbsJob, weEnded: boolean): LrmJob {
  const { jobId, jobName, startedAt, walltimeSeconds } = job;
  const { state, reason, outlook } = how(job, weEnded);
  const waits = state === 'waiting';
  const isOver = job.letter === 'C' || job.letter === 'F' || job.letter === 'X';
  const limitAt =
    startedAt === undefined || walltimeSeconds === undefined
      ? undefined
      : startedAt + walltimeSeconds * 1_000;
  return {
    jobId,
    jobName,
    state,
    reason,
    ...(outlook === undefined ? {} : { outlook }),
    // PBS leaves it where it was when a job is held.
    estimatedStartAt: waits && job.letter === 'Q' ? job.estimatedStartAt : undefined,
    startedAt: waits ? undefined : startedAt,
    endsAt: waits ? undefined : isOver ? job.endedAt : limitAt,
    nodes: waits ? [] : hostsOf(job.execHost),
  };
}

type Outcome = Pick<LrmJob, 'reason' | 'outlook'> & { readonly state: LrmJobState };

function how(job: PbsJob, weEnded: boolean): Outcome {
  switch (job.letter) {
    case 'H':
      return whyHeld(job);
    case 'W':
      return {
        state: 'waiting',
        reason: `it may not start before ${job.notBefore}`,
        outlook: 'passes',
      };
    case 'Q':
    case 'T':
    case 'B':
      return { state: 'waiting', ...waitingWords(job.comment) };
    case 'E':
      return { state: 'ending', reason: whyEnding(job.comment) };
    case 'R':
    case 'S':
    case 'U':
      return howRunning(job, weEnded);
    case 'C':
    case 'F':
    case 'X':
      return howEnded(job, weEnded);
    default:
      // M: another server has it, and ours tells no more of it.
      return {
        state: 'failed',
        reason: `PBS says of the job: state ${job.letter}${job.comment === '' ? '' : ` (${job.comment})`}`,
      };
  }
}

/** OpenPBS says in the comment at once that a job is to end; it is R until its processes have. */
function howRunning(job: PbsJob, weEnded: boolean): Outcome {
  const { letter, comment, substate } = job;
  const ending = whyEnding(comment);
  if (weEnded || ending !== undefined) return { state: 'ending', reason: ending };
  if (letter === 'U')
    return { state: 'suspended', reason: 'the job is suspended: somebody works at a node of it' };
  if (letter === 'S') {
    if (substate === suspendedByCommand)
      return { state: 'suspended', reason: 'the job is suspended by a command (qsig)' };
    const [, why] = /^Not Running: (.+)$/s.exec(comment) ?? [];
    return {
      state: 'suspended',
      reason: `the scheduler has suspended the job for others${why === undefined ? '' : `: ${plain(why)}`}`,
    };
  }
  return substate === prerun
    ? { state: 'starting', reason: 'PBS is starting it: its nodes are being prepared' }
    : { state: 'running', reason: undefined };
}

function howEnded(job: PbsJob, weEnded: boolean): Outcome {
  const { comment, exitStatus, startedAt, endedAt, walltimeSeconds = Infinity } = job;
  const ranSeconds = startedAt === undefined ? 0 : ((endedAt ?? startedAt) - startedAt) / 1_000;
  const told = orderOf(comment);
  if (told !== undefined) return told;
  if (job.substate === deleted) return { state: 'cancelled', reason: 'the job was deleted (qdel)' };
  if (exitStatus !== undefined && exitStatus < 0) {
    const [state, reason] = endOfNumber(exitStatus, job.letter === 'C');
    return { state, reason };
  }
  if (exitStatus === 0) return { state: 'completed', reason: undefined };
  // Torque tells neither of these.
  if (ranSeconds >= walltimeSeconds) return { state: 'timeout', reason: 'the job reached its time limit' };
  if (weEnded) return { state: 'cancelled', reason: 'the job was deleted (qdel)' };
  if (exitStatus === undefined && startedAt === undefined)
    return { state: 'cancelled', reason: 'the job was deleted in the queue' };
  if (exitStatus === 256 + 15)
    return { state: 'cancelled', reason: 'the job was ended with SIGTERM, as qdel does' };
  return { state: 'failed', reason: whyFailed(exitStatus) };
}

/** The end that somebody or a limit has ordered, as OpenPBS adds it to the comment. */
function orderOf(comment: string): Outcome | undefined {
  const by = / terminated by (\S+)$/.exec(comment)?.[1];
  if (by !== undefined && scheduler.test(by))
    return { state: 'preempted', reason: 'the scheduler deleted the job for one that goes before it' };
  if (by !== undefined) return { state: 'cancelled', reason: `the job was deleted by ${by} (qdel)` };
  if (/preempt/i.test(comment))
    return { state: 'preempted', reason: `PBS preempted the job: ${plain(comment)}` };
  const what = / exceeded resource (\S+)$/.exec(comment)?.[1];
  if (what === 'walltime') return { state: 'timeout', reason: 'the job reached its time limit' };
  if (what !== undefined)
    return { state: 'failed', reason: `PBS ended the job: it used more ${what} than it has` };
  return undefined;
}

function whyEnding(comment: string): string | undefined {
  return orderOf(comment)?.reason;
}

function whyFailed(exitStatus: number | undefined): string {
  if (exitStatus === undefined) return 'PBS ended the job and does not say how';
  if (exitStatus > 256) return `the job was ended with signal ${exitStatus - 256}`;
  if (exitStatus === noProgram)
    return "the job could not read the pilot's program: is lrm.programDir the same on all nodes?";
  if (exitStatus === notLaunched) return 'pbsdsh could not start a pilot on every node of the job';
  return `a pilot ended with exit code ${exitStatus}`;
}

function whyHeld({ holds, comment, substate }: PbsJob): Outcome {
  if (substate === dependencyHold)
    return { state: 'waiting', reason: 'the job waits for others on which it depends', outlook: 'passes' };
  const holders = [
    ...(holds.includes('u') ? ['its user'] : []),
    ...(/[op]/.test(holds) ? ['an operator'] : []),
    ...(holds.includes('s') ? ['the system'] : []),
  ];
  const why = comment === '' || comment.startsWith('Job held by') ? '' : `: ${plain(comment)}`;
  const by = holders.length === 0 ? '' : ` by ${holders.join(' and ')}`;
  return {
    state: 'waiting',
    reason: `the job is held${by}${why} (qrls lets it go)`,
    outlook: 'needs-somebody',
  };
}

/** `pbm1/0*2+pbm2/0*2`, `pbm2/0-1+pbm1/0-1` or `n1/0+n1/1`: the hosts, each once, as their short names. */
export function hostsOf(execHost: string): readonly string[] {
  const hosts = execHost.split('+').map(each => each.replace(/\/.*$/, ''));
  return [
    ...new Set(
      hosts.filter(Boolean).map(host => (/^[\d.]+$/.test(host) ? host : (host.split('.')[0] ?? host))),
    ),
  ];
}

/** `512mb`, `24684092kb`, `2gb`, `1048576` (bytes), also words of 8 bytes (`kw`), in whole MiB; undefined for anything else. */
export function sizeMiB(size: string): number | undefined {
  const [, digits, unit = '', what] = /^([0-9]+)([kmgtp]?)([bw]?)$/i.exec(size) ?? [];
  if (digits === undefined) return undefined;
  const exponent = ['', 'k', 'm', 'g', 't', 'p'].indexOf(unit.toLowerCase());
  const bytes = Number(digits) * 1_024 ** exponent * (what?.toLowerCase() === 'w' ? 8 : 1);
  return Math.floor(bytes / 2 ** 20);
}
