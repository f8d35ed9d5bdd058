import { LrmError, type LrmJob, type LrmJobState } from '../lrm.ts';
import { isNode, nodesOf, parseXml, textOf as text, type XmlNode } from '../xml.ts';

/**
 * `qstat -xml -r -g t` (qstat(1); Son of Grid Engine 8.1.9) as our jobs. It has a `job_list` for every node of a running job, as its MASTER or SLAVE. An answer
 * that is not that document is an error, never an empty list: an empty list would end every lease. Times are those of TZ=UTC.
 */
export function parseJobs(stdout: string): LrmJob[] {
  const document = parseXml(stdout, 'Grid Engine');
  const info = document['job_info'];
  if (!isNode(info))
    throw new LrmError('unavailable', `qstat -xml printed no list of jobs: ${stdout.slice(0, 200)}`);
  const rows = ['queue_info', 'job_info'].flatMap(part => {
    const list = info[part];
    return isNode(list) ? nodesOf(list['job_list']) : [];
  });
  const jobs = new Map<string, LrmJob>();
  for (const row of rows) {
    const jobName = text(row['full_job_name']) || text(row['JB_name']);
    if (!jobName.startsWith('wsp-')) continue;
    const job = toJob(row, jobName);
    const before = jobs.get(job.jobId);
    jobs.set(job.jobId, before ? { ...before, nodes: [...new Set([...before.nodes, ...job.nodes])] } : job);
  }
  return [...jobs.values()];
}

/** `qstat -xml -j ID,…`: what the scheduler says of each waiting job, by its id. Its general remarks are last. */
export function parseReasons(stdout: string): ReadonlyMap<string, readonly string[]> {
  const reasons = new Map<string, string[]>();
  const told = parseXml(stdout, 'Grid Engine')['detailed_job_info'];
  const lists = isNode(told) && isNode(told['messages']) ? nodesOf(told['messages']['element']) : [];
  for (const list of lists) {
    const messages = isNode(list['SME_message_list']) ? nodesOf(list['SME_message_list']['element']) : [];
    for (const message of messages) {
      const ids = isNode(message['MES_job_number_list'])
        ? nodesOf(message['MES_job_number_list']['ulong_sublist'])
        : [];
      for (const id of ids) {
        const jobId = text(id['ULNG_value']);
        reasons.set(jobId, [...(reasons.get(jobId) ?? []), text(message['MES_message'])]);
      }
    }
  }
  return reasons;
}

/** What `qhost -q -xml` says of each host that has the queue (null: any queue). `used`: slots of jobs in it. */
export function parseHosts(
  stdout: string,
  queue: string | null,
): readonly {
  readonly name: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly used: number;
}[] {
  const told = parseXml(stdout, 'Grid Engine')['qhost'];
  if (!isNode(told))
    throw new LrmError('unavailable', `qhost -xml printed no list of hosts: ${stdout.slice(0, 200)}`);
  return nodesOf(told['host']).flatMap(host => {
    const values = named(host['hostvalue']);
    const queues = nodesOf(host['queue']).filter(each => queue === null || text(each['@name']) === queue);
    if (queues.length === 0) return [];
    const ofQueues = (name: string): number =>
      Math.max(...queues.map(each => Number(named(each['queuevalue']).get(name) ?? 0)));
    return [
      {
        name: text(host['@name']),
        cpus: ofQueues('slots'),
        memoryMiB: sizeMiB(values.get('mem_total') ?? ''),
        used: ofQueues('slots_used'),
      },
    ];
  });
}

function toJob(row: XmlNode, jobName: string): LrmJob {
  const letters = text(row['state']);
  const state = stateOf(letters);
  const startedAt = state === 'waiting' ? undefined : time(text(row['JAT_start_time']));
  const limit = nodesOf(row['hard_request']).find(request => text(request['@name']) === 'h_rt');
  const limitSeconds = limit ? Number(text(limit['#text'])) : Number.NaN;
  const host = text(row['queue_name']).split('@')[1];
  return {
    jobId: text(row['JB_job_number']),
    jobName,
    state,
    reason: letters.startsWith('h')
      ? 'the job is held (qrls lets it go)'
      : letters.includes('E')
        ? 'Grid Engine could not start it and has set it aside; an administrator can let it try again (qmod -cj)'
        : undefined,
    startedAt,
    endsAt:
      startedAt === undefined || Number.isNaN(limitSeconds) ? undefined : startedAt + limitSeconds * 1_000,
    nodes: host === undefined || host === '' ? [] : [host],
  };
}

/** qstat(1), the job states: d(eletion), E(rror), h(old), r(unning), R(estarted), s(uspended), S, T(hreshold), t(ransfering), w(aiting). */
function stateOf(letters: string): LrmJobState {
  if (letters.includes('d')) return 'ending';
  return /[rtsST]/.test(letters) ? 'running' : 'waiting';
}

/** In milliseconds since the epoch; undefined when it is none. */
function time(local: string): number | undefined {
  const ms = Date.parse(`${local}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** `23.5G` in MiB; 0 for `-`. */
function sizeMiB(size: string): number {
  const match = /^([0-9.]+)([KMGT]?)$/.exec(size);
  const factors: Readonly<Record<string, number>> = {
    '': 2 ** -20,
    K: 2 ** -10,
    M: 1,
    G: 2 ** 10,
    T: 2 ** 20,
  };
  return match ? Math.floor(Number(match[1]) * (factors[match[2] ?? ''] ?? 0)) : 0;
}

/** `<x name='a'>b</x>` as a map from a to b. */
function named(value: unknown): ReadonlyMap<string, string> {
  return new Map(nodesOf(value).map(each => [text(each['@name']), text(each['#text'])]));
}
