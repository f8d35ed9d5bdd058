import { createSimVmm, type SimSettings, simTraits } from '../../src/control/vmm/sim/driver.ts';
import {
  type MachineSpec,
  type RunningVm,
  type VmEvents,
  type Vmm,
  VmmError,
} from '../../src/control/vmm/vmm.ts';
import type { SimControl } from './control.ts';

/** A VMM that has not ended so long after it was killed is given up (src/control/vm.ts). */
const destroyDeadlineMs = 10_000;
type Ending = Parameters<VmEvents['exited']>[0];

/** The process of a VMM on a simulated node. It may hang: then it answers nothing, and outlives being killed. */
export class VmmProcess {
  readonly pid: number;
  readonly control: SimControl;
  readonly machine: MachineSpec;
  /** How long it outlives being killed. */
  readonly lingersMs: number;
  /** What is to be told of its end, if it is not what the driver says. */
  ending: Ending | undefined;
  readonly #ended: () => void;
  readonly #gone: Promise<void>;
  #left: () => void = () => undefined;
  #killedAt: number | undefined;

  /** `ended`: called once, when it is gone. */
  constructor(control: SimControl, machine: MachineSpec, ended: () => void) {
    const { node, dice, troubles } = control.parts;
    this.pid = node.newPid();
    this.control = control;
    this.machine = machine;
    this.lingersMs = dice.chance(troubles.hangs) ? dice.pick([3_000, 8_000, 20_000]) : 0;
    this.#ended = ended;
    this.#gone = new Promise(resolve => {
      this.#left = resolve;
    });
    node.processes.set(this.pid, this);
  }

  get slotId(): string {
    return this.control.slotId;
  }

  get isHere(): boolean {
    return this.control.parts.node.processes.get(this.pid) === this;
  }

  /** It was killed so long ago that it has been given up, and is still there. */
  get isStuck(): boolean {
    return this.#killedAt !== undefined && this.#now() - this.#killedAt >= destroyDeadlineMs;
  }

  /** For how long it will still be there although it was killed. */
  get leftMs(): number {
    return this.#killedAt === undefined ? 0 : this.#killedAt + this.lingersMs - this.#now();
  }

  /** Kills it; resolves when it is gone. `byUndo`: whoever manages it has not done that. */
  kill({ byUndo = false } = {}): Promise<void> {
    if (!this.isHere || this.#killedAt !== undefined) return this.#gone;
    const { faults, node, nodeClock } = this.control.parts;
    if (byUndo)
      this.ending ??= {
        clean: false,
        reason: { code: 'vmm_died', message: 'the VMM was killed by SIGKILL' },
      };
    this.#killedAt = this.#now();
    if (this.lingersMs > 0) {
      faults.happened('VMM hangs');
      node.troubledUntil = Math.max(node.troubledUntil, this.#killedAt + this.lingersMs);
      nodeClock.after(this.lingersMs, () => this.end());
    } else this.end();
    return this.#gone;
  }

  /** It is gone. */
  end(): void {
    if (!this.isHere) return;
    this.control.parts.node.processes.delete(this.pid);
    this.#ended();
    this.#left();
  }

  #now(): number {
    return this.control.parts.nodeClock.now();
  }
}

/**
 * The product's simulated VMM with a process on the simulated node, and with dice for its script: to
 * control it is one that takes something of the host.
 */
export function diceVmm(control: SimControl): Vmm {
  return {
    kind: 'dice',
    traits: { ...simTraits, needsHelper: true },
    check: async () => {
      await control.here();
      return { version: 'simulated', accelerator: null, checks: [] };
    },
    start: (...of) => start(control, ...of),
  };
}

async function start(
  control: SimControl,
  machine: MachineSpec,
  events: VmEvents,
  signal?: AbortSignal,
): Promise<RunningVm> {
  await control.here();
  let running: RunningVm | undefined;
  const stop = new AbortController();
  const process = new VmmProcess(control, machine, () => {
    if (running) void running.destroy();
    else stop.abort();
  });
  signal?.addEventListener('abort', () => stop.abort());
  if (signal?.aborted) stop.abort();
  control.at('starting: VMM started');
  await control.here();
  try {
    const driver = createSimVmm(scriptOf(control), control.parts.clock);
    running = await driver.start(machine, eventsOf(process, events), stop.signal);
  } catch (cause) {
    await process.kill();
    await control.here();
    throw cause;
  }
  if (!process.isHere) void running.destroy();
  mayPowerOff(control, process, running);
  return handleOf(process, running);
}

function scriptOf(control: SimControl): SimSettings {
  const { dice, troubles } = control.parts;
  const always = (likely: number): string | undefined => (dice.chance(likely) ? '' : undefined);
  const script = {
    kind: 'sim',
    startMs: control.stalled() ?? dice.int(10, 2_000),
    bootMs: dice.int(100, 3_000),
    stopMs: dice.int(50, 4_000),
  } as const;
  const [failStart, failBoot, ignoreShutdown] = [
    always(troubles.startFails),
    always(troubles.contextFails),
    always(troubles.ignoresShutdown),
  ];
  return {
    ...script,
    ...(failStart === undefined ? {} : { failStart }),
    ...(failBoot === undefined ? {} : { failBoot }),
    ...(ignoreShutdown === undefined ? {} : { ignoreShutdown }),
  };
}

/** What is told of a process; a pilot that is dead, or dies of hearing it, makes nothing of it. */
function eventsOf(process: VmmProcess, events: VmEvents): VmEvents {
  const { control } = process;
  return {
    context: (state, reason) => {
      if (!control.isAlive) return;
      events.context(state, reason);
      control.at('running: guest reported');
    },
    exited: outcome => {
      process.end();
      if (control.isAlive && control.at('stopping: VMM gone')) events.exited(process.ending ?? outcome);
    },
  };
}

/** The guest powers itself off while it boots, before anybody has recorded its process or after. */
function mayPowerOff(control: SimControl, process: VmmProcess, running: RunningVm): void {
  const { clock, dice, troubles } = control.parts;
  if (!dice.chance(troubles.powersOff)) return;
  clock.after(dice.pick([0, dice.int(1, 2_000)]), () => {
    if (process.isHere) void running.destroy();
  });
}

function handleOf(process: VmmProcess, running: RunningVm): RunningVm {
  const { control, lingersMs, pid } = process;
  const answers = async (): Promise<void> => {
    await control.here();
    if (lingersMs > 0) throw new VmmError('vmm_failed', 'the VMM does not answer');
  };
  return {
    pid,
    shutdown: () => {
      if (control.at('stopping: guest told') && lingersMs === 0) running.shutdown();
    },
    pause: () => answers().then(() => running.pause()),
    resume: () => answers().then(() => running.resume()),
    tell: message => running.tell(message),
    destroy: async () => {
      if (control.isAlive) await process.kill();
      await control.here();
    },
    statistics: () => running.statistics(),
    openConsole: () => running.openConsole(),
  };
}
