import { mkdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Clock, type StopTimer, withDeadline } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import type { ProcessRunner } from '../platform/process.ts';
import type { VmReport } from '../protocol/pilot.ts';
import type { VmPlan } from '../protocol/plan.ts';
import type { Reason } from '../protocol/states.ts';
import { makeSeed } from './context/seed.ts';
import { ControlError } from './control.ts';
import type { Helper } from './helper/helper.ts';
import { openImage } from './images/image.ts';
import { makeOverlay } from './images/overlay.ts';
import type { MachineSpec, RunningVm, VmEvents, Vmm } from './vmm/vmm.ts';

/**
 * One VM on this node.
 *
 *   propagating ─► starting ─► running ─► stopping ─► terminated
 *        │             │          │           ▲
 *        └─────────────┴──────────┴─ failed   └─ also from propagating and starting, as soon as they can be left
 *
 * Invariants: states are reported in order, a final one last and once; when it is reported, nothing of the VM is left on the node.
 * If we crash: QEMU dies with us, the helper undoes the interfaces and the slot's directory.
 */
export interface VmParts {
  readonly vmm: Vmm;
  readonly directory: string;
  /** Absent when the VMM takes nothing of the host (sim). */
  readonly helper: (() => Promise<Helper>) | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly run: ProcessRunner['run'];
  readonly report: (report: VmReport) => void;
}

const guestConnectDeadlineMs = 10_000;

/** See the file's header. Never throws from `start` and `stop`: how it goes is reported. */
export class Vm {
  readonly #plan: VmPlan;
  readonly #parts: VmParts;
  #report: VmReport;
  #running: RunningVm | undefined;
  readonly #stopTimers: StopTimer[] = [];
  #stopping: { graceMs: number } | undefined;
  #ended: (() => void) | undefined;
  readonly #abort = new AbortController();
  /** Resolves when the VM is in its final state. */
  readonly over: Promise<void>;

  constructor(plan: VmPlan, parts: VmParts) {
    this.#plan = plan;
    this.#parts = parts;
    this.#report = { vmId: plan.vmId, state: 'pending', context: 'none' };
    this.over = new Promise(resolve => {
      this.#ended = resolve;
    });
  }

  get report(): VmReport {
    return this.#report;
  }

  /** Sends the last report again. */
  repeat(): void {
    this.#parts.report(this.#report);
  }

