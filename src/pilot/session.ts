import type { ReportVm, WorkspaceControl } from '../control/control.ts';
import { type Clock, pause, type StopTimer, withDeadline } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import { preemptionGraceMs } from '../protocol/preemption.ts';
import { protocols } from '../protocol/versions.ts';
import { carryOut, type Handlers, type Order, type Orders } from '../protocol/orders.ts';
import {
  type NotificationBody,
  pilotFeatures,
  reasonToSend,
  type ServiceMessage,
  type SlotAssignment,
} from '../protocol/pilot.ts';
import type { Reason } from '../protocol/states.ts';
import type { NotificationJournal } from './journal.ts';
import { splice } from './splice.ts';
import { ServiceLink } from './service-link.ts';
import type { Link, Transport } from './transport.ts';
import { formatDuration } from '../protocol/units.ts';

/**
 * The life of one pilot: reserve the node, connect, report, obey, release (paper §3.2).
 *
 *   start ─► reserving ─► reserved ─────────────► releasing ─► released ─► exit 0
 *                │            │  LRM's signal         ▲
 *                │            └─► preempting ─────────┤
 *                └─► failed ─► exit 1                 │
 *   release, dismissal, end of the slot, no contact, not accepted ───┘
 *
 * Invariants: nothing is sent before it is journaled; after `released` or `failed` nothing is left changed on the node, or the
 * notification says what; the pilot waits for nobody without a deadline.
 * If we crash here: the VMM processes die with us, the helper sees its input close and undoes the slot; the service learns it from the
 * broken link and the LRM.
 */
export interface SessionParts {
  readonly assignment: SlotAssignment;
  readonly node: string;
  /** When the LRM ends the job, milliseconds since the epoch on the LRM's clock. */
  readonly jobEndsAt: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: NotificationJournal;
  readonly transport: Transport;
  /** Made by the caller; reports what its VMs do to `report`. */
  readonly makeControl: (report: ReportVm) => WorkspaceControl;
  readonly version: string;
}

/** How long the last notifications may take to be acknowledged before the pilot exits all the same. */
const farewellDeadlineMs = 5_000;
/**
 * LRMs signal all processes of a job, also those by which a node is being reserved: what they make
 * fail may be known before the signal itself is.
 */
const signalComesMs = 200;
/** A pilot that has never reached the service holds a node for nobody: it gives up after this long. */
const firstContactDeadlineMs = 120_000;
/** A node on which something cannot be undone (a VMM that the kernel does not let go) is tried again so often. After that the helper tries once more, when the pilot has left. */
const undoAgainAfterMs = [1_000, 2_000, 4_000, 8_000] as const;
/** A node that hangs while it is reserved is left by then; the helper undoes what was done. */
const reserveEndDeadlineMs = 60_000;

