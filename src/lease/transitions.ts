import type { SlotState, VmState, WorkspaceState } from '../protocol/states.ts';

/**
 * Which state may follow which. Everything that changes a state goes through `Draft` (draft.ts), which asks here.
 *
 *   slot       requested ─► queued ─► reserving ─► ready ─┬───────────────► releasing ─► released
 *                  │           │          │ │             └─► preempting ───►   ▲
 *                  │           │          │ └──────────────────────┘            │
 *                  └───────────┴──────────┴──── given up before it was ready ───┘        any but the last four ─► failed
 *              (a pilot may report before the LRM's answer to the submission is known: requested ─► reserving)
 *
 *   vm         pending ─► propagating ─► starting ─► running ─► stopping ─► terminated      running ⇄ paused, rebooting; stopping ─► stopped ─► starting
 *              forward only, but several steps at once: a pilot that comes back says how its VMs are now. What takes an order to a VM that is known to
 *              run (paused, rebooting, stopped) comes only after its being known to run.
 *                                                                                         any but the last ─► failed
 *
 *   workspace  pending ─► requested         (an ensemble that grows until it is launched)      pending ─► ended
 *              requested ─► queued ─► deploying ─► running ─► ending ─► ended
 *                  └───────────┴──────────┴────────────────────►┘
 *                  ▲                                            │
 *                  └──────── preempted, to be started anew ─────┘
 */

export const slotTransitions: Readonly<Record<SlotState, readonly SlotState[]>> = {
  requested: ['queued', 'reserving', 'releasing', 'failed'],
  queued: ['reserving', 'releasing', 'failed'],
  reserving: ['ready', 'preempting', 'releasing', 'failed'],
  ready: ['preempting', 'releasing', 'failed'],
  preempting: ['releasing'],
  releasing: ['released'],
  released: [],
  failed: [],
};

/** Where a VM may be found once it has been started. */
const onceStarted: readonly VmState[] = ['running', 'stopping', 'terminated', 'failed'];

export const vmTransitions: Readonly<Record<VmState, readonly VmState[]>> = {
  pending: ['propagating', 'starting', ...onceStarted],
  propagating: ['starting', ...onceStarted],
  starting: onceStarted,
  running: ['paused', 'rebooting', 'stopping', 'stopped', 'terminated', 'failed'],
  paused: ['running', 'rebooting', 'stopping', 'stopped', 'terminated', 'failed'],
  rebooting: ['running', 'stopping', 'stopped', 'terminated', 'failed'],
  stopping: ['stopped', 'terminated', 'failed'],
  stopped: ['starting', 'running', 'stopping', 'terminated', 'failed'],
  terminated: [],
  failed: [],
};

export const workspaceTransitions: Readonly<Record<WorkspaceState, readonly WorkspaceState[]>> = {
  pending: ['requested', 'ended'],
  requested: ['queued', 'deploying', 'ending'],
  queued: ['deploying', 'ending'],
  deploying: ['running', 'ending'],
  running: ['ending'],
  ending: ['ended', 'requested'],
  ended: [],
};

export const isFinalSlot = (state: SlotState): boolean => slotTransitions[state].length === 0;
export const isFinalVm = (state: VmState): boolean => vmTransitions[state].length === 0;
/** The guest is there: `running`, or one of the states that come and go from it. */
export const isUpVm = (state: VmState): boolean =>
  state === 'running' || state === 'paused' || state === 'rebooting';

/** A transition that the tables do not have was asked for: a bug in the core, never the fault of an input. */
export class IllegalTransition extends Error {
  constructor(what: string, from: string, to: string) {
    super(`${what} cannot go from ${from} to ${to}`);
    this.name = 'IllegalTransition';
  }
}

/** Throws `IllegalTransition` unless the table allows the step. */
export function assertTransition<State extends string>(
  table: Readonly<Record<State, readonly State[]>>,
  what: string,
  from: State,
  to: State,
): void {
  if (!table[from].includes(to)) throw new IllegalTransition(what, from, to);
}
