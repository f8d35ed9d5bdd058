import { isNode, nodesOf, parseXml, textOf as text, type XmlNode } from '../xml.ts';

/** What `qstat -j` tells of waiting jobs that the list does not. */
export interface Details {
  /** The scheduler's remarks on one job, by its id. */
  readonly remarks: ReadonlyMap<string, readonly string[]>;
  /** Its remarks on all of them: queues that are closed. */
  readonly general: readonly string[];
  /** Why Grid Engine could not start a job, and set it aside. */
  readonly errors: ReadonlyMap<string, string>;
  /** Not before this, milliseconds since the epoch (`qsub -a`). */
  readonly startsAfter: ReadonlyMap<string, number>;
}

/** Of an LRM that says nothing about its jobs. */
export const noDetails: Details = {
  remarks: new Map(),
  general: [],
  errors: new Map(),
  startsAfter: new Map(),
};

/** `qstat -xml -j ID,…`. Throws `LrmError` (`unavailable`) when it is no XML. */
export function parseDetails(stdout: string): Details {
  const told = parseXml(stdout, 'Grid Engine')['detailed_job_info'];
  const remarks = new Map<string, string[]>();
  const general: string[] = [];
  for (const list of childrenOf(told, 'messages', 'element')) {
    for (const message of childrenOf(list, 'SME_message_list', 'element'))
      for (const id of childrenOf(message, 'MES_job_number_list', 'ulong_sublist')) {
        const jobId = text(id['ULNG_value']);
        remarks.set(jobId, [...(remarks.get(jobId) ?? []), text(message['MES_message'])]);
      }
    for (const message of childrenOf(list, 'SME_global_message_list', 'element'))
      general.push(text(message['MES_message']));
  }
  const errors = new Map<string, string>();
  const startsAfter = new Map<string, number>();
  for (const job of childrenOf(told, 'djob_info', 'element')) {
    const jobId = text(job['JB_job_number']);
    const startSeconds = Number(text(job['JB_execution_time']));
    if (startSeconds > 0) startsAfter.set(jobId, startSeconds * 1_000);
    // It begins with a time of the node's, its user and its process.
    for (const task of childrenOf(job, 'JB_ja_tasks', 'ulong_sublist'))
      for (const message of childrenOf(task, 'JAT_message_list', 'ulong_sublist'))
        errors.set(jobId, text(message['QIM_message']).replace(/^\S+ \S+ \[\S+\]: (error: )?/, ''));
  }
  return { remarks, general, errors, startsAfter };
}

/** The elements `inner` of the one element `outer`. */
function childrenOf(node: unknown, outer: string, inner: string): readonly XmlNode[] {
  const list = isNode(node) ? node[outer] : undefined;
  return isNode(list) ? nodesOf(list[inner]) : [];
}
