import { secondsOf } from '../commands.ts';
import { LrmError } from '../lrm.ts';
import { type PbsJob, sizeMiB } from './job.ts';
import type { PbsLimits, PbsNode } from './server.ts';

/**
 * `qstat … -f -F json` and `pbsnodes -a -F json` of OpenPBS (qstat(1B); recorded from 23.06.06). Their times have no zone: they are asked with TZ=UTC.
 * An answer that is not that document is an error, never an empty list: an empty list would end every lease.
 */
type JsonNode = Readonly<Record<string, unknown>>;

/** Our jobs (`wsp-…`) among those of an answer. Throws `LrmError` (`unavailable`). */
export function parseJsonJobs(stdout: string): readonly PbsJob[] {
  const document = documentOf(stdout);
  // A server without jobs leaves the list out.
  const all = document === undefined ? ourBlocks(stdout) : (document['Jobs'] ?? {});
  if (!isJsonNode(all)) throw garbage('qstat', stdout);
  return Object.entries(all)
    .filter((entry): entry is [string, JsonNode] => isJsonNode(entry[1]))
    .filter(([, job]) => text(job['Job_Name']).startsWith('wsp-'))
    .map(([jobId, job]) => pbsJob(jobId, job));
}

/** Limits by queue, of `qstat -Q -f -F json`; `part` `Server`: of `qstat -B -f -F json`, by the server's name. Throws `LrmError` (`unavailable`). */
export function parseJsonLimits(
  stdout: string,
  part: 'Queue' | 'Server',
): ReadonlyMap<string, PbsLimits & { readonly defaultQueue: string | undefined }> {
  const all = documentOf(stdout)?.[part];
  if (!isJsonNode(all)) throw garbage('qstat', stdout);
  return new Map(
    Object.entries(all).map(([name, value]) => {
      const attributes = isJsonNode(value) ? value : {};
      const most = attributes['resources_max'];
      return [
        name,
        {
          maxWalltimeSeconds: isJsonNode(most) ? secondsOf(text(most['walltime'])) : undefined,
          killDelaySeconds: number(attributes['kill_delay']),
          isEnabled: text(attributes['enabled']) !== 'False',
          defaultQueue: text(attributes['default_queue']) || undefined,
        },
      ];
    }),
  );
}

/** The hosts of `pbsnodes -a -F json`; a host of several virtual nodes is one, with what they have together. Throws `LrmError` (`unavailable`). */
export function parseJsonNodes(stdout: string): readonly PbsNode[] {
  const all = documentOf(stdout)?.['nodes'];
  if (!isJsonNode(all)) throw garbage('pbsnodes', stdout);
  const hosts = new Map<string, PbsNode>();
  for (const [vnode, value] of Object.entries(all)) {
    const attributes = isJsonNode(value) ? value : {};
    const has = attributes['resources_available'];
    const used = attributes['resources_assigned'];
    const available = isJsonNode(has) ? has : {};
    const assigned = isJsonNode(used) ? Number(used['ncpus'] ?? 0) : 0;
    const name = (text(available['host']) || vnode).split('.')[0] ?? vnode;
    const before = hosts.get(name);
    const isIdle = text(attributes['state']) === 'free' && assigned === 0 && attributes['jobs'] === undefined;
    hosts.set(name, {
      name,
      isIdle: isIdle && before?.isIdle !== false,
      cpus: (number(available['ncpus']) ?? 0) + (before?.cpus ?? 0),
      memoryMiB: (sizeMiB(text(available['mem'])) ?? 0) + (before?.memoryMiB ?? 0),
      queue: text(attributes['queue']) || before?.queue,
    });
  }
  return [...hosts.values()];
}

function pbsJob(jobId: string, job: JsonNode): PbsJob {
  const asked = isJsonNode(job['Resource_List']) ? job['Resource_List'] : {};
  const estimated = isJsonNode(job['estimated']) ? job['estimated'] : {};
  return {
    jobId,
    jobName: text(job['Job_Name']),
    owner: text(job['Job_Owner']),
    letter: text(job['job_state']),
    comment: text(job['comment']),
    holds: text(job['Hold_Types']),
    execHost: text(job['exec_host']),
    walltimeSeconds: secondsOf(text(asked['walltime'])),
    startedAt: time(job['stime']),
    endedAt: time(job['obittime']),
    estimatedStartAt: time(estimated['start_time']),
    notBefore: text(job['Execution_Time']),
    exitStatus: number(job['Exit_status']),
    substate: number(job['substate']),
  };
}

/** The whole answer; undefined when it is not JSON. Throws when it is another document. */
function documentOf(stdout: string): JsonNode | undefined {
  try {
    const document: unknown = JSON.parse(stdout);
    if (isJsonNode(document) && text(document['pbs_server']) !== '') return document;
  } catch {
    return undefined;
  }
  throw garbage('PBS', stdout);
}

/**
 * OpenPBS writes values of the jobs' environments that are no JSON (`"n": 007`, `\'`): one job of anybody would hide all. So when the answer as a whole cannot be
 * read, our jobs are cut out of it by its indentation, without their environments.
 */
function ourBlocks(stdout: string): JsonNode {
  if (!stdout.trimStart().startsWith('{\n\t"timestamp":') || !/\n\}\s*$/.test(stdout))
    throw garbage('qstat', stdout);
  const blocks = stdout.matchAll(/^\t\t"([^"\n]+)":\t\{\n((?:\t\t\t.*\n)*)\t\t\}/gm);
  return Object.fromEntries(
    [...blocks]
      .filter(([, , body = '']) => /^\t\t\t"Job_Name":\t"wsp-/m.test(body))
      .map(([, jobId = '', body = '']) => {
        const lines = body.replace(/^\t\t\t"Variable_List":\t\{\n(?:\t\t\t\t.*\n)*\t\t\t\},?\n/m, '');
        try {
          return [jobId, JSON.parse(`{${lines.trimEnd().replace(/,$/, '')}}`)];
        } catch {
          throw garbage('qstat', body);
        }
      }),
  );
}

function garbage(who: string, stdout: string): LrmError {
  return new LrmError('unavailable', `${who} printed what is not its list as JSON: ${stdout.slice(0, 200)}`);
}

/** `Sun Nov 22 11:52:48 2026`, or seconds since the epoch; undefined for anything else (`UNKNOWN`). */
function time(value: unknown): number | undefined {
  const seconds = number(value);
  if (seconds !== undefined) return seconds > 0 ? seconds * 1_000 : undefined;
  const [, month, day, clock, year] =
    /^\w{3} (\w{3}) +(\d{1,2}) (\d{2}:\d{2}:\d{2}) (\d{4})$/.exec(text(value)) ?? [];
  const ms = Date.parse(`${day} ${month} ${year} ${clock} UTC`);
  return Number.isNaN(ms) ? undefined : ms;
}

function number(value: unknown): number | undefined {
  const said = text(value);
  return /^-?[0-9]+$/.test(said) ? Number(said) : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function isJsonNode(value: unknown): value is JsonNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