  async start(): Promise<void> {
    try {
      this.#tell({ state: 'propagating' });
      const machine = await this.#prepare();
      if (this.#stopping) return await this.#finish('terminated');
      this.#tell({ state: 'starting' });
      this.#running = await this.#parts.vmm.start(machine, this.#events(), this.#abort.signal);
      if (this.#running.pid > 0) await (await this.#parts.helper?.())?.adoptProcess(this.#running.pid);
      if (this.#isOver()) return;
      this.#tell({ state: 'running', context: machine.agent ? 'pending' : 'none' });
      if (machine.agent) this.#expectContext();
      this.#obeyStop();
    } catch (cause) {
      await this.#running?.destroy();
      if (this.#stopping) return await this.#finish('terminated');
      await this.#finish('failed', reasonOf(cause));
    }
  }

  /** Shutdown, then destroy after `graceMs`; a second call can only shorten the first. */
  stop(graceMs: number): void {
    if (this.#isOver()) return;
    this.#stopping = { graceMs: Math.min(graceMs, this.#stopping?.graceMs ?? graceMs) };
    if (this.#running && this.#report.state !== 'starting') this.#obeyStop();
    else this.#abort.abort();
  }

  #obeyStop(): void {
    if (this.#stopping) this.#shutDown(this.#stopping.graceMs);
  }

  /** A connection to a TCP port of the guest, on its first interface that answers. */
  async openPort(port: number): Promise<Duplex> {
    const nic = this.#plan.nics[0];
    if (!nic) throw new ControlError('unreachable', `VM ${this.#plan.name} has no network interface`);
    const socket = connect({ host: nic.address, port });
    const connected = new Promise<Duplex>((resolve, reject) => {
      socket.once('connect', () => resolve(socket));
      socket.once('error', reject);
    });
    try {
      return await withDeadline(
        this.#parts.clock,
        guestConnectDeadlineMs,
        `connecting to port ${port}`,
        connected,
      );
    } catch (cause) {
      socket.destroy();
      throw new ControlError(
        'unreachable',
        `VM ${this.#plan.name} (${nic.address}) does not answer on port ${port}: ${reasonOf(cause).message}`,
        cause,
      );
    }
  }

  /** The guest's serial console. */
  openConsole(): Promise<Duplex> {
    if (!this.#running)
      return Promise.reject(new ControlError('unreachable', `VM ${this.#plan.name} is not running`));
    return this.#running.openConsole();
  }

  /** Image, disk, seed and interfaces, all at once; what the VMM needs. */
  async #prepare(): Promise<MachineSpec> {
    const { directory, helper, run } = this.#parts;
    const plan = this.#plan;
    if (!helper) return simulatedMachine(plan, directory);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const manifest = await openImage(plan.image);
    const { disk } = manifest;
    const parts = await Promise.allSettled([
      disk
        ? makeOverlay(
            { path: join(plan.image.directory, disk.file), format: disk.format },
            plan.name,
            directory,
            run,
          )
        : undefined,
      makeSeed(plan, directory, run),
      this.#attachNics(await helper()),
    ]);
    const failed = parts.find(part => part.status === 'rejected');
    if (failed) throw failed.reason;
    const [overlay, seed] = parts.map(part => (part.status === 'fulfilled' ? part.value : undefined));
    const file = (name: string): string => join(plan.image.directory, name);
    const { boot } = manifest;
    return {
      ...simulatedMachine(plan, directory),
      machine: manifest.machine,
      agent: manifest.agent,
      boot:
        boot.kind === 'disk'
          ? boot
          : {
              kind: 'kernel',
              kernel: file(boot.kernel),
              initrd: boot.initrd === undefined ? undefined : file(boot.initrd),
              commandLine: boot.commandLine,
            },
      disks: [
        ...(overlay === undefined ? [] : [{ path: overlay, format: 'qcow2', readOnly: false } as const]),
        ...(seed === undefined ? [] : [{ path: seed, format: 'raw', readOnly: true } as const]),
      ],
      nics: plan.nics.map(nic => ({ tap: nic.tap, mac: nic.mac, mtu: nic.bridge.mtu })),
    };
  }

  async #attachNics(helper: Helper): Promise<undefined> {
    for (const nic of this.#plan.nics) await helper.attachNic(nic, this.#plan.name);
  }

  #events(): VmEvents {
    return {
      context: (context, reason) => {
        if (!this.#isOver()) this.#tell({ context, ...(reason === undefined ? {} : { reason }) });
      },
      exited: ({ clean, reason }) => {
        this.#running = undefined;
        if (this.#stopping) void this.#finish('terminated');
        else if (clean)
          void this.#finish('terminated', {
            code: 'guest_shutdown',
            message: `the guest of VM ${this.#plan.name} has powered itself off`,
          });
        else
          void this.#finish(
            'failed',
            reason ?? { code: 'vmm_died', message: `the VMM of VM ${this.#plan.name} has died` },
          );
      },
    };
  }

  #expectContext(): void {
    const { contextTimeoutMs, name } = this.#plan;
    const late = (): void => {
      if (this.#report.context !== 'pending' || this.#isOver()) return;
      this.#tell({
        context: 'error',
        reason: {
          code: 'context_timeout',
          message: `the guest of VM ${name} has not reported within ${contextTimeoutMs} ms`,
        },
      });
    };
    this.#stopTimers.push(this.#parts.clock.after(contextTimeoutMs, late));
  }

  #shutDown(graceMs: number): void {
    if (this.#report.state !== 'stopping') this.#tell({ state: 'stopping' });
    if (graceMs > 0) this.#running?.shutdown();
    const destroy = (): void => {
      this.#running
        ?.destroy()
        .catch((cause: unknown) =>
          this.#parts.log.error('destroy', { vmId: this.#plan.vmId, ...errorFields(cause) }),
        );
    };
    this.#stopTimers.push(this.#parts.clock.after(graceMs, destroy));
  }

  /** Removes what is left of the VM, then reports its final state. */
  async #finish(state: 'terminated' | 'failed', reason?: Reason): Promise<void> {
    if (this.#isOver()) return;
    for (const stop of this.#stopTimers) stop();
    const { helper, directory, log } = this.#parts;
    if (helper) {
      try {
        for (const nic of [...this.#plan.nics].reverse()) await (await helper()).detachNic(nic.tap);
        await rm(directory, { recursive: true, force: true });
      } catch (cause) {
        // The slot's undo does it again, and fails aloud if it cannot.
        log.error('what a VM left could not be removed', { vmId: this.#plan.vmId, ...errorFields(cause) });
      }
    }
    if (this.#isOver()) return;
    this.#tell({ state, ...(reason === undefined ? {} : { reason }) });
    this.#ended?.();
  }

  #isOver(): boolean {
    return this.#report.state === 'terminated' || this.#report.state === 'failed';
  }

  #tell(change: Partial<VmReport>): void {
    const { reason: _old, ...kept } = this.#report;
    this.#report = { ...kept, ...change };
    this.#parts.log.info('vm', { ...this.#report });
    this.#parts.report(this.#report);
  }
}

/** A machine without anything of the host: what the simulated VMM gets, and what the real one adds to. */
function simulatedMachine(plan: VmPlan, directory: string): MachineSpec {
  return {
    vmId: plan.vmId,
    name: plan.name,
    directory,
    memoryMiB: plan.memoryMiB,
    cpus: plan.cpus,
    boot: { kind: 'disk' },
    machine: 'q35',
    disks: [],
    nics: [],
    agent: true,
  };
}

function reasonOf(cause: unknown): Reason {
  const code = (cause as { readonly code?: unknown } | null)?.code;
  return {
    code: typeof code === 'string' ? code : 'internal',
    message: cause instanceof Error ? cause.message : String(cause),
  };
}
