import type { LrmJobState } from '../lrm.ts';

/**
 * squeue(1), JOB STATE CODES. A job has one base state and any number of flags beside it; some
 * versions print all of them, some the one that matters most. What decides is first: a job that
 * still gives its nodes back is not over, and one whose nodes are made ready does not run yet.
 */
const words: readonly (readonly [LrmJobState, readonly string[]])[] = [
  ['ending', ['COMPLETING', 'STAGE_OUT', 'EPILOG']],
  [
    'waiting',
    ['REQUEUED', 'REQUEUE_HOLD', 'REQUEUE_FED', 'SPECIAL_EXIT', 'RESV_DEL_HOLD', 'PENDING', 'EXPEDITING'],
  ],
  ['starting', ['CONFIGURING', 'POWER_UP_NODE', 'STAGE_IN']],
  ['suspended', ['SUSPENDED', 'STOPPED']],
  ['node-failed', ['NODE_FAIL', 'BOOT_FAIL']],
  ['preempted', ['PREEMPTED']],
  ['timeout', ['TIMEOUT', 'DEADLINE']],
  ['cancelled', ['CANCELLED', 'REVOKED']],
  ['failed', ['FAILED', 'OUT_OF_MEMORY', 'LAUNCH_FAILED', 'RECONFIG_FAIL']],
  ['completed', ['COMPLETED']],
  ['running', ['RUNNING', 'SIGNALING', 'RESIZING', 'UPDATE_DB']],
];

/** The state that all of Slurm's words for it make together; undefined: none of them is known. */
export function stateOf(slurmStates: readonly string[]): LrmJobState | undefined {
  return words.find(([, known]) => known.some(word => slurmStates.includes(word)))?.[0];
}

/** The words of a field such as `RUNNING` or `RUNNING,CONFIGURING`. */
export function stateWords(text: string): readonly string[] {
  return text
    .toUpperCase()
    .split(/[^A-Z0-9_]+/)
    .filter(word => word !== '');
}
