/** What batch jobs are said to do, in words that every LRM's have a place in. */

/**
 * Whether a job that waits will start by itself. `passes`: it will, as others end or time passes;
 * `needs-somebody`: when its user or an administrator acts (held, a
 * queue that is closed, a node in an error state); `never`: as it was asked for it cannot start
 * here, and its reason says what would fit.
 */
export type Outlook = 'passes' | 'needs-somebody' | 'never';

/**
 * - `waiting`: in the queue, held or not.
 * - `starting`: it has its nodes, and the LRM makes them ready (a prolog, nodes that are powered
 *   up):
 *   no pilot can have begun yet.
 * - `running`: pilots have been or are being launched.
 * - `suspended`: it has run and will run on; until then its processes are stopped.
 * - `ending`: told to go, not gone.
 *
 * The rest are final. `cancelled`: by someone's command; `preempted`: for a job that goes before
 * it;
 * `timeout`: walltime; `node-failed`: the LRM has lost a node of it; `failed`: any other bad end.
 */
export type LrmJobState =
  | 'waiting'
  | 'starting'
  | 'running'
  | 'suspended'
  | 'ending'
  | 'completed'
  | 'cancelled'
  | 'preempted'
  | 'timeout'
  | 'node-failed'
  | 'failed';

export const finalJobStates: ReadonlySet<LrmJobState> = new Set([
  'completed',
  'cancelled',
  'preempted',
  'timeout',
  'node-failed',
  'failed',
]);
