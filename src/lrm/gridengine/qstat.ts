import { LrmError, type LrmJob, type LrmJobState } from '../lrm.ts';
import { isNode, nodesOf, parseXml, textOf as text, type XmlNode } from '../xml.ts';

/** One of our jobs as qstat lists it. `isHeld`: what it waits for is not nodes. */
export interface ListedJob extends LrmJob {
  readonly isHeld: boolean;
  readonly isInError: boolean;
  readonly waitsFor: readonly string[];
}

/**
 * `qstat -xml -r -g t` (qstat(1); Son of Grid Engine 8.1.9) as the jobs of `owner`. It has a
 * `job_list` for every node of a running job, as its MASTER or SLAVE. An answer
 * that is not that document is an error, never an empty list: an empty list would end every lease. Times are those of TZ=UTC.
 */
export function parseJobs(stdout: string, owner: string): readonly ListedJob[] {
  const document = parseXml(stdout, 'Grid Engine');
  const info = document['job_info'];
  if (!isNode(info))
    throw new LrmError('unavailable', `qstat -xml printed no list of jobs: ${stdout.slice(0, 200)}`);
  const rows = ['queue_info', 'job_info'].flatMap(part => {
    const list = info[part];
    return isNode(list) ? nodesOf(list['job_list']) : [];
  });
  const jobs = new Map<string, ListedJob>();
  for (const row of rows) {
    const jobName = text(row['full_job_name']) || text(row['JB_name']);
    if (!jobName.startsWith('wsp-') || text(row['JB_owner']) !== owner) continue;
    const job = toJob(row, jobName);
    const before = jobs.get(job.jobId);
    jobs.set(job.jobId, before ? { ...before, nodes: [...new Set([...before.nodes, ...job.nodes])] } : job);
  }
  return [...jobs.values()];
}

function toJob(row: XmlNode, jobName: string): ListedJob {
  const letters = text(row['state']);
  const state = stateOf(letters);
  const startedAt = state === 'waiting' ? undefined : time(text(row['JAT_start_time']));
  const limit = nodesOf(row['hard_request']).find(request => text(request['@name']) === 'h_rt');
  const limitSeconds = limit ? Number(text(limit['#text'])) : Number.NaN;
  const host = text(row['queue_name']).split('@')[1];
  const before = row['predecessor_jobs'];
  return {
    jobId: text(row['JB_job_number']),
    jobName,
    state,
    reason: state === 'suspended' ? suspension(letters) : undefined,
    startedAt,
    endsAt:
      startedAt === undefined || Number.isNaN(limitSeconds) ? undefined : startedAt + limitSeconds * 1_000,
    nodes: host === undefined || host === '' ? [] : [host],
    isHeld: state === 'waiting' && letters.includes('h'),
    isInError: state === 'waiting' && letters.includes('E'),
    waitsFor: (Array.isArray(before) ? before : [before]).map(text).filter(Boolean),
  };
}

/** qstat(1), the job states: d(eletion), E(rror), h(old), r(unning), R(estarted), s(uspended), S, T(hreshold), t(ransfering), w(aiting). */
function stateOf(letters: string): LrmJobState {
  if (letters.includes('d')) return 'ending';
  if (/[sST]/.test(letters)) return 'suspended';
  if (letters.includes('t')) return 'starting';
  return letters.includes('r') ? 'running' : 'waiting';
}

function suspension(letters: string): string {
  if (letters.includes('s')) return 'the job is suspended (qmod -usj lets it run on)';
  return letters.includes('T')
    ? 'the job is suspended while its node is too busy'
    : 'its queue is suspended: for another queue, by its calendar, or by an administrator';
}

/** In milliseconds since the epoch; undefined when it is none. */
function time(local: string): number | undefined {
  const ms = Date.parse(`${local}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}
