import type { WorkspaceControl } from '../../src/control/control.ts';
import { ControlError } from '../../src/control/control.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { pause } from '../../src/platform/clock.ts';
import type { Handlers, VmOrders } from '../../src/protocol/orders.ts';
import type { VmReport } from '../../src/protocol/pilot.ts';
import type { VmPlan } from '../../src/protocol/plan.ts';
import type { ContextState, Reason, VmState } from '../../src/protocol/states.ts';
import type { GroundTruth, TrueVm } from '../invariants.ts';
import type { NodeStep } from './crash-points.ts';
import type { Dice } from './dice.ts';
import type { Faults } from './faults.ts';

/** How often things go wrong that are nobody's fault but the guest's or the image's. */
export interface Troubles {
  readonly startFails: number;
  readonly reserveFails: number;
  readonly ignoresShutdown: number;
  readonly contextFails: number;
  /** A reserve or a start takes minutes: longer than the service waits. */
  readonly stalls: number;
  /** The VMM answers nothing any more, and its process outlives being killed for a while. */
  readonly hangs: number;
  /** The node's disk has no room for the files of a VM, or of a slot. */
  readonly noSpace: number;
  /** The guest powers itself off while it boots. */
  readonly powersOff: number;
}

interface SimVm {
  readonly plan: VmPlan;
  state: VmState;
  context: ContextState;
  reason?: Reason;
  /** The VMM process is there. */
  real: boolean;
  /** It is to end. */
  ordered: boolean;
  /** Its end is under way. */
  ending: boolean;
  /** How long its process outlives being killed. */
  readonly lingersMs: number;
  /** Until when its process cannot be got rid of by anybody, milliseconds since the epoch. */
  stuckUntil: number;
}

/** A VMM that has not ended so long after it was killed is given up (src/control/vm.ts). */
const destroyDeadlineMs = 10_000;

/** A node of the simulated cluster: what is on it is the truth that the invariants are held against. */
export class SimNode {
  readonly name: string;
  readonly memoryMiB = 8_192;
  readonly cpus = 4;
  /** Of the pilots that run here: two of one slot when it was submitted twice, because the first answer was lost. */
  readonly controls = new Set<SimControl>();
  /** How many there have been. */
  controlled = 0;
  /** `<slot>: <thing>` for everything that is changed on it. */
  readonly changes = new Set<string>();
  /** Its power is gone until then, milliseconds since the epoch. */
  downUntil = 0;
  /** Until then something happened on it that nobody could hear of, or do anything about. */
  troubledUntil = 0;
  #idleSince: number | null = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** The power is gone, and with it all that is not on a disk. */
  powerOff(until: number): void {
    this.downUntil = Math.max(this.downUntil, until);
    this.changes.clear();
  }

  truth(now: number): GroundTruth['nodes'][number] {
    const idle = this.controls.size === 0;
    this.#idleSince = idle ? (this.#idleSince ?? now) : null;
    return {
      name: this.name,
      pilots: [...this.controls].map(({ slotId }) => slotId),
      idleSince: this.#idleSince,
      memoryMiB: this.memoryMiB,
      cpus: this.cpus,
      vms: [...this.controls].flatMap(control => control.trueVms()),
      before: '',
      after: this.changes.size === 0 ? '' : [...this.changes].sort().join(', '),
    };
  }
}

/** What simulated control works with. */
export interface SimControlParts {
  readonly node: SimNode;
  readonly slotId: string;
  /** The pilot's: its timers end with it. */
  readonly clock: Clock;
  /** The node's: what must be undone is undone also when the pilot is gone. */
  readonly nodeClock: Clock;
  readonly dice: Dice;
  readonly faults: Faults;
  readonly troubles: Troubles;
  readonly report: (report: VmReport) => void;
  /** Called at each step: the pilot, its helper or the node may die of it. */
  readonly at: (step: NodeStep) => void;
}

