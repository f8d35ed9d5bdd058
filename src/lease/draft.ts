import type { SlotId, VmId, WorkspaceId } from '../protocol/ids.ts';
import type { EventType } from '../protocol/events.ts';
import type { Reason, SlotState, VmState, WorkspaceState } from '../protocol/states.ts';
import { subjectOf } from './slot-subject.ts';
import { assertTransition, slotTransitions, vmTransitions, workspaceTransitions } from './transitions.ts';
import type { DecidedOrder, Decision, Effect, HistoryEvent, Retired } from './decision.ts';
import type { SiteState, Slot, Vm, Workspace } from './model.ts';
import { inPool, type LeaseSettings, type PoolSettings } from './settings.ts';

/** What may go with a change of state. `at`: when it happened, if not now (a node's own clock). */
interface Move<Entity> {
  readonly reason?: Reason | null | undefined;
  readonly at?: number;
  readonly patch?: Partial<Entity>;
  /** Not written into the history (`told.ts`). */
  readonly isUntold?: boolean;
}

/** What an event is about; `at`: as in `Move`. */
type About = Partial<Omit<HistoryEvent, 'type' | 'at'>> & { readonly at?: number | undefined };

/**
 * A decision in the making: reads through what has been decided so far to the state it began from,
 * which it never touches. It lives inside one call of `decide`. All changes of state pass `move…`,
 * so each is in the transition tables and each is in the history, but for those of a VM that
 * changes without end.
 */
export class Draft {
  readonly now: number;
  readonly state: SiteState;
  readonly #workspaces = new Map<WorkspaceId, Workspace>();
  readonly #slots = new Map<SlotId, Slot>();
  readonly #vms = new Map<VmId, Vm>();
  readonly #events: HistoryEvent[] = [];
  readonly #effects = new Map<string, Effect>();
  readonly #retired: Retired[] = [];

  constructor(state: SiteState, now: number) {
    this.state = state;
    this.now = now;
  }

  get settings(): LeaseSettings {
    return this.state.settings;
  }
  /** The settings as they are for a slot's pool. */
  settingsOf({ pool }: Pick<Slot, 'pool'>): PoolSettings {
    return inPool(this.settings, pool);
  }

  findWorkspace(id: WorkspaceId): Workspace | undefined {
    return this.#workspaces.get(id) ?? this.state.workspaces.get(id);
  }
  findSlot(id: SlotId): Slot | undefined {
    return this.#slots.get(id) ?? this.state.slots.get(id);
  }
  findVm(id: VmId): Vm | undefined {
    return this.#vms.get(id) ?? this.state.vms.get(id);
  }

  /** The newest version. Throws when there is none: ids inside the state always lead somewhere. */
  workspace(id: WorkspaceId): Workspace {
    return found(this.findWorkspace(id), id);
  }
  slot(id: SlotId): Slot {
    return found(this.findSlot(id), id);
  }
  vm(id: VmId): Vm {
    return found(this.findVm(id), id);
  }
  vmsOf(workspaceId: WorkspaceId): readonly Vm[] {
    return this.workspace(workspaceId).vmIds.map(id => this.vm(id));
  }

  /** The workspaces in a slot that have not ended; one that was started anew is in its new slot. */
  workspacesIn(slot: Slot): readonly Workspace[] {
    return slot.workspaceIds
      .map(id => this.workspace(id))
      .filter(({ state, slotId }) => state !== 'ended' && slotId === slot.id);
  }
  /** Their VMs. */
  vmsIn(slot: Slot): readonly Vm[] {
    return this.workspacesIn(slot).flatMap(({ id }) => this.vmsOf(id));
  }

  /** Stores a version as it is: for new entities, and for changes that are not of state. */
  putWorkspace(workspace: Workspace): void {
    this.#workspaces.set(workspace.id, workspace);
  }
  putSlot(slot: Slot): void {
    this.#slots.set(slot.id, slot);
  }
  putVm(vm: Vm): void {
    this.#vms.set(vm.id, vm);
  }

  moveWorkspace(id: WorkspaceId, to: WorkspaceState, move: Move<Workspace> = {}): void {
    const from = this.workspace(id);
    assertTransition(workspaceTransitions, `workspace ${id}`, from.state, to);
    const reason = move.reason === undefined ? from.reason : move.reason;
    this.putWorkspace({ ...from, ...move.patch, reason, state: to });
    this.record(`workspace.${to}`, { workspaceId: id, slotId: from.slotId, reason, at: move.at });
  }

  moveSlot(id: SlotId, to: SlotState, move: Move<Slot> = {}): void {
    const from = this.slot(id);
    assertTransition(slotTransitions, `slot ${id}`, from.state, to);
    const reason = move.reason === undefined ? from.reason : move.reason;
    this.putSlot({ ...from, ...move.patch, reason, state: to });
    this.recordSlot(`slot.${to}`, from, { reason, at: move.at });
  }

  moveVm(id: VmId, to: VmState, move: Move<Vm> = {}): void {
    const from = this.vm(id);
    assertTransition(vmTransitions, `vm ${id}`, from.state, to);
    const reason = move.reason === undefined ? from.reason : move.reason;
    const vm = { ...from, ...move.patch, reason, state: to };
    this.putVm(vm);
    if (move.isUntold !== true) this.recordVm(`vm.${to}`, vm, reason, move.at);
  }

  record(type: EventType, about: About): void {
    const nothing = { workspaceId: null, slotId: null, vmId: null, node: null, reason: null };
    this.#events.push({ ...nothing, ...about, at: about.at ?? this.now, type });
  }

  recordSlot(type: EventType, slot: Slot, about: Pick<About, 'node' | 'reason' | 'at'> = {}): void {
    const workspaceId = subjectOf(slot, id => this.findWorkspace(id)) ?? null;
    this.record(type, { slotId: slot.id, workspaceId, ...about });
  }

  recordVm(type: EventType, vm: Vm, reason: Reason | null, at?: number): void {
    const { id: vmId, workspaceId, slotId, node } = vm;
    this.record(type, { workspaceId, slotId, vmId, node, reason, at });
  }

  /**
   * Has an effect done once the decision is durable; a second one with the same key in one decision
   * is the same effect.
   */
  emit(effect: Effect): void {
    if (!this.#effects.has(effect.key)) this.#effects.set(effect.key, effect);
  }

  /** Has the pilot on a node of a slot told what to do. */
  orderPilot(slotId: SlotId, node: string, key: string, order: DecidedOrder): void {
    this.emit({ kind: 'pilot', key, slotId, node, order });
  }

  /** Lets go of what has ended (`retire.ts`): the last that is decided about it. */
  retire(retired: Retired): void {
    this.#retired.push(retired);
  }

  decision(): Decision {
    return {
      workspaces: [...this.#workspaces.values()],
      slots: [...this.#slots.values()],
      vms: [...this.#vms.values()],
      events: this.#events,
      effects: [...this.#effects.values()],
      retired: this.#retired,
    };
  }
}

function found<Entity>(entity: Entity | undefined, id: string): Entity {
  if (entity === undefined) throw new Error(`the state refers to ${id}, which is not in it`);
  return entity;
}
