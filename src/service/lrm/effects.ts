import { isFinalSlot } from '../../lease/transitions.ts';
import type { LrmEffect } from '../../lease/decision.ts';
import type { SlotRequest } from '../../lease/policies/slot-request.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { SiteState, Slot } from '../../lease/model.ts';
import type { Pool } from '../../lease/settings.ts';
import type { GangSite } from '../../lrm/kind.ts';
import { type GangRequest, type Lrm, type LrmCapabilities, LrmError } from '../../lrm/lrm.ts';
import { jobNameOf } from '../../protocol/ids.ts';
import { type PoolPilots, programText, slotAssignment } from '../pilots/assignment.ts';

/** What the effects on the LRM need. */
export interface LrmEffectParts {
  readonly lrm: Lrm;
  readonly gang: GangSite;
  readonly reaches: Pool['reaches'];
  readonly pilot: PoolPilots;
  readonly state: () => SiteState;
  readonly slotSecret: (slotId: string) => string | undefined;
  /** The LRM's capabilities, from the last answer or asked for now. Throws `LrmError`. */
  readonly capabilities: () => Promise<LrmCapabilities>;
  /** Feeds the core; resolves once durable. `done`: effects that this answers. */
  readonly submit: (input: LeaseInput, done: readonly string[]) => Promise<unknown>;
  readonly done: (key: string) => void;
  readonly observeSoon: () => void;
}

/**
 * Does one effect on the LRM. Rejects when it is worth another try, which whoever waits for it is
 * told of.
 */
export async function performLrmEffect(
  effect: LrmEffect,
  again: boolean,
  parts: LrmEffectParts,
): Promise<void> {
  switch (effect.kind) {
    case 'lrm.submit':
      return toldIfDeferred('submit', effect, parts, submitGang(effect, again, parts));
    case 'lrm.cancel':
      return toldIfDeferred('cancel', effect, parts, cancelGang(effect, parts));
    case 'lrm.observe':
      parts.observeSoon();
      parts.done(effect.key);
      return;
  }
}

/** What the LRM could not do now is told, in its words; the effect stays pending. */
async function toldIfDeferred(
  doing: 'submit' | 'cancel',
  { slotId }: LrmEffect,
  { submit }: LrmEffectParts,
  work: Promise<void>,
): Promise<void> {
  try {
    await work;
  } catch (cause) {
    if (cause instanceof LrmError && cause.kind !== 'refused') {
      const { kind, message } = cause;
      await submit({ type: 'lrm.deferred', slotId, doing, kind, message }, []);
    }
    throw cause;
  }
}

async function cancelGang(
  { slotId, jobId, key }: Extract<LrmEffect, { readonly kind: 'lrm.cancel' }>,
  { lrm, state, submit, done, observeSoon }: LrmEffectParts,
): Promise<void> {
  await lrm.cancel(jobId);
  if (state().slots.get(slotId)?.lrmTrouble?.doing === 'cancel')
    await submit({ type: 'lrm.cancelled', slotId }, [key]);
  else done(key);
  observeSoon();
}

/** One slot, one job: whoever may have submitted it already looks for it first. */
async function submitGang(
  { slotId, key }: LrmEffect,
  again: boolean,
  { lrm, state, submit, done, ...parts }: LrmEffectParts,
): Promise<void> {
  const slot = state().slots.get(slotId);
  if (!slot || isFinalSlot(slot.state) || slot.lrmJobId !== null) return done(key);
  const jobId = again ? await findJob(lrm, slotId) : undefined;
  if (jobId !== undefined) {
    await submit({ type: 'lrm.submitted', slotId, jobId }, [key]);
    return;
  }
  // Looked at again: it may have been given up while we asked.
  if (state().slots.get(slotId)?.state !== 'requested') {
    await submit({ type: 'lrm.refused', slotId, message: 'it was given up before it was submitted' }, [key]);
    return;
  }
  try {
    // A queue that the site file names and the LRM does not have is refused here: at once, in its
    // words.
    const networks = networksOf(slot, state(), parts.reaches);
    const program = programOf(slot, await parts.capabilities(), networks, parts);
    const submitted = await lrm.submit(gangRequest(slot, parts.gang, program));
    await submit({ type: 'lrm.submitted', slotId, jobId: submitted }, [key]);
  } catch (cause) {
    if (!(cause instanceof LrmError) || cause.kind !== 'refused') throw cause;
    await submit({ type: 'lrm.refused', slotId, message: cause.message }, [key]);
  }
}

async function findJob(lrm: Lrm, slotId: string): Promise<string | undefined> {
  const jobName = jobNameOf(slotId);
  return (await lrm.list()).find(job => job.jobName === jobName)?.jobId;
}

/**
 * The networks of the VMs that the slot is asked for; of one that waits for whoever comes, all that
 * its pool reaches.
 */
function networksOf(
  { workspaceIds }: Slot,
  { workspaces }: SiteState,
  reaches: Pool['reaches'],
): readonly string[] | null {
  if (workspaceIds.length === 0) return reaches;
  return workspaceIds.flatMap(id => workspaces.get(id)?.groups.flatMap(group => group.networks) ?? []);
}

/** What every node of the slot runs. */
function programOf(
  slot: Slot,
  capabilities: LrmCapabilities,
  networks: readonly string[] | null,
  { pilot, slotSecret }: Pick<LrmEffectParts, 'pilot' | 'slotSecret'>,
): string {
  const secret = slotSecret(slot.id);
  if (secret === undefined) throw new Error(`${slot.id} has no secret`);
  return programText(slotAssignment(slot, secret, networks, pilot, capabilities), pilot.program);
}

/** The job of a slot, with what the site adds to each. */
export function gangRequest(
  slot: SlotRequest & Pick<Slot, 'id'>,
  gang: GangSite,
  program: string,
): GangRequest {
  return {
    jobName: jobNameOf(slot.id),
    nodes: slot.nodesWanted,
    memoryMiBPerNode: slot.memoryMiBPerNode,
    cpusPerNode: slot.cpusPerNode,
    walltimeMs: slot.walltimeMs,
    ...gang,
    program,
  };
}
