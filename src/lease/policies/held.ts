import type { Draft } from '../draft.ts';
import { drainedReason, nodeDrainedCode } from '../drained-nodes.ts';
import { vmMemoryMiB } from '../memory.ts';
import { type NodeRoom, place, type VmNeed } from '../placement.ts';
import { isFinalSlot, isFinalVm } from '../transitions.ts';
import type { SiteState, Slot, Vm, Workspace } from '../model.ts';
import type { Pool, PoolSettings } from '../settings.ts';
import { policyKind, vmsPerNode } from './index.ts';
import { endMarginMs } from './slot-request.ts';

/**
 * Slots that are held, for the policies `reuse` and `warm`: a workspace is put into a slot that is
 * held already, if it has room and lasts long enough, and a slot may be held while nobody is in it.
 *
 *   reuse   ready, workspaces in it ─► idle for `keepMs` at most ─► released            warm   asked for in advance ─► idle ─► released when too old
 *                   ▲                    │                                                            ▲                  │
 *                   └── a new workspace ─┘                                                            └─ renewed ────────┘
 *
 * Invariants: unless the policy is `shared`, all workspaces that a slot has ever had are of one
 * owner; nothing is put into a slot of which a node is drained, and it is not kept.
 */

/** A slot with room, and where each VM goes. */
export interface HeldSlot {
  readonly slot: Slot;
  readonly placement: ReadonlyMap<string, string>;
}

/** A pool's held slot for a workspace's VMs: of those with room that last long enough, the one that ends first. */
export function heldSlotFor(
  draft: Draft,
  pool: string,
  workspace: Workspace,
  vms: readonly Vm[],
): HeldSlot | undefined {
  const { state, now } = draft;
  const settings = draft.settingsOf({ pool });
  const heldFor = policyKind(settings.policy).heldFor?.(settings.policy);
  if (heldFor === undefined) return undefined;
  const until = now + settings.walltimePadMs + workspace.durationMs + endMarginMs(settings);
  let best: HeldSlot | undefined;
  for (const { id } of state.slots.values()) {
    const slot = draft.slot(id);
    if (slot.pool !== pool || slot.state !== 'ready' || endOf(slot) < until) continue;
    if (drainedReason(slot) || slot.suspendedSince !== null) continue;
    if (heldFor === 'owner' && slot.owner !== null && slot.owner !== workspace.owner) continue;
    if (best && endOf(best.slot) <= endOf(slot)) continue;
    const placement = place(
      vms.map(vm => needOf(vm, settings)),
      roomIn(slot, draft.vmsIn(slot), settings),
    );
    if (placement) best = { slot, placement };
  }
  return best;
}

/** When its job ends, or the earliest moment at which it could while neither LRM nor pilots have told. */
const endOf = ({ jobEndsAt, submittedAt, createdAt, walltimeMs }: Slot): number =>
  jobEndsAt ?? (submittedAt ?? createdAt) + walltimeMs;

/** What a VM takes of its node. */
export function needOf(vm: VmNeed, { memory }: Pick<PoolSettings, 'memory'>): VmNeed {
  return { id: vm.id, memoryMiB: vmMemoryMiB(vm, memory), cpus: vm.cpus };
}

/** What is free on a slot's nodes. */
export function roomIn(slot: Slot, vms: readonly Vm[], settings: PoolSettings): readonly NodeRoom[] {
  const most = vmsPerNode(settings.policy);
  return slot.nodes
    .filter(({ state }) => state === 'reserved')
    .map(({ name }) => {
      const on = vms.filter(vm => vm.node === name && !isFinalVm(vm.state)).map(vm => needOf(vm, settings));
      return {
        name,
        memoryMiB: on.reduce(
          (left, { memoryMiB }) => left - memoryMiB,
          slot.memoryMiBPerNode - settings.memory.pilotMiB,
        ),
        cpus: slot.cpusPerNode - on.reduce((sum, { cpus }) => sum + cpus, 0),
        vms: most - on.length,
      };
    });
}

