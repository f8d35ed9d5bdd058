import type { WorkspaceControl } from '../../src/control/control.ts';
import { ControlError } from '../../src/control/control.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { pause } from '../../src/platform/clock.ts';
import type { VmReport } from '../../src/protocol/pilot.ts';
import type { VmPlan } from '../../src/protocol/plan.ts';
import type { ContextState, Reason, VmState } from '../../src/protocol/states.ts';
import type { GroundTruth, TrueVm } from '../invariants.ts';
import type { Dice } from './dice.ts';

/** How often things go wrong that are nobody's fault but the guest's or the image's. */
export interface Troubles {
  readonly startFails: number;
  readonly reserveFails: number;
  readonly ignoresShutdown: number;
  readonly contextFails: number;
  /** A reserve or a start takes minutes: longer than the service waits. */
  readonly stalls: number;
}

interface SimVm {
  readonly plan: VmPlan;
  state: VmState;
  context: ContextState;
  reason?: Reason;
  /** The VMM process is there. */
  real: boolean;
  ordered: boolean;
}

/** A node of the simulated cluster: what is on it is the truth that the invariants are held against. */
export class SimNode {
  readonly name: string;
  readonly memoryMiB = 8_192;
  readonly cpus = 4;
  readonly controls = new Map<string, SimControl>();
  /** `<slot>: <thing>` for everything that is changed on it. */
  readonly changes = new Set<string>();
  #idleSince: number | null = 0;

  constructor(name: string) {
    this.name = name;
  }

  truth(now: number): GroundTruth['nodes'][number] {
    const idle = this.controls.size === 0;
    this.#idleSince = idle ? (this.#idleSince ?? now) : null;
    return {
      name: this.name,
      pilots: [...this.controls.keys()],
      idleSince: this.#idleSince,
      vms: [...this.controls].flatMap(([slotId, control]) => control.trueVms(slotId)),
      before: '',
      after: this.changes.size === 0 ? '' : [...this.changes].sort().join(', '),
    };
  }
}

/** Workspace control with neither VMM nor helper: takes the time that they take, and leaves the traces that they leave. */
export class SimControl implements WorkspaceControl {
  readonly #node: SimNode;
  readonly #slotId: string;
  readonly #clock: Clock;
  readonly #dice: Dice;
  readonly #troubles: Troubles;
  readonly #report: (report: VmReport) => void;
  readonly #vms = new Map<string, SimVm>();
  #whenOff: () => void = () => undefined;
  #dead = false;

  constructor(
    node: SimNode,
    slotId: string,
    clock: Clock,
    dice: Dice,
    troubles: Troubles,
    report: (report: VmReport) => void,
  ) {
    this.#node = node;
    this.#slotId = slotId;
    this.#clock = clock;
    this.#dice = dice;
    this.#troubles = troubles;
    this.#report = report;
    node.controls.set(slotId, this);
  }

