import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Child, ChildExit } from '../../../platform/children.ts';
import type { Clock } from '../../../platform/clock.ts';
import { errorFields, type Log } from '../../../platform/log.ts';
import type { RecentFile } from '../../../platform/recent-file.ts';
import type { OomKills } from '../../node/job-memory.ts';
import { ConsoleHub } from '../console.ts';
import { type RunningVm, type VmEvents, VmmError } from '../vmm.ts';
import { AgentPort } from './agent.ts';
import { type Ending, howItEnded, judgeEnding } from './exit.ts';
import { QmpClient, type QmpEvent } from './qmp.ts';
import { qemuStatistics } from './statistics.ts';
import type { VmmStatistics } from '../../../protocol/statistics.ts';
import { messageOf } from '../../../platform/message-of.ts';

const commandDeadlineMs = 5_000;
/** QEMU's messages are short; the last ones say why it ended. */
const stderrTailChars = 2_000;

/** What a machine works with. */
interface QemuMachineParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Of the node's job: tells whom the kernel has killed. */
  readonly oomKills: OomKills;
  /** The guest's. */
  readonly memoryMiB: number;
  /** Of this machine alone. */
  readonly consoleLog: RecentFile;
}

/**
 * One QEMU process, from its first to its last moment.
 *
 *   spawned ─► connected ─► running ─► exited
 *                 (QMP greets, status is running)
 *
 * Invariants: the process ends before `destroy` resolves, and nothing is written in the machine's
 * directory after it; `exited` is told once, after all that QEMU said before its end. If we crash
 * here: the kernel kills QEMU (`launch.ts`); the helper, told by `adoptProcess`, kills it again.
 */
export class QemuMachine implements RunningVm {
  readonly #child: Child;
  /** What is known of its end, when it has ended. */
  readonly #end: Promise<Pick<Ending, 'exit' | 'stderr' | 'memoryMiB' | 'outOfMemory'>>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #console: ConsoleHub;
  readonly #consoleLog: RecentFile;
  #consoleSocket: Socket | undefined;
  /** Resolves when all that the guest has said is read. */
  #consoleClosed: Promise<void> = Promise.resolve();
  #qmp: QmpClient | undefined;
  #agent: AgentPort | undefined;
  #stderr = '';
  #shutdownReason: string | undefined;
  #panicked = false;
  #destroyed = false;
  #resumed: () => void = () => undefined;

  constructor(child: Child, { clock, log, oomKills, memoryMiB, consoleLog }: QemuMachineParts) {
    this.#child = child;
    this.#end = child.exited.then(exit => ({
      exit,
      stderr: this.#stderr,
      memoryMiB,
      outOfMemory: exit.signal === 'SIGKILL' && !this.#destroyed ? oomKills.take() : undefined,
    }));
    this.#clock = clock;
    this.#log = log;
    this.#consoleLog = consoleLog;
    this.#console = new ConsoleHub((chunk, taken) => {
      if (this.#consoleSocket?.writable) this.#consoleSocket.write(chunk, () => taken());
      else taken();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-stderrTailChars);
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exit(): Promise<ChildExit> {
    return this.#child.exited;
  }

  /** Rejects with `VmmError` carrying QEMU's own words as soon as the process has ended. Never resolves. */
  async diedAtStart(): Promise<never> {
    throw new VmmError('vmm_start_failed', howItEnded(await this.#end));
  }

  /** Takes the guest's console, from its first byte. */
  attachConsole(socket: Socket): void {
    this.#consoleSocket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#console.feed(chunk);
      this.#consoleLog.write(chunk);
    });
    this.#consoleClosed = new Promise(closed => {
      socket.on('close', () => {
        this.#console.end();
        closed();
      });
    });
  }

  /** Takes the QMP connection; resolves when the guest runs. Rejects as `QmpClient.execute`. */
  async awaitRunning(socket: Socket, deadlineMs: number): Promise<void> {
    const resumed = new Promise<void>(resolve => {
      this.#resumed = resolve;
    });
    const qmp = new QmpClient(socket, this.#clock, event => this.#onQmp(event));
    this.#qmp = qmp;
    await qmp.negotiate(deadlineMs);
    const status = (await qmp.execute('query-status', {}, deadlineMs)) as { running?: unknown };
    // Normally true already; else QEMU is about to say RESUME (the caller bounds the wait).
    if (status.running !== true) await resumed;
  }

  /** From now on `events` are told. Called once, when the machine is given to control. */
  announce(events: VmEvents, agentSocket: Socket | undefined): void {
    if (agentSocket)
      this.#agent = new AgentPort(agentSocket, this.#clock, (state, reason) => events.context(state, reason));
    void this.#ending().then(outcome => events.exited(outcome));
  }

  shutdown(): void {
    this.#agent?.shutdown();
    this.#qmp?.execute('system_powerdown', {}, commandDeadlineMs).catch((cause: unknown) => {
      // The guest may be gone by now, asked by its agent; else the grace time ends it.
      this.#log.debug('no ACPI power button', errorFields(cause));
    });
  }

  pause(): Promise<void> {
    return this.#order('stop');
  }

  resume(): Promise<void> {
    return this.#order('cont');
  }

  async #order(command: 'stop' | 'cont'): Promise<void> {
    try {
      await this.#qmp?.execute(command, {}, commandDeadlineMs);
    } catch (cause) {
      throw new VmmError('vmm_failed', messageOf(cause), cause);
    }
  }

  tell(message: string): void {
    this.#agent?.tell(message);
  }

  async destroy(): Promise<void> {
    this.#destroyed = true;
    this.#child.kill('SIGKILL');
    await this.#child.exited;
    // The machine's directory may be removed now.
    await this.#consoleClosed;
    await this.#consoleLog.end();
  }

  async statistics(): Promise<VmmStatistics> {
    const blocks = await this.#qmp?.execute('query-blockstats', {}, commandDeadlineMs);
    return qemuStatistics(this.pid, blocks);
  }

  openConsole(): Promise<Duplex> {
    return Promise.resolve(this.#console.open());
  }

  async #ending(): Promise<ReturnType<typeof judgeEnding>> {
    const end = await this.#end;
    // The process's sockets are closed by the kernel; what it wrote before is read first.
    await this.#qmp?.closed;
    return judgeEnding({
      ...end,
      shutdownReason: this.#shutdownReason,
      panicked: this.#panicked,
      destroyed: this.#destroyed,
    });
  }

  #onQmp(event: QmpEvent): void {
    if (event.name === 'RESUME') this.#resumed();
    if (event.name === 'GUEST_PANICKED') this.#panicked = true;
    if (event.name === 'SHUTDOWN') this.#shutdownReason = String(event.data.reason);
    this.#log.debug('QMP event', { event: event.name, data: event.data });
  }
}
