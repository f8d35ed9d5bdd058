import { oneLine } from '../../platform/one-line.ts';
import type { DrainedNode, LrmJob } from '../lrm.ts';
import { expandHostlist } from './hostlist.ts';
import { type AskTable, given } from './table.ts';

/** What sinfo(1) says of nodes that are not as they should be, by name. */
export type NodeTroubles = ReadonlyMap<string, NodeTrouble>;

interface NodeTrouble {
  /** Such as `draining`, `down*`, `allocated#`. */
  readonly state: string;
  /** The administrator's words, or Slurm's own; on one line; empty: none. */
  readonly reason: string;
}

/**
 * Nodes that an administrator drains (`drain` is both of DRAINING, where jobs still run, and
 * DRAINED), that are down, or that are being powered up. All
 * partitions, hidden ones too: a job may be in any.
 */
export async function askTroubles(askTable: AskTable, poweringUp: boolean): Promise<NodeTroubles> {
  const states = `drain,down,fail${poweringUp ? ',powering_up' : ''}`;
  const rows = await askTable('sinfo', ['-a', '-t', states], ['NodeList', 'StateLong', 'Reason']);
  return new Map(
    rows.flatMap(([nodes = '', state = '', reason = '']) =>
      expandHostlist(nodes).map(node => [node, { state, reason: oneLine(given(reason) ?? '') }] as const),
    ),
  );
}

/** The job with what its nodes' troubles mean for it. */
export function withTroubles(job: LrmJob, troubles: NodeTroubles): LrmJob {
  const found = job.nodes.flatMap(node => {
    const trouble = troubles.get(node);
    return trouble === undefined ? [] : [{ node, ...trouble }];
  });
  switch (job.state) {
    case 'running':
    case 'suspended': {
      const draining = found.filter(({ state }) => state.startsWith('drain'));
      return { ...job, draining: draining.map(({ node, reason }): DrainedNode => ({ node, reason })) };
    }
    case 'starting':
      return found.some(({ state }) => /#|powering_up/i.test(state))
        ? { ...job, reason: 'its nodes are being powered up' }
        : job;
    case 'node-failed': {
      const lost = found.filter(({ state }) => !state.startsWith('drain'));
      const each = (lost.length > 0 ? lost : found).map(({ node, reason }) =>
        reason === '' ? node : `${node} (${reason})`,
      );
      return each.length === 0
        ? job
        : { ...job, reason: `Slurm has lost a node of the job: ${each.join(', ')}` };
    }
    default:
      return job;
  }
}

/** Whether what it has still to be told depends on its nodes. */
export function dependsOnNodes({ state }: LrmJob): boolean {
  return state === 'running' || state === 'suspended' || state === 'starting' || state === 'node-failed';
}