/** Until when a ready slot that nobody is in is kept; undefined when it is not kept at all. */
export function keptUntil(slot: Slot, settings: PoolSettings, now: number): number | undefined {
  const whole = slot.nodes.filter(({ state }) => state === 'reserved').length >= slot.nodesWanted;
  if (slot.state !== 'ready' || !whole || drainedReason(slot)) return undefined;
  const { policy } = settings;
  const wantedUntil = policyKind(policy).wantedUntil?.(policy, slot, endOf(slot), now) ?? now;
  const until = Math.min(wantedUntil, endOf(slot) - endMarginMs(settings));
  return until > now ? until : undefined;
}

/** Of a warm slot's time: with less than this left another is asked for. */
const warmRenewedShare = 0.5;
/** After a warm slot that came to nothing the next one waits: twice as long each time, up to an hour. */
const firstWarmRetryMs = 60_000;
const longestWarmRetryMs = 3_600_000;

/** When a pool's next idle slot is to be asked for; `null` when there are enough. */
export function warmDueAt(
  { name, policy, site }: Pick<Pool, 'name' | 'policy' | 'site'>,
  slots: SiteState['slots'],
): number | null {
  // What the LRM refuses is not known before it has answered once.
  const wanted = policyKind(policy).warm?.(policy);
  if (!wanted || site === null) return null;
  const forAll = policyKind(policy).heldFor?.(policy) === 'all';
  const warm = [...slots.values()].filter(slot => slot.warm && slot.pool === name);
  const renewAt = warm
    .filter(slot => !isFinalSlot(slot.state) && slot.state !== 'releasing' && slot.state !== 'preempting')
    .filter(slot => forAll || slot.workspaceIds.length === 0)
    .filter(slot => !drainedReason(slot))
    .map(slot => endOf(slot) - slot.walltimeMs * warmRenewedShare)
    .sort((one, other) => other - one);
  // As long as the best `slots` of them last.
  const dueAt = renewAt.length < wanted.slots ? 0 : (renewAt[wanted.slots - 1] ?? 0);
  return Math.max(dueAt, warmRetryAt(warm));
}

/** The reason's code of a slot that was given back because nobody came. */
export const idleCode = 'idle';

/**
 * A pool's warm slots that say when the next one may be asked for: the newest ones, up to as many as
 * make the wait the longest.
 */
export function warmSlotsCounted(
  { name, policy }: Pick<Pool, 'name' | 'policy'>,
  slots: SiteState['slots'],
): readonly Slot[] {
  if (!policyKind(policy).warm) return [];
  const most = 1 + Math.ceil(Math.log2(longestWarmRetryMs / firstWarmRetryMs));
  return newestFirst([...slots.values()].filter(slot => slot.warm && slot.pool === name)).slice(0, most);
}

function newestFirst(slots: readonly Slot[]): readonly Slot[] {
  return slots.toSorted((one, other) => other.createdAt - one.createdAt);
}

function cameToNothing({ state, workspaceIds, reason }: Slot): boolean {
  const over = isFinalSlot(state) || state === 'releasing';
  // A node that is drained says nothing of what the next slot will come to.
  const wellMeant = reason?.code === idleCode || reason?.code === nodeDrainedCode;
  return over && workspaceIds.length === 0 && !wellMeant;
}

function warmRetryAt(warm: readonly Slot[]): number {
  const newest = newestFirst(warm);
  const failures = newest.findIndex(slot => !cameToNothing(slot));
  const inRow = failures === -1 ? newest.length : failures;
  if (inRow === 0) return 0;
  const { endedAt, createdAt } = newest[0] ?? { endedAt: 0, createdAt: 0 };
  return (endedAt ?? createdAt) + Math.min(firstWarmRetryMs * 2 ** (inRow - 1), longestWarmRetryMs);
}
