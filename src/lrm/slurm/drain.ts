import type { DrainedNode, LrmJob } from '../lrm.ts';
import { expandHostlist } from './hostlist.ts';

/**
 * Nodes that an administrator drains, as sinfo(1) tells them: `DRAIN` is both of DRAINING (jobs still run there, which is what concerns us) and DRAINED. All
 * partitions, hidden ones too: the job may be in any. The reason is last, because it may have any character in it.
 */
export const sinfoDrainArguments: readonly string[] = ['-h', '-a', '-N', '-t', 'drain', '-o', '%N|%E'];

/** What `sinfo` prints with these arguments. A node is in it once for each of its partitions. */
export function parseDrains(stdout: string): ReadonlyMap<string, string> {
  const drains = new Map<string, string>();
  for (const line of stdout.split('\n')) {
    const bar = line.indexOf('|');
    if (bar === -1) continue;
    const said = line.slice(bar + 1).trim();
    for (const node of expandHostlist(line.slice(0, bar).trim()))
      drains.set(node, said === 'none' ? '' : said);
  }
  return drains;
}

/** The job with those of its nodes that are drained. */
export function withDrains(job: LrmJob, drains: ReadonlyMap<string, string>): LrmJob {
  if (job.state !== 'running') return job;
  const draining = job.nodes.flatMap((node): DrainedNode[] => {
    const reason = drains.get(node);
    return reason === undefined ? [] : [{ node, reason }];
  });
  return { ...job, draining };
}