/** Workspace control with neither VMM nor helper: takes the time that they take, and leaves the traces that they leave. */
export class SimControl implements WorkspaceControl {
  readonly #parts: SimControlParts;
  readonly #number: number;
  readonly #vms = new Map<string, SimVm>();
  readonly #neverStarted = new Set<string>();
  readonly orders: Handlers<VmOrders> = {
    'start-vm': ({ vm }) => this.#startVm(vm),
    'stop-vm': order => this.#stopVm(order),
    'operate-vm': order => this.#operateVm(order),
    // Guests of the simulation have nothing to say to each other, and do not listen.
    'set-peers': () => undefined,
    'tell-guest': () => undefined,
  };
  #whenOff: () => void = () => undefined;
  #helperUp = false;
  #released: Promise<void> | undefined;
  #dead = false;

  constructor(parts: SimControlParts) {
    this.#parts = parts;
    parts.node.controls.add(this);
    this.#number = ++parts.node.controlled;
  }

  get slotId(): string {
    return this.#parts.slotId;
  }

  async reserve(): Promise<void> {
    const { dice, troubles } = this.#parts;
    await this.#at('reserving: begun');
    await this.#takes(this.#stalled() ?? dice.int(5, 400));
    this.#needSpace('work_directory');
    if (dice.chance(troubles.reserveFails))
      throw new ControlError('helper_missing', 'the helper could not be started');
    this.#change('helper');
    this.#helperUp = true;
    await this.#at('reserving: helper started');
  }

  #startVm(plan: VmPlan): void {
    const known = this.#vms.get(plan.vmId);
    if (known) return this.#tell(known);
    if (this.#neverStarted.has(plan.vmId) || this.#released)
      return this.#parts.report({ vmId: plan.vmId, state: 'terminated', context: 'none' });
    const { dice, troubles } = this.#parts;
    const lingersMs = dice.chance(troubles.hangs) ? dice.pick([3_000, 8_000, 20_000]) : 0;
    const base = { plan, lingersMs, state: 'pending', context: 'pending' } as const;
    const vm: SimVm = { ...base, real: false, ordered: false, ending: false, stuckUntil: 0 };
    this.#vms.set(plan.vmId, vm);
    void this.#bringUp(vm).catch((cause: unknown) => this.#end(vm, 'failed', reasonOf(cause)));
  }

