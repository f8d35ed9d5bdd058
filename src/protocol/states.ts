/**
 * The states of DESIGN's vocabulary. The transition tables stand in `lease/`, which alone decides them;
 * here are only the words, because the API, the pilot and the client say them too.
 */

export const workspaceStates = [
  'pending',
  'requested',
  'queued',
  'deploying',
  'running',
  'ending',
  'ended',
] as const;
export type WorkspaceState = (typeof workspaceStates)[number];

export const slotStates = [
  'requested',
  'queued',
  'reserving',
  'ready',
  'preempting',
  'releasing',
  'released',
  'failed',
] as const;
export type SlotState = (typeof slotStates)[number];

export const vmStates = [
  'pending',
  'propagating',
  'starting',
  'running',
  'paused',
  'rebooting',
  'stopping',
  'stopped',
  'terminated',
  'failed',
] as const;
export type VmState = (typeof vmStates)[number];

/** Context of a VM: `none` when its image reports nothing; otherwise what the guest said about its own set-up. */
export const contextStates = ['none', 'pending', 'ok', 'error'] as const;
export type ContextState = (typeof contextStates)[number];

/**
 * Instead of running or deploying, while the batch scheduler has the job's processes stopped:
 * derived, no state of the core's.
 */
const suspendedState = 'suspended';
/** A workspace's states as they are shown. */
export const shownWorkspaceStates = [...workspaceStates, suspendedState] as const;
/**
 * A VM's states as they are shown: `unreachable` is one that was up when its node was last heard.
 */
export const shownVmStates = [...vmStates, suspendedState, 'unreachable'] as const;

/** What a pilot last said about its node. */
export const slotNodeStates = [
  'reserving',
  'reserved',
  'preempting',
  'releasing',
  'released',
  'failed',
] as const;
export type SlotNodeState = (typeof slotNodeStates)[number];

/** Of a node that is ours for good and in no slot: `idle`, or not to be heard of. */
export const ownNodeStates = ['idle', 'away'] as const;

/** How a workspace ended. */
export const endCauses = ['expired', 'destroyed', 'preempted', 'failed', 'cancelled'] as const;
export type EndCause = (typeof endCauses)[number];

/** The longest that the message of a reason may be. */
export const longestReason = 4_096;
/** Why something is in the state it is in: a stable code for programs and a sentence for people. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}
