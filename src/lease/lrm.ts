import type { SlotId } from '../protocol/ids.ts';
import type { EndCause, Reason } from '../protocol/states.ts';
import { followDrains } from './drain.ts';
import type { Draft } from './draft.ts';
import { advance } from './advance.ts';
import { untroubled } from './lrm-trouble.ts';
import { estimateOf, outlookWords } from './outlook.ts';
import { askWhetherGone, cancelJob, slotGone } from './slot.ts';
import { isFinalSlot } from './transitions.ts';
import { finalJobStates } from '../protocol/jobs.ts';
import type { LeaseInput } from './inputs.ts';
import type { ObservedJob, Slot } from './model.ts';
import { followSuspension } from './suspension.ts';
import { tellTrueEnd } from './true-end.ts';
import { followJobEnd } from './workspace.ts';

/** What the LRM answered and what it says of our jobs (paper §2.3, §3.1). Slots follow their jobs, and jobs that no slot wants are cancelled. */

/** Whether the job is over. */
export const isFinalJob = ({ state }: Pick<ObservedJob, 'state'>): boolean => finalJobStates.has(state);

/** The LRM has taken the job. A slot that was given up meanwhile has it cancelled; so has one that has another job already. */
export function submitted(draft: Draft, slotId: SlotId, jobId: string): void {
  const slot = draft.findSlot(slotId);
  if (!slot || isFinalSlot(slot.state) || (slot.lrmJobId !== null && slot.lrmJobId !== jobId)) {
    cancelJob(draft, slotId, jobId);
    return;
  }
  if (slot.lrmJobId === jobId) return;
  const patch = { lrmJobId: jobId, submittedAt: draft.now };
  untroubled(draft, slotId);
  if (slot.state !== 'requested') {
    draft.putSlot({ ...draft.slot(slotId), ...patch });
    askWhetherGone(draft, slotId);
    return;
  }
  draft.moveSlot(slotId, 'queued', { patch: { ...patch, deadlineAt: null } });
  for (const { id, state } of draft.workspacesIn(slot))
    if (state === 'requested') draft.moveWorkspace(id, 'queued');
}

/** The LRM will never run it. */
export function refused(draft: Draft, slotId: SlotId, message: string): void {
  const slot = draft.findSlot(slotId);
  if (!slot || slot.lrmJobId !== null || isFinalSlot(slot.state)) return;
  slotGone(draft, slotId, 'failed', {
    code: 'lrm_refused',
    message: `the batch scheduler refused the request: ${message}`,
  });
  advance(draft, slotId);
}

/** The LRM's whole list of our jobs: slots whose job has changed follow it, jobs that no slot wants are cancelled. */
export function observed(draft: Draft, input: Extract<LeaseInput, { type: 'lrm.observed' }>): void {
  const byId = new Map<string, ObservedJob>();
  for (const job of input.jobs) {
    byId.set(job.jobId, job);
    if (!isFinalJob(job)) claim(draft, job, input.takenAt);
  }
  for (const { id } of draft.state.slots.values()) {
    const slot = draft.slot(id);
    if (slot.pool !== input.pool || isFinalSlot(slot.state) || slot.lrmJobId === null) continue;
    if (slot.lrmTrouble?.doing === 'list') untroubled(draft, id);
    const job = byId.get(slot.lrmJobId);
    if (job) follow(draft, draft.slot(id), job);
    else if (slot.submittedAt !== null && wasBefore(draft, slot.submittedAt, input.takenAt))
      jobGone(draft, draft.slot(id), undefined);
  }
}

/** Whether what was recorded at `at` had been by the time when the list was asked for. What lies ahead of us was recorded before the clock was set back. */
function wasBefore({ now }: Draft, at: number, takenAt: number): boolean {
  return at < takenAt || at > now;
}

/** Finds the slot that wants a live job: the submission's answer may have been lost. A job that no slot wants is cancelled. */
function claim(draft: Draft, job: ObservedJob, takenAt: number): void {
  const slot = draft.findSlot(job.slotId);
  if (slot?.lrmJobId === job.jobId && !isFinalSlot(slot.state)) return;
  // The list is older than the slot's end, or the job has been told to go: it is not known to be unwanted, or is going.
  if (slot && slot.endedAt !== null && !wasBefore(draft, slot.endedAt, takenAt)) return;
  if (job.state === 'ending') return;
  submitted(draft, job.slotId, job.jobId);
}