  async reserve(): Promise<void> {
    await pause(this.#clock, this.#stalled() ?? this.#dice.int(5, 400));
    if (this.#dice.chance(this.#troubles.reserveFails))
      throw new ControlError('helper_missing', 'the helper could not be started');
    this.#change('helper');
  }

  startVm(plan: VmPlan): void {
    const known = this.#vms.get(plan.vmId);
    if (known) return this.#tell(known);
    const vm: SimVm = { plan, state: 'pending', context: 'pending', real: false, ordered: false };
    this.#vms.set(plan.vmId, vm);
    void this.#bringUp(vm);
  }

  async #bringUp(vm: SimVm): Promise<void> {
    this.#move(vm, 'propagating');
    for (const nic of vm.plan.nics) this.#change(`tap ${nic.tap}`);
    await pause(this.#clock, this.#dice.int(1, 300));
    if (vm.ordered || this.#dead) return;
    this.#move(vm, 'starting');
    vm.real = true;
    await pause(this.#clock, this.#stalled() ?? this.#dice.int(10, 2_000));
    if (!vm.real) return;
    if (this.#dice.chance(this.#troubles.startFails))
      return this.#off(vm, 'failed', { code: 'vmm_exited', message: 'the VMM ended at once' });
    this.#move(vm, 'running');
    await pause(this.#clock, this.#dice.int(100, 3_000));
    if (vm.state !== 'running') return;
    vm.context = this.#dice.chance(this.#troubles.contextFails) ? 'error' : 'ok';
    this.#tell(vm);
  }

  stopVm(vmId: string, graceMs: number): void {
    const vm = this.#vms.get(vmId);
    if (!vm) return this.#report({ vmId, state: 'terminated', context: 'none' });
    if (isOff(vm)) return this.#tell(vm);
    vm.ordered = true;
    const listens = vm.state === 'running' && !this.#dice.chance(this.#troubles.ignoresShutdown);
    if (vm.state !== 'stopping') this.#move(vm, 'stopping');
    if (listens && graceMs > 0)
      this.#clock.after(this.#dice.int(50, 4_000), () => this.#off(vm, 'terminated'));
    // The earliest of all orders counts.
    this.#clock.after(graceMs, () => this.#off(vm, 'terminated'));
  }

  async release(graceMs: number): Promise<void> {
    const off = new Promise<void>(resolve => {
      this.#whenOff = resolve;
    });
    for (const { plan } of this.#vms.values()) this.stopVm(plan.vmId, graceMs);
    this.#lookWhetherOff();
    await off;
    await pause(this.#clock, this.#dice.int(5, 200));
    this.#undo();
  }

  operateVm(vmId: string, operation: 'start' | 'shutdown' | 'pause' | 'resume' | 'reboot'): void {
    const vm = this.#vms.get(vmId);
    if (!vm || isOff(vm) || vm.ordered) return;
    if (operation === 'pause' && vm.state === 'running') this.#move(vm, 'paused');
    else if (operation === 'resume' && vm.state === 'paused') this.#move(vm, 'running');
    else if (operation === 'reboot' && vm.state === 'running') {
      this.#move(vm, 'rebooting');
      this.#clock.after(
        this.#dice.int(100, 3_000),
        () => vm.state === 'rebooting' && this.#move(vm, 'running'),
      );
    } else this.#tell(vm);
  }

  /** Simulated guests do not listen. */
  tellGuest(): void {}

  reports(): readonly VmReport[] {
    return [...this.#vms.values()].map(reportOf);
  }

  openStream(): Promise<never> {
    return Promise.reject(new ControlError('unreachable', 'simulated guests have no network'));
  }

  /** The guests that are up, for what users do inside them. */
  upVms(): readonly string[] {
    return [...this.#vms.values()].filter(vm => vm.state === 'running').map(vm => vm.plan.vmId);
  }

  /** A user types `poweroff` in the guest; or the VMM crashes. */
  guestEnds(vmId: string, how: 'poweroff' | 'crash'): void {
    const vm = this.#vms.get(vmId);
    if (!vm || isOff(vm)) return;
    if (how === 'poweroff') this.#off(vm, 'terminated');
    else this.#off(vm, 'failed', { code: 'vmm_exited', message: 'the VMM was killed by SIGSEGV' });
  }

  /** The pilot is gone, however that came: its VMs died with it, and the helper undoes what is left. */
  gone(): void {
    this.#dead = true;
    for (const vm of this.#vms.values()) vm.real = false;
    this.#clock.after(this.#dice.int(1, 100), () => {
      this.#undo();
      this.#node.controls.delete(this.#slotId);
    });
  }

  trueVms(slotId: string): readonly TrueVm[] {
    return [...this.#vms.values()]
      .filter(({ real }) => real)
      .map(({ plan }) => ({ vmId: plan.vmId, slotId, nics: plan.nics }));
  }

  #off(vm: SimVm, state: 'terminated' | 'failed', reason?: Reason): void {
    if (isOff(vm)) return;
    vm.real = false;
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
    if (!this.#dead) this.#report(reportOf(vm));
  }

  #stalled(): number | undefined {
    return this.#dice.chance(this.#troubles.stalls) ? 200_000 : undefined;
  }

  #change(what: string): void {
    if (!this.#dead) this.#node.changes.add(`${this.#slotId}: ${what}`);
  }

  #undo(): void {
    for (const change of this.#node.changes)
      if (change.startsWith(`${this.#slotId}: `)) this.#node.changes.delete(change);
  }
}

function isOff(vm: SimVm): boolean {
  return vm.state === 'terminated' || vm.state === 'failed';
}

function reportOf({ plan, state, context, reason }: SimVm): VmReport {
  return { vmId: plan.vmId, state, context, ...(reason ? { reason } : {}) };
}
