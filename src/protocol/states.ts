/**
 * The states of all that there is, and what each means; docs/reference.md is made of these. The
 * transition tables stand in `lease/`, which alone decides them; here are only the words, because
 * the API, the pilot and the client say them too.
 */

/** A workspace's states, and what each means. */
export const workspaceMeanings = {
  pending: 'it has been made, and waits for `wsp launch`',
  requested: 'a slot for it is asked of the batch scheduler',
  queued: 'its slot waits in the queue of the batch scheduler, or is being made ready',
  deploying: 'its slot is ready, and its VMs are started',
  running: 'all of its VMs run; its time passes',
  ending: 'its VMs are shut down',
  ended: 'it is over, for the cause that it tells',
} as const;
export type WorkspaceState = keyof typeof workspaceMeanings;
export const workspaceStates = keysOf(workspaceMeanings);

/** A slot's states, and what each means. */
export const slotMeanings = {
  requested: 'a batch job for it is to be submitted',
  queued: 'its job waits, or its nodes are made ready by the batch scheduler',
  reserving: 'its job runs, and the pilots make its nodes ready for VMs',
  ready: 'all of its nodes are ready: VMs can be started',
  preempting: 'the batch scheduler wants the nodes back: guests shut down',
  releasing: 'its nodes are restored',
  released: 'its nodes are job nodes again',
  failed: 'it could not be had, or its nodes could not be restored',
} as const;
export type SlotState = keyof typeof slotMeanings;
export const slotStates = keysOf(slotMeanings);

/** A VM's states, and what each means. */
export const vmMeanings = {
  pending: 'it waits for its slot',
  propagating: 'its disk is made on its node',
  starting: 'its VMM starts, and its guest boots',
  running: 'it runs',
  paused: 'it stands still where it was, by an order',
  rebooting: 'it starts again, by an order',
  stopping: 'it shuts down',
  stopped: 'it is off by an order, and can be started again',
  terminated: 'it is off for good',
  failed: 'it could not be started, or was lost',
} as const;
export type VmState = keyof typeof vmMeanings;
export const vmStates = keysOf(vmMeanings);

/** What a guest has said about its own set-up. */
export const contextMeanings = {
  none: 'its image reports nothing',
  pending: 'it has not reported yet',
  ok: 'it has set itself up',
  error: 'it could not set itself up, or has not reported in time',
} as const;
export type ContextState = keyof typeof contextMeanings;
export const contextStates = keysOf(contextMeanings);

/** Instead of running or deploying, while the job's processes are stopped; not the core's. */
const suspendedState = 'suspended';
/** A workspace's states as they are shown. */
export const shownWorkspaceStates = [...workspaceStates, suspendedState] as const;
/** A VM's states as they are shown. `unreachable`: it was up when its node was last heard. */
export const shownVmStates = [...vmStates, suspendedState, 'unreachable'] as const;

/** What a pilot last said about its node. */
export const slotNodeMeanings = {
  reserving: 'its pilot makes it ready for VMs',
  reserved: 'it is ready for VMs',
  preempting: 'its pilot was told to leave by the batch scheduler',
  releasing: 'its pilot restores it',
  released: 'it is a job node again',
  failed: 'it could not be made ready, or could not be restored',
} as const;
export type SlotNodeState = keyof typeof slotNodeMeanings;
export const slotNodeStates = keysOf(slotNodeMeanings);

/** Of a node that is ours for good and in no slot: `idle`, or not to be heard of. */
export const ownNodeStates = ['idle', 'away'] as const;

/** How a workspace ended. */
export const endMeanings = {
  expired: 'its time was up',
  destroyed: 'somebody who may has ended it',
  preempted: 'the batch scheduler took its nodes back',
  failed: 'something went wrong; the reason says what',
  cancelled: 'it was ended before it ran',
} as const;
export type EndCause = keyof typeof endMeanings;
export const endCauses = keysOf(endMeanings);

/** The longest that the message of a reason may be. */
export const longestReason = 4_096;
/** Why something is in the state it is in: a stable code for programs and a sentence for people. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}

function keysOf<T extends object>(meanings: T): readonly (keyof T)[] {
  return Object.keys(meanings) as (keyof T)[];
}
