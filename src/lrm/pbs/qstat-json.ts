import { secondsOf } from '../commands.ts';
import { isNode, textOf as text, type XmlNode } from '../xml.ts';
import { garbage, numberOf as number, partOf, type PbsJob, pbsJob, sizeMiB } from './job.ts';
import type { PbsLimits, PbsNode } from './server.ts';

/**
 * `qstat … -f -F json` and `pbsnodes -a -F json` of OpenPBS (recorded from 23.06.06). Times in them
 * have no zone: they are asked for with TZ=UTC.
 */

/** Our jobs (`wsp-…`) among those of an answer. Throws `LrmError` (`unavailable`). */
export function parseJsonJobs(stdout: string): readonly PbsJob[] {
  const document = documentOf(stdout);
  // A server without jobs leaves the list out.
  const all = document === undefined ? ourBlocks(stdout) : (document['Jobs'] ?? {});
  if (!isNode(all)) throw garbage('qstat', 'JSON', stdout);
  return Object.entries(all)
    .filter((entry): entry is [string, XmlNode] => isNode(entry[1]))
    .filter(([, job]) => text(job['Job_Name']).startsWith('wsp-'))
    .map(([jobId, job]) => toPbsJob(jobId, job));
}

/** Limits by queue, of `qstat -Q -f -F json`; `part` `Server`: of `qstat -B -f -F json`, by the server's name. Throws `LrmError` (`unavailable`). */
export function parseJsonLimits(stdout: string, part: 'Queue' | 'Server'): ReadonlyMap<string, PbsLimits> {
  const all = documentOf(stdout)?.[part];
  if (!isNode(all)) throw garbage('qstat', 'JSON', stdout);
  return new Map(
    Object.keys(all).map(name => {
      const attributes = partOf(all, name);
      return [
        name,
        {
          maxWalltimeSeconds: secondsOf(text(partOf(attributes, 'resources_max')['walltime'])),
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
  if (!isNode(all)) throw garbage('pbsnodes', 'JSON', stdout);
  const hosts = new Map<string, PbsNode>();
  for (const vnode of Object.keys(all)) {
    const attributes = partOf(all, vnode);
    const available = partOf(attributes, 'resources_available');
    const assigned = Number(partOf(attributes, 'resources_assigned')['ncpus'] ?? 0);
    const name = (text(available['host']) || vnode).split('.')[0] ?? vnode;
    const before = hosts.get(name);
    const idle = text(attributes['state']) === 'free' && assigned === 0 && attributes['jobs'] === undefined;
    hosts.set(name, {
      name,
      idle: idle && before?.idle !== false,
      cpus: (number(available['ncpus']) ?? 0) + (before?.cpus ?? 0),
      memoryMiB: (sizeMiB(text(available['mem'])) ?? 0) + (before?.memoryMiB ?? 0),
      queue: text(attributes['queue']) || before?.queue,
    });
  }
  return [...hosts.values()];
}

function toPbsJob(jobId: string, job: XmlNode): PbsJob {
  return pbsJob(job, {
    jobId,
    startedAt: time(job['stime']),
    endedAt: time(job['obittime']),
    estimatedStartAt: time(partOf(job, 'estimated')['start_time']),
    exitStatus: number(job['Exit_status']),
    substate: number(job['substate']),
  });
}

/** The whole answer; undefined when it is not JSON. Throws when it is another document. */
function documentOf(stdout: string): XmlNode | undefined {
  try {
    const document: unknown = JSON.parse(stdout);
    if (isNode(document) && text(document['pbs_server']) !== '') return document;
  } catch {
    return undefined;
  }
  throw garbage('PBS', 'JSON', stdout);
}

/**
 * OpenPBS writes values of the jobs' environments that are no JSON (`"n": 007`, `\'`): one job of anybody would hide all. So when the answer as a whole cannot be
 * read, our jobs are cut out of it by its indentation, without their environments.
 */
function ourBlocks(stdout: string): XmlNode {
  if (!stdout.trimStart().startsWith('{\n\t"timestamp":') || !/\n\}\s*$/.test(stdout))
    throw garbage('qstat', 'JSON', stdout);
  const blocks = stdout.matchAll(/^\t\t"([^"\n]+)":\t\{\n((?:\t\t\t.*\n)*)\t\t\}/gm);
  return Object.fromEntries(
    [...blocks]
      .filter(([, , body = '']) => /^\t\t\t"Job_Name":\t"wsp-/m.test(body))
      .map(([, jobId = '', body = '']) => {
        const lines = body.replace(/^\t\t\t"Variable_List":\t\{\n(?:\t\t\t\t.*\n)*\t\t\t\},?\n/m, '');
        try {
          return [jobId, JSON.parse(`{${lines.trimEnd().replace(/,$/, '')}}`)];
        } catch {
          throw garbage('qstat', 'JSON', body);
        }
      }),
  );
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
