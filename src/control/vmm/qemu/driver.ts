import type { Socket } from 'node:net';
import { join } from 'node:path';
import { type StartChild, startChild } from '../../../platform/children.ts';
import { withDeadline } from '../../../platform/clock.ts';
import { systemProcesses } from '../../../platform/process.ts';
import { RecentFile } from '../../../platform/recent-file.ts';
import { OomKills } from '../../node/job-memory.ts';
import type { VmmParts } from '../kind.ts';
import {
  type MachineSpec,
  type RunningVm,
  startAborted,
  unlessAborted,
  type VmEvents,
  type Vmm,
  VmmError,
  type VmmTraits,
} from '../vmm.ts';
import { qemuArguments, vmFiles } from './arguments.ts';
import { checkQemu, type QemuFacts, type QemuSettings } from './check.ts';
import { launchPrefix, qemuEnvironment } from './launch.ts';
import { QemuMachine } from './machine.ts';
import { qemuMemory } from './memory.ts';
import { QmpError } from './qmp.ts';
import { VmSockets } from './sockets.ts';
import { hostTscKhz } from './tsc.ts';
import { messageOf } from '../../../platform/message-of.ts';

/** What is kept of what a guest says on its console, which may be without end. */
const ordinaryConsoleLogBytes = 4 * 1024 * 1024;

/** QEMU speaks QMP after some 30 ms; a node that is loaded beyond this cannot host a guest. */
const startDeadlineMs = 30_000;

/** `start`, `consoleLogBytes`: the system's and the driver's own, unless a test stands in. */
export interface QemuParts extends VmmParts {
  readonly start?: StartChild;
  readonly consoleLogBytes?: number;
}

/** What is known of QEMU without running it. */
export function qemuTraits({ accelerator }: Pick<QemuSettings, 'accelerator'>): VmmTraits {
  return { needsHelper: true, memory: qemuMemory(accelerator) };
}

interface Host {
  readonly facts: QemuFacts;
  readonly tscKhz: number | undefined;
  readonly prefix: readonly [string, ...string[]];
}

/** The driver for QEMU (KVM or TCG). */
export class QemuVmm implements Vmm {
  readonly kind = 'qemu';
  readonly #settings: QemuSettings;
  readonly #parts: QemuParts;
  readonly traits: VmmTraits;
  readonly #oomKills = new OomKills();
  /** What is known of the host, once somebody has asked. */
  #explored: Promise<Host> | undefined;

  constructor(settings: QemuSettings, parts: QemuParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.traits = qemuTraits(settings);
  }

  async check(): Promise<QemuFacts> {
    return (await this.#host()).facts;
  }

  async start(spec: MachineSpec, events: VmEvents, signal?: AbortSignal): Promise<RunningVm> {
    const host = await this.#host();
    const args = qemuArguments(spec, host.facts.accelerator, host.tscKhz);
    const sockets = await VmSockets.in(spec.directory);
    try {
      const [qmp, console, agent] = await Promise.all([
        sockets.listen(vmFiles.qmp),
        sockets.listen(vmFiles.console),
        spec.agent ? sockets.listen(vmFiles.agent) : undefined,
      ]);
      if (signal?.aborted) throw startAborted(spec.name);
      const machine = await this.#spawn(spec, [...host.prefix, this.#settings.binary, ...args]);
      const connected = async (): Promise<Socket | undefined> => {
        machine.attachConsole(await console.connection);
        await machine.awaitRunning(await qmp.connection, startDeadlineMs);
        return agent?.connection;
      };
      machine.announce(events, await this.#untilRunning(machine, spec, connected(), signal));
      return machine;
    } finally {
      await sockets.close();
    }
  }

  async #spawn(spec: MachineSpec, argv: readonly [string, ...string[]]): Promise<QemuMachine> {
    const { clock, log, start = startChild, consoleLogBytes = ordinaryConsoleLogBytes } = this.#parts;
    try {
      const child = await start(argv, {
        stdio: ['ignore', 'ignore', 'pipe'],
        cwd: spec.directory,
        env: qemuEnvironment(process.env),
      });
      return new QemuMachine(child, {
        clock,
        log: log.with({ vm: spec.vmId, pid: child.pid }),
        oomKills: this.#oomKills,
        memoryMiB: spec.memoryMiB,
        consoleLog: new RecentFile(join(spec.directory, vmFiles.consoleLog), consoleLogBytes),
      });
    } catch (cause) {
      throw new VmmError('vmm_start_failed', `QEMU for ${spec.name}: ${String(cause)}`, cause);
    }
  }

  /** Resolves with the agent's connection when the guest runs; else the process is gone and it rejects with `VmmError`. */
  async #untilRunning(
    machine: QemuMachine,
    spec: MachineSpec,
    connected: Promise<Socket | undefined>,
    signal: AbortSignal | undefined,
  ): Promise<Socket | undefined> {
    try {
      return await withDeadline(
        this.#parts.clock,
        startDeadlineMs,
        `QEMU for ${spec.name}: the guest's start`,
        unlessAborted(signal, spec.name, Promise.race([connected, machine.diedAtStart()])),
      );
    } catch (cause) {
      await machine.destroy();
      throw await this.#explain(cause, machine);
    }
  }

  /** The error to tell: the process's own words when it died by itself (its broken connection may be noticed first). */
  async #explain(cause: unknown, machine: QemuMachine): Promise<VmmError> {
    if (cause instanceof VmmError) return cause;
    if (cause instanceof QmpError && cause.kind === 'closed')
      return machine.diedAtStart().catch((died: unknown) => died as VmmError);
    return new VmmError('vmm_start_failed', messageOf(cause), cause);
  }

  #host(): Promise<Host> {
    this.#explored ??= this.#explore();
    return this.#explored;
  }

  async #explore(): Promise<Host> {
    const { log, run = systemProcesses.run } = this.#parts;
    const [facts, tscKhz, prefix] = await Promise.all([
      checkQemu(this.#settings, run),
      hostTscKhz(),
      launchPrefix(run),
    ]);
    if (!prefix.blocksSignals)
      log.warn('env(1) cannot block signals here: a signal of the LRM to the whole job ends guests at once');
    const { version, accelerator, checks } = facts;
    for (const { status, message } of checks) if (status === 'warn') log.warn(message);
    log.info('QEMU is ready', { binary: this.#settings.binary, version, accelerator, tscKhz });
    return { facts, tscKhz, prefix: prefix.argv };
  }
}
