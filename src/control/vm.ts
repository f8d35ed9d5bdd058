import type { Duplex } from 'node:stream';
import { type Clock, type StopTimer, withDeadline } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import type { PilotOperation } from '../protocol/orders.ts';
import { reasonToSend, type VmReport } from '../protocol/pilot.ts';
import type { VmPlan } from '../protocol/plan.ts';
import type { Reason } from '../protocol/states.ts';
import { ControlError, type ReportVm } from './control.ts';
import { type GuestWord, GuestWords } from './guest-words.ts';
import type { VmHosting } from './hosting.ts';
import { statisticsStream } from './statistics.ts';
import type { MachineSpec, RunningVm, VmEvents, Vmm } from './vmm/vmm.ts';
import { formatDuration } from '../protocol/units.ts';
import { messageOf } from '../platform/message-of.ts';

/**
 * One VM on this node.
 *
 *   pending ─► propagating ─► starting ─► running ─► stopping ─► terminated     asked to stop, or the guest powered off
 *                   │             │          │           │
 *                   └─────────────┴──────────┴───────────┴─────► failed         with a reason
 *
 *   running ⇄ paused      running ─► rebooting ─► running      running ─► stopping ─► stopped ─► starting       as ordered (`operate`)
 *
 * A VM that is stopped keeps its disk and its interfaces. A stop is obeyed in every state: in propagating and starting as soon as they can be left,
 * without passing `stopping`.
 * Invariants: `#live` alone moves the state, so states are reported in order and a final one once and last; before it is
 * reported, everything that hosting prepared is disposed of and the VMM's process is gone.
 * If we crash: QEMU dies with us, the helper undoes the interfaces and the slot's directory.
 */
export interface VmParts {
  readonly vmm: Pick<Vmm, 'start'>;
  readonly hosting: VmHosting;
  readonly clock: Clock;
  readonly log: Log;
  readonly report: ReportVm;
}

type Outcome = Readonly<{ state: 'terminated' | 'failed'; reason?: Reason }>;

/** A killed process is gone within milliseconds, unless its disk or host hangs. */
const destroyDeadlineMs = 10_000;

/** See the file's header. Lives from its construction on; how it goes is told by `report`. */
export class HostedVm {
  readonly #plan: VmPlan;
  readonly #parts: VmParts;
  readonly #log: Log;
  readonly #abort = new AbortController();
  /** How the run in hand has ended; each start is a run of its own. */
  #exited: Promise<Outcome> = Promise.resolve({ state: 'terminated' });
  #exit: (outcome: Outcome) => void = () => undefined;
  /** What follows when the guest has shut down: nothing, being stopped, or another run. */
  #next: 'end' | 'stopped' | 'again' = 'end';
  /** Ends being stopped. */
  #wake: () => void = () => undefined;
  #report: VmReport;
  #running: RunningVm | undefined;
  /** The guest's word that came before we said `running`. */
  #earlyContext: GuestWord | undefined;
  /** When a VM that is to stop is destroyed, on the monotonic clock; undefined while it may live. */
  #destroyAtMs: number | undefined;
  readonly #timers: StopTimer[] = [];
  /** Resolves when the VM is in its final state and nothing is left of it. Never rejects. */
  readonly over: Promise<void>;

  constructor(plan: VmPlan, parts: VmParts) {
    this.#plan = plan;
    this.#parts = parts;
    this.#log = parts.log.with({ vm: plan.vmId });
    this.#report = { vmId: plan.vmId, state: 'pending', context: 'none' };
    this.over = this.#live();
  }

  get report(): VmReport {
    return this.#report;
  }

  get isOver(): boolean {
    return this.#report.state === 'terminated' || this.#report.state === 'failed';
  }

  /** Sends the last report again. */
  repeat(): void {
    this.#parts.report(this.#report);
  }