function follow(draft: Draft, slot: Slot, job: ObservedJob): void {
  const { state: lrmState, reason: lrmReason, outlook: lrmOutlook } = job;
  const estimatedStartAt = estimateOf(job, draft.now);
  // An LRM that does not tell the job's end leaves what the pilots told.
  const jobEndsAt = job.endsAt ?? slot.jobEndsAt;
  tellJobEnd(draft, slot, jobEndsAt);
  const jobNodes = toldNodes(slot, job);
  const told = slot.lrmState !== lrmState || slot.lrmReason !== lrmReason || slot.lrmOutlook !== lrmOutlook;
  if (
    told ||
    slot.estimatedStartAt !== estimatedStartAt ||
    slot.jobEndsAt !== jobEndsAt ||
    slot.jobNodes !== jobNodes
  )
    draft.putSlot({ ...slot, lrmState, lrmReason, lrmOutlook, estimatedStartAt, jobEndsAt, jobNodes });
  if (told) draft.recordSlot('slot.lrm', slot, { reason: { code: lrmState, message: wordsOf(job, slot) } });
  if (isFinalJob(job)) return jobGone(draft, slot, job);
  followSuspension(draft, slot.id, job);
  // It was put back into the queue while its pilots left: nobody wants it any more.
  const leaves = slot.state === 'releasing' || slot.state === 'preempting';
  if (leaves && job.state === 'waiting') cancelJob(draft, slot.id, job.jobId);
  expectPilots(draft, slot.id, job);
  followDrains(draft, slot.id, job.draining);
  if (slot.jobEndsAt === jobEndsAt) return;
  for (const { id } of draft.workspacesIn(slot)) followJobEnd(draft, id);
  advance(draft, slot.id);
}

/** A job's nodes, when they are all told; the same list, when nothing has changed. */
function toldNodes({ jobNodes, nodesWanted }: Slot, { nodes }: ObservedJob): readonly string[] {
  const told = nodes.length >= nodesWanted ? nodes : [];
  return told.join(' ') === jobNodes.join(' ') ? jobNodes : told;
}

function wordsOf({ state, reason, outlook }: ObservedJob, { cancelOrdered }: Slot): string {
  if (state === 'cancelled' && cancelOrdered) return 'this service has cancelled it';
  const next = outlookWords(outlook);
  return `${reason ?? `the job is ${state}`}${next === '' ? '' : `; ${next}`}`;
}

/** The LRM ends the job later, at our asking. */
export function extended(draft: Draft, slotId: SlotId, jobEndsAt: number): void {
  const slot = draft.findSlot(slotId);
  if (!slot || isFinalSlot(slot.state)) return;
  tellJobEnd(draft, slot, jobEndsAt);
  draft.putSlot({ ...slot, jobEndsAt });
}

/** Pilots leave by themselves in time for the end that they know. */
function tellJobEnd(draft: Draft, { id, nodes, jobEndsAt: before }: Slot, endsAt: number | null): void {
  if (before === null || endsAt === null || endsAt === before) return;
  for (const { name: node, state } of nodes) {
    if (state !== 'reserving' && state !== 'reserved') continue;
    const key = `job-end:${id}:${node}:${draft.now}:${endsAt}`;
    draft.orderPilot(id, node, key, { kind: 'job-end', endsAt });
  }
}

/** A job that runs has pilots that report; one that was put back into the queue has time again. */
function expectPilots(draft: Draft, slotId: SlotId, job: ObservedJob): void {
  const slot = draft.slot(slotId);
  if (slot.state !== 'queued') return;
  const runs = job.state === 'running';
  const deadlineAt = runs ? (slot.deadlineAt ?? draft.now + draft.settings.reserveTimeoutMs) : null;
  if (deadlineAt !== slot.deadlineAt) draft.putSlot({ ...slot, deadlineAt });
}

function jobGone(draft: Draft, slot: Slot, job: ObservedJob | undefined): void {
  const cause: EndCause = job?.state === 'cancelled' || job?.state === 'preempted' ? job.state : 'failed';
  const reason = goneReason(draft.slot(slot.id), job);
  if (job) tellTrueEnd(draft, slot.id, job.state, reason);
  slotGone(draft, slot.id, cause, reason);
  advance(draft, slot.id);
}

function goneReason(slot: Slot, job: ObservedJob | undefined): Reason {
  const name = `job ${slot.lrmJobId}`;
  if (!job)
    return { code: 'lrm_lost', message: `${name} has ended, and the batch scheduler does not say why` };
  const how = {
    cancelled: slot.cancelOrdered ? 'was cancelled by this service' : 'was cancelled',
    preempted: 'was preempted',
    timeout: 'reached its time limit',
    'node-failed': 'has lost a node',
    failed: 'failed',
    completed: slot.nodes.length === 0 ? 'ended before any of its pilots had reported' : 'ended',
    waiting: 'waits',
    starting: 'starts',
    running: 'runs',
    suspended: 'is suspended',
    ending: 'is ending',
  }[job.state];
  return { code: `lrm_${job.state}`, message: `${name} ${how}${job.reason ? `: ${job.reason}` : ''}` };
}
