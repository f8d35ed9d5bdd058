import type { Duplex } from 'node:stream';
import type { Clock, StopTimer } from '../../../platform/clock.ts';
import { good } from '../../../protocol/check.ts';
import type { VmmStatistics } from '../../../protocol/statistics.ts';
import { ConsoleHub } from '../console.ts';
import {
  type MachineSpec,
  type RunningVm,
  type VmEvents,
  type Vmm,
  VmmError,
  type VmmTraits,
  unlessAborted,
} from '../vmm.ts';

/** The script of the simulated VMM: latencies in milliseconds, and faults by VM name. */
export type SimSettings = {
  readonly kind: 'sim';
  readonly startMs: number;
  readonly bootMs: number;
  readonly stopMs: number;
  /** VMs whose name matches (regular expression) fail at that point. */
  readonly failStart?: string;
  readonly failBoot?: string;
  readonly ignoreShutdown?: string;
};

/** Simulated VMs take nothing of their node. */
export const simTraits: VmmTraits = {
  needsHelper: false,
  memory: { fixedMiB: 0, perCpuMiB: 0, guestShare: 0 },
};

/**
 * A simulated VMM: VMs that take time, end and fail as the site file says, and use nothing of the host: no process, disk,
 * memory or interface. For trying the service on a cluster without hosting anything, for tests and for benchmarks.
 *
 *   start ── startMs ──► running ── bootMs ──► context ok          (failStart, failBoot: by VM name)
 *                           │ shutdown ── stopMs ──► exited, clean (ignoreShutdown: never)
 *                           │ destroy ──► exited at once
 *
 * The console greets and then echoes what it is sent. A VM whose name matches `failStart` is refused after `startMs`; one that
 * matches `failBoot` reports a context error after `bootMs`, or, without an agent, crashes then.
 */
export function createSimVmm(settings: SimSettings, clock: Clock): Vmm {
  return {
    kind: 'sim',
    traits: simTraits,
    check: () =>
      Promise.resolve({
        version: 'simulated',
        accelerator: null,
        checks: [good('vmm', 'simulated: it needs nothing of the node')],
      }),
    async start(spec, events, signal) {
      let stop: StopTimer = () => undefined;
      const passed = new Promise<void>(resolve => {
        stop = clock.after(settings.startMs, resolve);
      });
      await unlessAborted(signal, spec.name, passed).finally(() => stop());
      if (matches(settings.failStart, spec))
        throw new VmmError('vmm_start_failed', `simulated: ${spec.name} matches failStart`);
      return new SimVm(spec, events, clock, settings);
    },
  };
}

function matches(pattern: string | undefined, { name }: MachineSpec): boolean {
  return pattern !== undefined && new RegExp(pattern).test(name);
}

/** One simulated VM. Invariant: after `exited` no timer of it is left and no event follows. */
class SimVm implements RunningVm {
  readonly pid = 0;
  readonly #spec: MachineSpec;
  readonly #events: VmEvents;
  readonly #clock: Clock;
  readonly #script: SimSettings;
  readonly #console: ConsoleHub;
  #timers: StopTimer[] = [];
  readonly #startedMs: number;
  #over = false;

  constructor(spec: MachineSpec, events: VmEvents, clock: Clock, script: SimSettings) {
    this.#spec = spec;
    this.#events = events;
    this.#clock = clock;
    this.#script = script;
    this.#startedMs = clock.monotonicMs();
    this.#console = new ConsoleHub((chunk, taken) => {
      this.#console.feed(chunk);
      taken();
    });
    this.#say('is starting');
    this.#timers.push(clock.after(script.bootMs, () => this.#booted()));
  }

  shutdown(): void {
    if (this.#over || matches(this.#script.ignoreShutdown, this.#spec)) return;
    this.#timers.push(this.#clock.after(this.#script.stopMs, () => this.#end({ clean: true })));
  }

  pause(): Promise<void> {
    this.#say('is paused');
    return Promise.resolve();
  }

  resume(): Promise<void> {
    this.#say('goes on');
    return Promise.resolve();
  }

  /** On the console, where a user would see it. */
  tell(message: string): void {
    if (!this.#over) this.#console.feed(Buffer.from(`notice: ${message}\r\n`));
  }

  destroy(): Promise<void> {
    this.#end({ clean: true });
    return Promise.resolve();
  }

  /** As if its guest had one of its processors and half of its memory to itself since its start. */
  statistics(): Promise<VmmStatistics> {
    if (this.#over) return Promise.reject(new VmmError('vmm_failed', `${this.#spec.name} has ended`));
    return Promise.resolve({
      cpuMs: Math.round(this.#clock.monotonicMs() - this.#startedMs),
      memoryBytes: (this.#spec.memoryMiB / 2) * 1_048_576,
      diskReadBytes: 0,
      diskWrittenBytes: 0,
    });
  }

  openConsole(): Promise<Duplex> {
    return Promise.resolve(this.#console.open());
  }

  #booted(): void {
    const { name, agent } = this.#spec;
    if (!matches(this.#script.failBoot, this.#spec)) {
      this.#say('is up');
      if (agent) this.#events.context('ok');
      return;
    }
    const message = `simulated: ${name} matches failBoot`;
    if (agent) this.#events.context('error', { code: 'context_failed', message });
    else this.#end({ clean: false, reason: { code: 'vmm_died', message } });
  }

  #say(what: string): void {
    this.#console.feed(Buffer.from(`simulated VM ${this.#spec.name} ${what}\r\n`));
  }

  #end(outcome: Parameters<VmEvents['exited']>[0]): void {
    if (this.#over) return;
    this.#over = true;
    for (const stop of this.#timers) stop();
    this.#timers = [];
    this.#console.end();
    this.#events.exited(outcome);
  }
}