  /** Shutdown, then destroy after `graceMs`. A further call can only bring the end forward. */
  stop(graceMs: number): void {
    if (this.isOver) return;
    const destroyAtMs = this.#parts.clock.monotonicMs() + graceMs;
    if (this.#destroyAtMs !== undefined && this.#destroyAtMs <= destroyAtMs) return;
    this.#destroyAtMs = destroyAtMs;
    // A guest that runs is asked at once, its time runs too; a start that is half-way is called off.
    if (this.#running) this.#obeyStop();
    else this.#abort.abort();
    this.#wake();
  }

  /** Carries out an order, if the VM is in a state for it. */
  operate(operation: PilotOperation, graceMs: number): void {
    const { state } = this.#report;
    if (this.#isStopping()) return;
    switch (operation) {
      case 'start':
        if (state === 'stopped') this.#wake();
        return;
      case 'shutdown':
        if (state === 'running' || state === 'paused' || state === 'rebooting')
          this.#endRun('stopped', graceMs);
        return;
      case 'reboot':
        if (state === 'running' || state === 'paused') this.#endRun('again', graceMs);
        return;
      case 'pause':
        if (state === 'running') void this.#order('paused');
        return;
      case 'resume':
        if (state === 'paused') void this.#order('running');
        return;
    }
  }

  /** A line for the guest's users, if it is up and has an agent. */
  tellGuest(message: string): void {
    this.#running?.tell(message);
  }

  /** A connection to a TCP port of the guest. Throws `ControlError` `unreachable`. */
  openPort(port: number): Promise<Duplex> {
    return this.#running ? this.#parts.hosting.connect(port) : this.#notRunning();
  }

  /** The guest's serial console. Throws `ControlError` `unreachable`. */
  openConsole(): Promise<Duplex> {
    return this.#running ? this.#running.openConsole() : this.#notRunning();
  }

  /** What it uses. Throws `ControlError` `unreachable`. */
  openStatistics(): Promise<Duplex> {
    const running = this.#running;
    if (!running) return this.#notRunning();
    const taps = this.#plan.nics.map(({ tap }) => tap);
    return Promise.resolve(statisticsStream(this.#parts.clock, taps, () => running.statistics()));
  }

  #notRunning(): Promise<never> {
    const { name } = this.#plan;
    const message = `VM ${name} is ${this.#report.state}, not running`;
    return Promise.reject(new ControlError('unreachable', message));
  }

  async #live(): Promise<void> {
    const outcome = await this.#run().catch(
      (cause: unknown): Outcome => ({ state: 'failed', reason: reasonOf(cause) }),
    );
    if (outcome.state === 'failed') this.#log.warn('VM ended', { ...outcome.reason });
    await this.#parts.hosting.dispose().catch((cause: unknown) => {
      // The slot's undo does it again, and fails aloud if it cannot.
      this.#log.error('what the VM used could not be removed', errorFields(cause));
    });
    this.#tell(this.#isStopping() && outcome.state !== 'failed' ? { state: 'terminated' } : outcome);
  }