  async #bringUp(vm: SimVm): Promise<void> {
    this.#move(vm, 'propagating');
    await this.#takes(this.#parts.dice.int(1, 300));
    this.#needSpace('disk_full');
    await this.#at('starting: files made');
    for (const nic of vm.plan.nics) {
      await this.#helper();
      this.#change(`tap ${nic.tap}`);
      await this.#at('starting: interface attached');
    }
    if (vm.ordered) return this.#end(vm, 'terminated');
    this.#move(vm, 'starting');
    await this.#boot(vm);
  }

  /** From the start of the VMM's process until the guest has reported. */
  async #boot(vm: SimVm): Promise<void> {
    const { dice, troubles } = this.#parts;
    await this.#here();
    vm.real = true;
    await this.#at('starting: VMM started');
    await this.#takes(this.#stalled() ?? dice.int(10, 2_000));
    if (vm.ending) return;
    if (dice.chance(troubles.startFails))
      return this.#end(vm, 'failed', { code: 'vmm_exited', message: 'the VMM ended at once' });
    if (dice.chance(troubles.powersOff)) return this.#end(vm, 'terminated');
    await this.#helper();
    await this.#at('running: VMM recorded');
    if (vm.ending) return;
    vm.context = 'pending';
    this.#move(vm, 'running');
    await this.#takes(dice.int(100, 3_000));
    if (vm.state !== 'running' || vm.context !== 'pending') return;
    vm.context = dice.chance(troubles.contextFails) ? 'error' : 'ok';
    this.#tell(vm);
    await this.#at('running: guest reported');
  }

  #stopVm({ vmId, graceMs }: VmOrders['stop-vm']): void {
    const vm = this.#vms.get(vmId);
    if (!vm || isOff(vm)) this.#neverStarted.add(vmId);
    if (!vm) return this.#parts.report({ vmId, state: 'terminated', context: 'none' });
    if (isOff(vm)) return this.#tell(vm);
    const first = !vm.ordered;
    vm.ordered = true;
    const { clock, dice } = this.#parts;
    if (!isUp(vm) && vm.state !== 'stopping') {
      // Files and interfaces are made to their end; whatever comes after them is called off.
      if (vm.state !== 'pending' && vm.state !== 'propagating')
        clock.after(dice.int(1, 200), () => void this.#destroy(vm));
      return;
    }
    // The earliest of all orders counts.
    clock.after(graceMs, () => void this.#destroy(vm));
    if (first && graceMs > 0) this.#askGuest(vm, () => void this.#end(vm, 'terminated'));
    if (vm.state !== 'stopping') this.#move(vm, 'stopping');
  }

  /** Some guests listen. A VMM that hangs tells them nothing. */
  #askGuest(vm: SimVm, off: () => void): void {
    const { clock, dice, troubles } = this.#parts;
    void this.#at('stopping: guest told');
    if (vm.lingersMs > 0 || dice.chance(troubles.ignoresShutdown)) return;
    clock.after(dice.int(50, 4_000), off);
  }

  async release(graceMs: number): Promise<void> {
    for (const { plan } of this.#vms.values()) this.#stopVm({ vmId: plan.vmId, graceMs });
    this.#released ??= this.#release().catch((cause: unknown) => {
      this.#released = undefined;
      throw cause;
    });
    await this.#released;
  }

  async #release(): Promise<void> {
    await this.#at('releasing: begun');
    const off = new Promise<void>(resolve => {
      this.#whenOff = resolve;
    });
    this.#lookWhetherOff();
    await off;
    await this.#at('releasing: all VMs off');
    await this.#helper();
    await this.#takes(this.#parts.dice.int(5, 100));
    this.#undo(0.5);
    await this.#at('releasing: half undone');
    await this.#helper();
    await this.#takes(this.#parts.dice.int(5, 100));
    if (this.trueVms().length > 0) throw new ControlError('not_undone', 'a VMM does not end');
    this.#undo(1);
    await this.#at('releasing: undone');
  }

  #operateVm({ vmId, operation, graceMs }: VmOrders['operate-vm']): void {
    const vm = this.#vms.get(vmId);
    if (!vm || isOff(vm) || vm.ordered || vm.ending) return;
    const { state } = vm;
    if (operation === 'pause' && state === 'running') this.#pauseOrResume(vm, 'paused');
    else if (operation === 'resume' && state === 'paused') this.#pauseOrResume(vm, 'running');
    else if (operation === 'start' && state === 'stopped') this.#again(vm, 'starting');
    else if (operation === 'reboot' && (state === 'running' || state === 'paused'))
      this.#endRun(vm, 'rebooting', graceMs);
    else if (operation === 'shutdown' && isUp(vm)) this.#endRun(vm, 'stopping', graceMs);
  }

  #pauseOrResume(vm: SimVm, state: 'paused' | 'running'): void {
    if (vm.lingersMs === 0) return this.#move(vm, state);
    const reason = { code: 'operation_failed', message: 'the VMM does not answer' };
    this.#parts.report({ ...reportOf(vm), reason });
  }

  /** The guest shuts down, or its VMM is destroyed; it keeps what it has, and is started again at once or when it is told to. */
  #endRun(vm: SimVm, state: 'rebooting' | 'stopping', graceMs: number): void {
    const ended = (): void => {
      if (vm.state !== state || vm.ordered || vm.ending) return;
      vm.real = false;
      if (state === 'rebooting') this.#again(vm, 'rebooting');
      else this.#move(vm, 'stopped');
    };
    this.#askGuest(vm, ended);
    this.#parts.clock.after(graceMs + Math.min(vm.lingersMs, destroyDeadlineMs), ended);
    this.#move(vm, state);
  }

  #again(vm: SimVm, state: 'starting' | 'rebooting'): void {
    if (vm.state !== state) this.#move(vm, state);
    void this.#boot(vm).catch((cause: unknown) => this.#end(vm, 'failed', reasonOf(cause)));
  }

  reports(): readonly VmReport[] {
    return [...this.#vms.values()].map(reportOf);
  }

  openStream(): Promise<never> {
    return Promise.reject(new ControlError('unreachable', 'simulated guests have no network'));
  }

  /** The guests that are up, for what users do inside them. */
  upVms(): readonly string[] {
    return [...this.#vms.values()].filter(isUp).map(vm => vm.plan.vmId);
  }

  /** A user types `poweroff` in the guest; or the VMM crashes. */
  guestEnds(vmId: string, how: 'poweroff' | 'crash'): void {
    const vm = this.#vms.get(vmId);
    if (!vm || isOff(vm) || (how === 'poweroff' && vm.state === 'paused')) return;
    if (how === 'poweroff') void this.#end(vm, 'terminated');
    else void this.#end(vm, 'failed', { code: 'vmm_exited', message: 'the VMM was killed by SIGSEGV' });
  }

  /** The helper is killed: the pilot starts another one when it needs it, which goes on from the journal. */
  helperGone(): void {
    this.#helperUp = false;
  }

  /**
   * The pilot is gone, however that came: its VMs died with it, and the helper undoes what is left; without a helper the LRM's epilog does so, later
   * (kill-all). A node without power has nothing left.
   */
  gone(how: 'process' | 'power'): void {
    const { dice, nodeClock, node } = this.#parts;
    const byHelper = this.#helperUp;
    this.#dead = true;
    for (const vm of this.#vms.values()) if (vm.stuckUntil === 0 || how === 'power') vm.real = false;
    const stuckMs = Math.max(0, ...[...this.#vms.values()].map(vm => vm.stuckUntil - nodeClock.now()));
    const afterMs = byHelper ? dice.int(1, 100) : dice.int(100, 5_000);
    if (how === 'process' && stuckMs > 0) return this.#goneLater(Math.max(stuckMs, afterMs));
    nodeClock.after(how === 'power' ? 0 : afterMs, () => {
      this.#undo(1);
      node.controls.delete(this);
    });
  }

  #goneLater(afterMs: number): void {
    this.#parts.nodeClock.after(afterMs, () => {
      for (const vm of this.#vms.values()) vm.stuckUntil = 0;
      this.gone('process');
    });
  }

  trueVms(): readonly TrueVm[] {
    const { slotId } = this.#parts;
    return [...this.#vms.values()]
      .filter(({ real }) => real)
      .map(({ plan: { vmId, nics, memoryMiB, cpus }, stuckUntil }) => ({
        vmId,
        slotId,
        nics,
        memoryMiB,
        cpus,
        stuck: stuckUntil > 0,
      }));
  }

  /** Kills the VMM. One that hangs takes its time to go; if that is too long, the VM is given up, and its process is still there. */
  async #destroy(vm: SimVm): Promise<void> {
    if (vm.ending || isOff(vm)) return;
    const { faults, node, nodeClock } = this.#parts;
    if (vm.lingersMs === 0 || !vm.real) return this.#end(vm, 'terminated');
    faults.happened('VMM hangs');
    node.troubledUntil = Math.max(node.troubledUntil, nodeClock.now() + vm.lingersMs);
    if (vm.lingersMs <= destroyDeadlineMs) {
      await this.#takes(vm.lingersMs);
      return this.#end(vm, 'terminated');
    }
    await this.#takes(destroyDeadlineMs);
    if (vm.ending) return;
    vm.stuckUntil = nodeClock.now() + vm.lingersMs - destroyDeadlineMs;
    nodeClock.after(vm.lingersMs - destroyDeadlineMs, () => {
      vm.real = false;
      vm.stuckUntil = 0;
    });
    return this.#end(vm, 'failed', { code: 'vmm_stuck', message: 'its VMM does not end' });
  }

  /** The VMM's process is gone, unless it is stuck; what hosting had made is removed; then, and only then, it is told. */
  async #end(vm: SimVm, state: 'terminated' | 'failed', reason?: Reason): Promise<void> {
    if (vm.ending || isOff(vm)) return;
    vm.ending = true;
    vm.ordered = true;
    if (vm.stuckUntil === 0) vm.real = false;
    await this.#at('stopping: VMM gone');
    await this.#helper();
    await this.#takes(this.#parts.dice.int(1, 20));
    for (const { tap } of vm.plan.nics) this.#parts.node.changes.delete(this.#changeOf(`tap ${tap}`));
    await this.#at('stopping: interfaces detached');
    if (reason) vm.reason = reason;
    this.#move(vm, state);
    this.#lookWhetherOff();
  }

  #lookWhetherOff(): void {
    if ([...this.#vms.values()].every(isOff)) this.#whenOff();
  }

  #move(vm: SimVm, state: VmState): void {
    vm.state = state;
    this.#tell(vm);
  }

  #tell(vm: SimVm): void {
    if (!this.#dead) this.#parts.report(reportOf(vm));
  }

  #stalled(): number | undefined {
    const { dice, troubles, faults } = this.#parts;
    if (!dice.chance(troubles.stalls)) return undefined;
    faults.happened('start stalls');
    return 200_000;
  }

  #needSpace(code: string): void {
    const { dice, troubles, faults } = this.#parts;
    if (!dice.chance(troubles.noSpace)) return;
    faults.happened('disk of a node full');
    throw new ControlError(code, 'ENOSPC: no space left on device');
  }

  /** A helper that has died is started again, and goes on from its journal. */
  async #helper(): Promise<void> {
    await this.#here();
    if (this.#helperUp) return;
    await this.#takes(this.#parts.dice.int(20, 200));
    this.#change('helper');
    this.#helperUp = true;
  }

  /** A step: somebody may die at it. A dead pilot goes no further. */
  #at(step: NodeStep): Promise<void> {
    if (!this.#dead) this.#parts.at(step);
    return this.#here();
  }

  #here(): Promise<void> {
    return this.#dead ? new Promise(() => undefined) : Promise.resolve();
  }

  async #takes(ms: number): Promise<void> {
    await this.#here();
    await pause(this.#parts.clock, ms);
  }

  #changeOf(what: string): string {
    return `${this.slotId} (${this.#number}): ${what}`;
  }

  #change(what: string): void {
    if (!this.#dead) this.#parts.node.changes.add(this.#changeOf(what));
  }

  /** Undoes a share of what is changed. */
  #undo(share: number): void {
    const { changes } = this.#parts.node;
    const mine = [...changes].filter(change => change.startsWith(this.#changeOf('')));
    for (const change of mine.slice(0, Math.ceil(mine.length * share))) changes.delete(change);
  }
}

function isOff(vm: SimVm): boolean {
  return vm.state === 'terminated' || vm.state === 'failed';
}

function isUp(vm: SimVm): boolean {
  return vm.state === 'running' || vm.state === 'paused' || vm.state === 'rebooting';
}

function reasonOf(cause: unknown): Reason {
  if (cause instanceof ControlError) return { code: cause.code, message: cause.message };
  throw cause;
}

function reportOf({ plan, state, context, reason }: SimVm): VmReport {
  return { vmId: plan.vmId, state, context, ...(reason ? { reason } : {}) };
}
