import { oneLine } from '../commands.ts';
import { LrmError, type LrmJob, type LrmJobState } from '../lrm.ts';
import { expandHostlist } from './hostlist.ts';

/**
 * `squeue --json` (Slurm 22.05: openapi v0.0.38; later versions wrap numbers and lists) as our jobs.
 * Only the fields that we use are looked at, each with its newer shape. An answer without a list of
 * jobs, or with errors beside it, is no answer: squeue exits with 0 and prints an empty list when its
 * controller is away, and an empty list would end every lease. Throws `LrmError` (`unavailable`).
 */
export function parseJobs(stdout: string): LrmJob[] {
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch {
    throw new LrmError('unavailable', `squeue --json did not print JSON: ${stdout.slice(0, 200)}`);
  }
  const { jobs, errors } = (answer ?? {}) as { jobs?: unknown; errors?: unknown };
  if (Array.isArray(errors) && errors.length > 0)
    throw new LrmError('unavailable', `squeue: ${(errors as SqueueError[]).map(wordsOf).join('; ')}`);
  if (!Array.isArray(jobs)) throw new LrmError('unavailable', 'squeue --json printed no list of jobs');
  return (jobs as SqueueJob[]).filter(job => job.name?.startsWith('wsp-')).map(toJob);
}

/** What Slurm puts beside an answer that is not whole. */
interface SqueueError {
  readonly description?: string;
  readonly error?: string;
}

function wordsOf({ description, error }: SqueueError): string {
  return oneLine(description ?? error ?? 'an error without words');
}

interface SqueueJob {
  readonly job_id?: number;
  readonly name?: string;
  readonly job_state?: string | readonly string[];
  readonly state_reason?: string;
  readonly start_time?: SqueueNumber;
  readonly end_time?: SqueueNumber;
  readonly preempt_time?: SqueueNumber;
  readonly nodes?: string;
}
/** Seconds since the epoch; 0 when Slurm does not know. */
type SqueueNumber = number | { readonly set?: boolean; readonly number?: number };

function toJob(job: SqueueJob): LrmJob {
  const slurmState = (typeof job.job_state === 'string' ? [job.job_state] : (job.job_state ?? []))[0] ?? '';
  const state = stateOf(slurmState);
  const startMs = milliseconds(job.start_time);
  const isPreempted = milliseconds(job.preempt_time) !== undefined;
  const reason = state === 'running' ? undefined : reasonOf(slurmState, job.state_reason ?? '');
  return {
    jobId: String(job.job_id),
    jobName: job.name ?? '',
    state,
    reason,
    estimatedStartAt: state === 'waiting' ? startMs : undefined,
    startedAt: state === 'waiting' ? undefined : startMs,
    // The end of one that is being preempted is that of its grace, not of its walltime: its pilots are told by their signal.
    endsAt: state === 'waiting' || isPreempted ? undefined : milliseconds(job.end_time),
    nodes: expandHostlist(job.nodes ?? ''),
  };
}

function milliseconds(value: SqueueNumber | undefined): number | undefined {
  const seconds = typeof value === 'number' ? value : value?.set === false ? 0 : (value?.number ?? 0);
  return seconds > 0 ? seconds * 1_000 : undefined;
}

/** squeue(1), JOB STATE CODES. */
const states: Readonly<Record<string, LrmJobState>> = {
  PENDING: 'waiting',
  CONFIGURING: 'waiting',
  REQUEUED: 'waiting',
  REQUEUE_HOLD: 'waiting',
  RUNNING: 'running',
  SUSPENDED: 'running',
  STOPPED: 'running',
  SIGNALING: 'running',
  RESIZING: 'running',
  COMPLETING: 'ending',
  STAGE_OUT: 'ending',
  COMPLETED: 'completed',
  CANCELLED: 'cancelled',
  REVOKED: 'cancelled',
  PREEMPTED: 'preempted',
  TIMEOUT: 'timeout',
  DEADLINE: 'timeout',
};

function stateOf(slurmState: string): LrmJobState {
  return states[slurmState] ?? 'failed';
}

/** squeue(1), JOB REASON CODES, as sentences; the rest passes through in Slurm's own words. */
const waitingReasons: Readonly<Record<string, string>> = {
  JobHeldUser: 'the job is held by its user (scontrol release lets it go)',
  JobHeldAdmin: 'the job is held by an administrator',
  Priority: 'jobs of higher priority are before it',
  Resources: 'it waits for nodes to become free',
  BeginTime: 'its earliest start has not been reached',
  Dependency: 'it waits for another job',
  PartitionDown: 'its queue is down',
  PartitionInactive: 'its queue is inactive',
  PartitionNodeLimit: "it wants more nodes than its queue's limit",
  PartitionConfig: 'it wants more than the nodes of its queue could ever give',
  PartitionTimeLimit: "it wants more time than its queue's limit",
  ReqNodeNotAvail: 'nodes that it needs are down or reserved',
  Reservation: 'it waits for its reservation',
  QOSMaxJobsPerUserLimit: "its user's limit of running jobs is reached",
  AssocGrpCpuLimit: "its account's limit of processors is reached",
  Cleaning: 'Slurm is cleaning up after its last run',
};

function reasonOf(slurmState: string, slurmReason: string): string | undefined {
  const said = slurmReason === '' || slurmReason === 'None' ? undefined : slurmReason;
  switch (stateOf(slurmState)) {
    case 'waiting':
      return said === undefined ? undefined : (waitingReasons[said] ?? `Slurm says: ${said}`);
    case 'cancelled':
      return 'the job was cancelled (scancel)';
    case 'preempted':
      return 'a job of higher priority needed its nodes';
    case 'timeout':
      return "the job reached Slurm's time limit";
    case 'failed':
      return `Slurm ended the job: ${slurmState}${said === undefined ? '' : ` (${said})`}`;
    case 'starting':
    case 'running':
    case 'suspended':
    case 'ending':
    case 'completed':
      return undefined;
    case 'node-failed':
      return 'Slurm has lost one of its nodes';
  }
}