  /** From `propagating` to the end of the last run. Rejects with what went wrong; then no process is left either. */
  async #run(): Promise<Outcome> {
    this.#tell({ state: 'propagating' });
    try {
      const machine = await this.#parts.hosting.prepare();
      for (;;) {
        if (this.#isStopping()) return { state: 'terminated' };
        const outcome = await this.#runOnce(machine);
        if (this.#next === 'end' || outcome.state === 'failed' || this.#isStopping()) return outcome;
        if (this.#next === 'stopped') await this.#beStopped();
        this.#next = 'end';
      }
    } catch (cause) {
      // What was called off did not fail.
      if (this.#isStopping() && !isStuck(cause)) return { state: 'terminated' };
      throw cause;
    }
  }

  /** From the VMM's start to the end of its process. */
  async #runOnce(machine: MachineSpec): Promise<Outcome> {
    const { vmm, hosting, clock } = this.#parts;
    if (this.#report.state !== 'rebooting') this.#tell({ state: 'starting' });
    this.#earlyContext = undefined;
    this.#exited = new Promise(resolve => {
      this.#exit = resolve;
    });
    const words = new GuestWords(clock, word => {
      if (this.#running) this.#tell(word);
      else this.#earlyContext = word;
    });
    const running = await vmm.start(machine, this.#events(words), this.#abort.signal);
    try {
      const died = await Promise.race([this.#exited, hosting.adopt(running.pid)]);
      return died ?? (await this.#runUntilExit(running, machine.agent));
    } finally {
      words.end();
      this.#running = undefined;
      for (const stop of this.#timers.splice(0)) stop();
      await this.#destroy(running);
    }
  }

  /** Until it is started again, or is to end. */
  #beStopped(): Promise<void> {
    const woken = new Promise<void>(resolve => {
      this.#wake = resolve;
    });
    this.#tell({ state: 'stopped' });
    return woken;
  }

  #runUntilExit(running: RunningVm, agent: boolean): Promise<Outcome> {
    this.#running = running;
    this.#tell({
      state: 'running',
      context: agent ? 'pending' : 'none',
      ...(agent ? this.#earlyContext : {}),
    });
    if (this.#report.context === 'pending') this.#expectContext();
    this.#obeyStop();
    return this.#exited;
  }

  /** Starts the shutdown of a running VM, if it is to stop, and arms its destruction. */
  #obeyStop(): void {
    if (this.#destroyAtMs === undefined || !this.#running) return;
    const graceMs = this.#destroyAtMs - this.#parts.clock.monotonicMs();
    this.#askToEnd(this.#running, 'stopping', graceMs);
  }

  /** Shuts the guest down as ordered; `next` follows. */
  #endRun(next: 'stopped' | 'again', graceMs: number): void {
    if (!this.#running) return;
    this.#next = next;
    this.#askToEnd(this.#running, next === 'again' ? 'rebooting' : 'stopping', graceMs);
  }

  /** Asks the guest, unless it was asked before, and destroys it after `graceMs`. */
  #askToEnd(running: RunningVm, state: 'stopping' | 'rebooting', graceMs: number): void {
    const before = this.#report.state;
    const asked = before === 'stopping' || before === 'rebooting';
    // The guest first: what is said of it goes to a disk and over a network. The time is taken before, because the VMM that wakes may get our processor.
    const at = this.#parts.clock.now();
    if (!asked && graceMs > 0) this.#askGuest(running, before === 'paused');
    if (before !== state) this.#tell({ state }, at);
    const destroy = (): void => {
      this.#destroy(running).catch((cause: unknown) =>
        this.#exit({ state: 'failed', reason: reasonOf(cause) }),
      );
    };
    if (graceMs > 0) this.#timers.push(this.#parts.clock.after(graceMs, destroy));
    else destroy();
  }

  /** A paused guest hears nothing. */
  #askGuest(running: RunningVm, isPaused: boolean): void {
    if (!isPaused) return running.shutdown();
    running.resume().then(
      () => running.shutdown(),
      (cause: unknown) => this.#log.warn('a paused guest cannot be shut down', errorFields(cause)),
    );
  }

  /** Pauses or resumes. A VMM that does not obey is told of; the VM is as it was. */
  async #order(state: 'paused' | 'running'): Promise<void> {
    const running = this.#running;
    if (!running) return;
    const before = this.#report.state;
    try {
      await (state === 'paused' ? running.pause() : running.resume());
      if (this.#running === running && this.#report.state === before) this.#tell({ state });
    } catch (cause) {
      if (this.#running === running && this.#report.state === before)
        this.#tell({ reason: { code: 'operation_failed', message: reasonOf(cause).message } });
    }
  }

  /** Ends the VMM's process, if it still is there. Throws `ControlError` `vmm_stuck`. */
  async #destroy(running: RunningVm): Promise<void> {
    const what = `the end of VM ${this.#plan.name} (process ${running.pid})`;
    await withDeadline(this.#parts.clock, destroyDeadlineMs, what, running.destroy()).catch(
      (cause: unknown) => {
        throw new ControlError('vmm_stuck', reasonOf(cause).message, cause);
      },
    );
  }

  #events(words: GuestWords): VmEvents {
    return {
      context: (context, reason) => {
        words.hear({ context, ...(reason === undefined ? {} : { reason }) });
      },
      exited: ({ clean, reason }) => {
        const { name } = this.#plan;
        const off = `the guest of VM ${name} has powered itself off`;
        const died = { code: 'vmm_died', message: `the VMM of VM ${name} has died` };
        if (clean || this.#isStopping())
          this.#exit({ state: 'terminated', reason: { code: 'guest_shutdown', message: off } });
        else this.#exit({ state: 'failed', reason: reason ?? died });
      },
    };
  }

  #expectContext(): void {
    const { contextTimeoutMs, name } = this.#plan;
    const late = (): void => {
      if (this.#report.context !== 'pending' || this.isOver) return;
      const message = `the guest of VM ${name} has not reported that it is set up within ${formatDuration(contextTimeoutMs)}`;
      this.#tell({ context: 'error', reason: { code: 'context_timeout', message } });
    };
    this.#timers.push(this.#parts.clock.after(contextTimeoutMs, late));
  }

  #isStopping(): boolean {
    return this.#destroyAtMs !== undefined;
  }

  /** Reports a change, of now unless it was `at`; a reason belongs to one report alone. */
  #tell(change: Partial<VmReport>, at?: number): void {
    const { reason: _old, ...kept } = this.#report;
    const reason = change.reason && { reason: reasonToSend(change.reason) };
    this.#report = { ...kept, ...change, ...reason };
    this.#log.info('vm', { ...this.#report });
    this.#parts.report(this.#report, at);
  }
}

function isStuck(cause: unknown): boolean {
  return cause instanceof ControlError && cause.code === 'vmm_stuck';
}

/** An error as a reason: its own stable code where it has one. */
function reasonOf(cause: unknown): Reason {
  const code = (cause as { readonly code?: unknown } | null)?.code;
  return { code: typeof code === 'string' ? code : 'internal', message: messageOf(cause) };
}
