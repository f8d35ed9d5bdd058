import type { LrmJob, LrmJobState } from '../lrm.ts';

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

/** PBS's own reasons for an end, in `Exit_status`: OpenPBS's and Torque's numbers for a job over its walltime. */
const overWalltime: readonly number[] = [-29, -11];
const deletedSubstate = 91;
/** Exit codes of our job script (job-script.ts). */
const noProgram = 77;
const notLaunched = 78;

/** One job as the family of LRMs says it. `deleted`: we have ordered its end; a PBS server says so only in a comment, and Torque not at all. */
export function toJob(job: PbsJob, deleted: boolean): LrmJob {
  const { jobId, jobName, startedAt, walltimeSeconds } = job;
  const { state, reason } = how(job, deleted);
  const waits = state === 'waiting';
  const isLive = state === 'running' || state === 'ending';
  const limitAt =
    startedAt === undefined || walltimeSeconds === undefined
      ? undefined
      : startedAt + walltimeSeconds * 1_000;
  return {
    jobId,
    jobName,
    state,
    reason,
    estimatedStartAt: waits ? job.estimatedStartAt : undefined,
    startedAt: waits ? undefined : startedAt,
    endsAt: waits ? undefined : isLive ? limitAt : job.endedAt,
    nodes: waits ? [] : hostsOf(job.execHost),
  };
}

type Outcome = Pick<LrmJob, 'reason'> & { readonly state: LrmJobState };

function how(job: PbsJob, deleted: boolean): Outcome {
  switch (job.letter) {
    case 'H':
      return { state: 'waiting', reason: whyHeld(job.holds) };
    case 'W':
      return { state: 'waiting', reason: `it may not start before ${job.notBefore}` };
    case 'Q':
    case 'T':
    case 'B':
      return { state: 'waiting', reason: whyWaiting(job.comment) };
    case 'E':
      return { state: 'ending', reason: undefined };
    case 'R':
    case 'S':
    case 'U':
      return { state: deleted || isToldToEnd(job.comment) ? 'ending' : 'running', reason: undefined };
    case 'C':
    case 'F':
    case 'X':
      return howEnded(job, deleted);
    default:
      // M: another server has it, and ours tells no more of it.
      return {
        state: 'failed',
        reason: `PBS says of the job: state ${job.letter}${job.comment === '' ? '' : ` (${job.comment})`}`,
      };
  }
}

function howEnded(job: PbsJob, deleted: boolean): Outcome {
  const { comment, exitStatus, startedAt, endedAt, walltimeSeconds = Infinity } = job;
  const ranSeconds = startedAt === undefined ? 0 : ((endedAt ?? startedAt) - startedAt) / 1_000;
  if (/preempt/i.test(comment)) return { state: 'preempted', reason: `PBS preempted the job: ${comment}` };
  if (overWalltime.includes(exitStatus ?? 0) || comment.endsWith(' exceeded resource walltime'))
    return { state: 'timeout', reason: 'the job reached its time limit' };
  const by = / terminated by (\S+)$/.exec(comment)?.[1];
  if (by !== undefined || job.substate === deletedSubstate)
    return { state: 'cancelled', reason: `the job was deleted${by === undefined ? '' : ` by ${by}`} (qdel)` };
  if (exitStatus === 0) return { state: 'completed', reason: undefined };
  // Torque tells neither of these.
  if (ranSeconds >= walltimeSeconds) return { state: 'timeout', reason: 'the job reached its time limit' };
  if (deleted) return { state: 'cancelled', reason: 'the job was deleted (qdel)' };
  if (exitStatus === undefined && startedAt === undefined)
    return { state: 'cancelled', reason: 'the job was deleted in the queue' };
  if (exitStatus === 256 + 15)
    return { state: 'cancelled', reason: 'the job was ended with SIGTERM, as qdel does' };
  return { state: 'failed', reason: whyFailed(exitStatus) };
}

function whyFailed(exitStatus: number | undefined): string {
  if (exitStatus === undefined) return 'PBS ended the job and does not say how';
  if (exitStatus < 0) return `PBS could not run the job (Exit_status ${exitStatus})`;
  if (exitStatus > 256) return `the job was ended with signal ${exitStatus - 256}`;
  if (exitStatus === noProgram)
    return "the job could not read the pilot's program: is lrm.programDir the same on all nodes?";
  if (exitStatus === notLaunched) return 'pbsdsh could not start a pilot on every node of the job';
  return `a pilot ended with exit code ${exitStatus}`;
}

/** OpenPBS adds it to the comment at once; the job is R until its processes have ended. */
function isToldToEnd(comment: string): boolean {
  return / and terminated by \S+$| and exceeded resource |preempt/i.test(comment);
}

function whyHeld(holds: string): string {
  const holders = [
    ...(holds.includes('u') ? ['its user'] : []),
    ...(/[op]/.test(holds) ? ['an operator'] : []),
    ...(holds.includes('s') ? ['the system'] : []),
  ];
  return `the job is held${holders.length === 0 ? '' : ` by ${holders.join(' and ')}`} (qrls lets it go)`;
}

/** The scheduler's comment made a sentence. Torque's schedulers make none. */
function whyWaiting(comment: string): string {
  const [, kind, said] = /^(Not Running|Can Never Run): (.+)$/s.exec(comment) ?? [];
  if (kind === 'Can Never Run') return `PBS can never run it: ${said}`;
  if (kind === 'Not Running') return `it waits: ${said}`;
  return comment === '' ? 'PBS has not started it yet and does not say why' : `PBS says: ${comment}`;
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