/** A pilot's whole behaviour; `run` resolves with the exit code. */
export class PilotSession {
  readonly #parts: SessionParts;
  readonly #control: WorkspaceControl;
  readonly #orders: Handlers<Orders>;
  readonly #obeyed = new Set<string>();
  readonly #service: ServiceLink;
  #contacted = false;
  /** By how much this node's clock is ahead of the service's. */
  #aheadMs = 0;
  #jobEndsAt: number;
  #release: Promise<number> | undefined;
  #over = false;
  #reserving: Promise<boolean> = Promise.resolve(false);
  #gaveUpReserving = false;
  #acknowledged: () => void = () => undefined;
  #stopJobEnd: StopTimer = () => undefined;
  #stopFirstContact: StopTimer = () => undefined;
  #finish: (exitCode: number) => void = () => undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#jobEndsAt = parts.jobEndsAt;
    this.#control = parts.makeControl((report, at) => this.#notify({ kind: 'vm', report }, at));
    this.#service = new ServiceLink({
      ...parts,
      greet: link => this.#sayHello(link),
      received: message => this.#received(message),
      notAccepted: () =>
        this.#releaseWith(parts.assignment.node.shutdownGraceMs, 'the service does not know this slot'),
    });
    const { orders } = this.#control;
    this.#orders = {
      ...orders,
      'start-vm': order => {
        if (!this.#release) orders['start-vm'](order);
      },
      'job-end': ({ endsAt }) => {
        this.#jobEndsAt = endsAt;
        this.#armJobEnd();
      },
      release: ({ graceMs }) => this.#releaseWith(graceMs, 'ordered by the service'),
    };
  }

  /** Reserves, connects and serves until the slot is over. Resolves with the process's exit code. */
  run(): Promise<number> {
    this.#stopFirstContact = this.#parts.clock.after(firstContactDeadlineMs, () => {
      if (!this.#contacted)
        this.#releaseWith(0, `no contact with the service for ${formatDuration(firstContactDeadlineMs)}`);
    });
    const finished = new Promise<number>(resolve => {
      this.#finish = resolve;
    });
    this.#notify({ kind: 'node', state: 'reserving' });
    this.#reserving = this.#reserve();
    this.#service.open();
    return finished;
  }

  /**
   * Leaves in time for guests to shut down before the LRM ends the job. The LRM's time is the service's, not this node's, whose clock may be minutes off: nothing
   * is armed before the service has told its own, and no guest runs before then.
   */
  #armJobEnd(): void {
    const { clock, assignment } = this.#parts;
    const { shutdownGraceMs } = assignment.node;
    const now = clock.now() - this.#aheadMs;
    const leftMs = Math.max(0, this.#jobEndsAt - assignment.killDelayMs - shutdownGraceMs - now);
    this.#stopJobEnd();
    this.#stopJobEnd = clock.after(leftMs, () =>
      this.#releaseWith(shutdownGraceMs, 'the slot is at its end'),
    );
  }

  /**
   * The LRM's warning signal. The guests are told first, because their time runs; then the service,
   * which passes it on to the slot's other pilots; then the node is released, within the time that
   * the LRM leaves. Of a node that is being released already the guests get less time, and that is
   * all.
   */
  preempt(signal: string): void {
    if (this.#over) return;
    const { clock, log, assignment } = this.#parts;
    const at = clock.now();
    const graceMs = preemptionGraceMs(assignment.killDelayMs);
    this.#stopVms(graceMs);
    log.warn('the batch scheduler wants the node back', { signal });
    if (this.#release) return;
    const reason = { code: 'lrm_signal', message: `the batch scheduler sent ${signal} to the pilot` };
    this.#notify({ kind: 'node', state: 'preempting', reason }, at);
    this.#leave(graceMs, `signal ${signal}`);
  }

  async #reserve(): Promise<boolean> {
    const { log, clock } = this.#parts;
    try {
      await this.#control.reserve();
      if (this.#gaveUpReserving) return false;
      log.info('node reserved');
      this.#notify({ kind: 'node', state: 'reserved', jobEndsAt: this.#parts.jobEndsAt });
      return true;
    } catch (cause) {
      log.error('the node could not be reserved', errorFields(cause));
      // If it is the LRM that takes the node back, that is to be said first.
      if (!this.#release) await pause(clock, signalComesMs);
      if (this.#gaveUpReserving) return false;
      this.#notify({ kind: 'node', state: 'failed', reason: reasonOf(cause) });
      this.#release ??= this.#sayFarewell(1);
      return false;
    }
  }

  #sayHello(link: Link): void {
    const { assignment, node, version } = this.#parts;
    const vms = [...this.#control.reports()];
    link.send({
      type: 'hello',
      slotId: assignment.slotId,
      node,
      pilotVersion: version,
      protocol: protocols.pilot,
      features: [...pilotFeatures],
      address: link.localAddress,
      vms,
    });
    // Sent at once, without waiting for the welcome: what the service has already, it ignores by number.
    for (const notification of this.#parts.journal.unacknowledged()) link.send(notification);
  }

  #received(message: ServiceMessage): void {
    switch (message.type) {
      case 'welcome':
        if (!this.#service.isSpokenWith(message.protocol)) return;
        this.#contacted = true;
        this.#aheadMs = this.#parts.clock.now() - message.now;
        this.#armJobEnd();
        this.#acknowledge(message.ackedSeq);
        return;
      case 'ack':
        this.#acknowledge(message.seq);
        return;
      case 'command':
        this.#obey(message.key, message.body);
        return;
      case 'open-stream':
        void this.#openStream(message.streamId, message.target);
        return;
      case 'dismiss':
        this.#contacted = true;
        this.#releaseWith(0, `dismissed: ${message.message}`);
        return;
    }
  }

  #acknowledge(seq: number): void {
    this.#parts.journal.acknowledge(seq);
    this.#acknowledged();
  }

  /** A key that was seen before is acknowledged again and otherwise ignored: the service repeats until it hears so. */
  #obey(key: string, order: Order): void {
    const known = this.#obeyed.has(key);
    this.#obeyed.add(key);
    this.#service.send({ type: 'command-ack', key });
    if (known) return;
    this.#parts.log.info('command', { key, kind: order.kind });
    if (!carryOut(this.#orders, order))
      this.#parts.log.warn('this pilot does not know such an order', { kind: order.kind });
  }

  async #openStream(streamId: string, target: Parameters<WorkspaceControl['openStream']>[0]): Promise<void> {
    try {
      const guest = await this.#control.openStream(target);
      const service = await this.#parts.transport.openStream(streamId);
      splice(guest, service);
    } catch (cause) {
      this.#service.send({ type: 'stream-error', streamId, message: reasonToSend(reasonOf(cause)).message });
    }
  }

  /** Guests' time runs: they are told before anything is written down or sent, at which the kernel may let another process go first. Again: less time for them. */
  #stopVms(graceMs: number): void {
    for (const { vmId, state } of this.#control.reports())
      if (state !== 'terminated' && state !== 'failed') this.#orders['stop-vm']({ vmId, graceMs });
  }

  /** Releases once; a later call only shortens what the VMs are given. */
  #releaseWith(graceMs: number, why: string): void {
    this.#stopVms(graceMs);
    if (!this.#release) this.#leave(graceMs, why);
  }

  #leave(graceMs: number, why: string): void {
    this.#parts.log.info('releasing', { why, graceMs });
    this.#release = this.#releaseNode(graceMs);
  }

  async #releaseNode(graceMs: number): Promise<number> {
    const { clock } = this.#parts;
    const reserved = await withDeadline(clock, reserveEndDeadlineMs, 'reserving', this.#reserving).catch(
      () => undefined,
    );
    if (reserved === undefined) return this.#leaveHanging();
    // `#reserve` has said why; it could not leave by itself, because we are at it.
    if (!reserved) return this.#sayFarewell(1);
    this.#notify({ kind: 'node', state: 'releasing' });
    return this.#sayFarewell((await this.#undo(graceMs)) ? 0 : 1);
  }

  #leaveHanging(): Promise<number> {
    this.#gaveUpReserving = true;
    const message = `the node hangs: it was not reserved within ${formatDuration(reserveEndDeadlineMs)} of the order to release it`;
    this.#parts.log.error(message);
    this.#notify({ kind: 'node', state: 'failed', reason: { code: 'node_hangs', message } });
    return this.#sayFarewell(1);
  }

  /** Undoes everything; what fails is told, and tried again. Resolves with whether the node is as it was. */
  async #undo(graceMs: number): Promise<boolean> {
    const { clock, log } = this.#parts;
    for (let tries = 0; ; tries += 1) {
      try {
        await this.#control.release(graceMs);
        this.#notify({ kind: 'node', state: 'released' });
        return true;
      } catch (cause) {
        const { code, message } = reasonOf(cause);
        const againAfterMs = undoAgainAfterMs[tries];
        log.error('the node is not as it was', { ...errorFields(cause), againAfterMs });
        if (againAfterMs === undefined) {
          this.#notify({ kind: 'node', state: 'failed', reason: { code, message } });
          return false;
        }
        const again = `${message}; tried again in ${formatDuration(againAfterMs)}`;
        this.#notify({ kind: 'node', state: 'releasing', reason: { code, message: again } });
        await pause(clock, againAfterMs);
      }
    }
  }

  /** Waits, within the deadline, until the service has everything; then the pilot is over. */
  async #sayFarewell(exitCode: number): Promise<number> {
    const { clock, journal, log } = this.#parts;
    const delivered = new Promise<void>(resolve => {
      this.#acknowledged = () => {
        if (journal.unacknowledged().length === 0) resolve();
      };
      this.#acknowledged();
    });
    await withDeadline(clock, farewellDeadlineMs, 'the last acknowledgement', delivered).catch(
      (cause: unknown) => log.warn('leaving with notifications unacknowledged', errorFields(cause)),
    );
    this.#over = true;
    this.#stopJobEnd();
    this.#stopFirstContact();
    this.#service.close();
    this.#finish(exitCode);
    return exitCode;
  }

  #notify(body: NotificationBody, at = this.#parts.clock.now()): void {
    const sent = body.kind === 'node' && body.reason ? { ...body, reason: reasonToSend(body.reason) } : body;
    const notification = this.#parts.journal.append(at, sent);
    this.#service.send(notification);
  }
}

function reasonOf(cause: unknown): Reason {
  if (!(cause instanceof Error)) return { code: 'internal', message: String(cause) };
  const code = (cause as { readonly code?: unknown }).code;
  return { code: typeof code === 'string' ? code : 'internal', message: cause.message };
}
