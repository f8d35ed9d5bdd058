import { createHash, timingSafeEqual } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { decide } from '../../lease/decide.ts';
import { isFinalSlot } from '../../lease/transitions.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { SiteState } from '../../lease/model.ts';
import type { Clock } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { WspError } from '../../protocol/errors.ts';
import type {
  PilotFeature,
  PilotHello,
  PilotMessage,
  PilotNotification,
  StreamTarget,
} from '../../protocol/pilot.ts';
import { protocolGap, protocols } from '../../protocol/versions.ts';
import type { PilotConnection, PilotHub, PilotConnectionHandler } from '../core/engine-api.ts';
import type { PilotCommands } from './commands.ts';
import { Inbox, PilotAccount } from './inbox.ts';
import type { StreamWaitingRoom } from './streams.ts';

/**
 * The pilots' connections. One session per slot and node; a newer connection takes the place of an older one.
 *
 *   attached ─ hello ─► committed ─► welcome {ackedSeq}, then what is pending ─► connected
 *                                    notification ─► committed ─► ack {seq}
 *                                    preempting ──► release to the slot's other pilots, at once ─► committed ─► ack {seq}
 *   slot unknown or over: dismiss
 *
 * Invariants: `ack` and `welcome` speak only of what is durable; a pilot's messages reach the writer in the order in which they came (its queue
 * keeps it). If we crash here: connections break, pilots come back and replay what was not acknowledged.
 */
export interface HubParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly state: () => SiteState;
  readonly slotSecret: (slotId: string) => string | undefined;
  readonly submit: (input: LeaseInput) => Promise<unknown>;
  readonly commands: PilotCommands;
  readonly streams: StreamWaitingRoom;
  /** A pilot has gone: the LRM may know why. */
  readonly pilotGone: (slotId: string) => void;
}

/** The pilots' connections; see above. */
export class Hub implements PilotHub {
  readonly #parts: HubParts;
  /** By slot, then by node. */
  readonly #sessions = new Map<string, Map<string, Session>>();
  /** By slot, then by node; by the empty name for all that are not nodes of it yet. */
  readonly #accounts = new Map<string, Map<string, PilotAccount>>();
  /** Slots of which an LRM's signal has been passed on. */
  readonly #preempted = new Set<string>();

  constructor(parts: HubParts) {
    this.#parts = parts;
  }

  authenticate(slotId: string, secret: string): boolean {
    const expected = this.#parts.slotSecret(slotId);
    // Digests, so that both sides have one length; an unknown slot takes as long as a wrong secret.
    const equal = timingSafeEqual(digest(secret), digest(expected ?? ''));
    return equal && expected !== undefined;
  }

  attach(slotId: string, node: string, connection: PilotConnection): PilotConnectionHandler {
    const session = new Session(slotId, node, connection, this.#parts, {
      forget: () => this.#forget(session),
      preempting: input => this.#passOn(input),
      account: () => this.#account(slotId, node),
    });
    const nodes = this.#sessions.get(slotId) ?? new Map<string, Session>();
    this.#sessions.set(slotId, nodes);
    const older = nodes.get(node);
    nodes.set(node, session);
    older?.replaced();
    return session;
  }

  async openStream(slotId: string, node: string, target: StreamTarget): Promise<Duplex> {
    const session = this.#sessions.get(slotId)?.get(node);
    const refuse = (why: string, hint?: string): never => {
      throw new WspError('unreachable', `the pilot on ${node} ${why}`, { hint });
    };
    if (!session?.ready) return refuse('is not connected', 'try again in a moment');
    if (target.kind === 'statistics' && !session.can('statistics'))
      return refuse('is of a version that tells no statistics');
    return this.#parts.streams.open(slotId, node, target, message => session.send(message));
  }

  acceptStream(slotId: string, streamId: string, stream: Duplex): boolean {
    return this.#parts.streams.accept(slotId, streamId, stream);
  }

  /** The slot is final: whoever is still there is sent away. */
  slotOver(slotId: string): void {
    this.#accounts.delete(slotId);
    this.#preempted.delete(slotId);
    for (const session of this.#sessions.get(slotId)?.values() ?? []) session.dismiss('the slot has ended');
  }

  closeAll(why: string): void {
    for (const nodes of this.#sessions.values()) for (const session of nodes.values()) session.replaced(why);
    this.#sessions.clear();
  }

  /**
   * The LRM's signal on one node (paper §3.1): the orders to release that the core gives the slot's
   * other pilots are passed on before they are stored, because the LRM's own propagation is slow,
   * and a disk may be. The writer decides the same a moment later; an order that a pilot has had
   * already it knows by its key.
   */
  #passOn(input: Notified): void {
    const { state, clock, commands } = this.#parts;
    if (this.#preempted.has(input.slotId)) return;
    const outcome = decide(state(), input, clock.now());
    for (const effect of outcome.ok ? outcome.decision.effects : []) {
      if (effect.kind !== 'pilot' || effect.order.kind !== 'release') continue;
      this.#preempted.add(input.slotId);
      commands.add(effect);
    }
  }

  #account(slotId: string, node: string): PilotAccount {
    const slot = this.#parts.state().slots.get(slotId);
    const isKnown = slot?.nodes.some(({ name }) => name === node) === true;
    const accounts = this.#accounts.get(slotId) ?? new Map<string, PilotAccount>();
    const name = isKnown ? node : '';
    const account =
      accounts.get(name) ?? new PilotAccount(this.#parts.clock, isKnown ? 1 : (slot?.nodesWanted ?? 1));
    accounts.set(name, account);
    // One that is over has no pilots that are waited for.
    if (slot && !isFinalSlot(slot.state)) this.#accounts.set(slotId, accounts);
    return account;
  }

  #forget(session: Session): void {
    const nodes = this.#sessions.get(session.slotId);
    if (nodes?.get(session.node) === session) nodes.delete(session.node);
    if (nodes?.size === 0) this.#sessions.delete(session.slotId);
  }
}

type Notified = Extract<LeaseInput, { type: 'pilot.notified' }>;

/** What a session tells the hub. */
interface SessionHub {
  readonly forget: () => void;
  readonly preempting: (input: Notified) => void;
  readonly account: () => PilotAccount;
}

const foreign = 'the batch scheduler has not given the slot this node; come again when it has';

/** So many reports about VMs of other slots are looked at, as a VM may have lost its slot. */
const mostStrays = 16;

class Session implements PilotConnectionHandler {
  readonly slotId: string;
  readonly node: string;
  readonly #connection: PilotConnection;
  readonly #parts: HubParts;
  readonly #log: Log;
  readonly #hub: SessionHub;
  #greeted = false;
  /** Nothing lies between us and the node, so that what closes the connection is the node. */
  #direct = false;
  #ready = false;
  #features: readonly string[] = [];
  #dismissed = false;
  #over = false;
  readonly #inbox: Inbox<PilotMessage>;
  /** What came last from it is stored. */
  #stored: Promise<void> = Promise.resolve();

  constructor(slotId: string, node: string, connection: PilotConnection, parts: HubParts, hub: SessionHub) {
    this.slotId = slotId;
    this.node = node;
    this.#connection = connection;
    this.#parts = parts;
    this.#log = parts.log.with({ slot: slotId, node });
    this.#hub = hub;
    this.#inbox = new Inbox(parts.clock, connection, hub.account, message => this.#handle(message));
  }

  /** Has said hello, and that is durable. */
  get ready(): boolean {
    return this.#ready;
  }

  received(message: PilotMessage): void {
    if (this.#over) return;
    this.#inbox.put(message, message.type === 'hello' ? 1 + message.vms.length : 1);
  }

  /** Resolves when it is done with. */
  async #handle(message: PilotMessage): Promise<void> {
    if (this.#over) return;
    if (message.type !== 'hello' && !this.#greeted) return this.#breakOff('the first message must be hello');
    switch (message.type) {
      case 'hello':
        return this.#feed(this.#hello(message));
      case 'notification':
        return this.#feed(this.#isStray(message.body) ? this.#drop(message) : this.#notification(message));
      case 'command-ack':
        return this.#parts.commands.acknowledged(this.slotId, this.node, message.key);
      case 'stream-error':
        return this.#parts.streams.refused(this.slotId, message.streamId, message.message);
    }
  }

  closed(byPeer = false): void {
    if (this.#over) return;
    this.#end();
    // It has said nothing: nobody has counted on it.
    if (!this.#greeted) return;
    const { slotId, node } = this;
    const hungUp = byPeer && this.#direct;
    this.#parts.submit({ type: 'pilot.disconnected', slotId, node, hungUp }).catch((cause: unknown) => {
      // Only a flag is wrong then, until the pilot or the service comes back.
      this.#log.warn('a lost connection could not be recorded', errorFields(cause));
    });
    if (this.#hub.account().isNewsForLrm()) this.#parts.pilotGone(slotId);
  }

  /** A newer connection of the same pilot is there, or the service stops. */
  replaced(why = 'a newer connection of this pilot has taken over'): void {
    if (this.#over) return;
    this.#end();
    this.#connection.close(why);
  }

  /** Whether its pilot has named this feature. */
  can(feature: PilotFeature): boolean {
    return this.#features.includes(feature);
  }

  send(message: Parameters<PilotConnection['send']>[0]): void {
    if (!this.#over) this.#connection.send(message);
  }

  /** Once: what the pilot still has to say of a slot that is over must not have it sent away again. */
  dismiss(message: string): void {
    if (this.#dismissed) return;
    this.#dismissed = true;
    this.send({ type: 'dismiss', message });
  }

  async #hello(hello: PilotHello): Promise<void> {
    const { slotId, node } = this;
    if (hello.slotId !== slotId || hello.node !== node)
      return this.#breakOff('hello names another slot or node');
    const gap = protocolGap('pilot', `the pilot on ${node}`, hello.protocol);
    if (gap !== undefined) {
      // It keeps its VMs, and comes again: perhaps to a service that understands it.
      this.#log.error('a pilot speaks a protocol that this service does not know', { why: gap });
      return this.#breakOff(gap);
    }
    this.#greeted = true;
    this.#features = hello.features ?? [];
    this.#direct = this.#connection.peerAddress === hello.address;
    await this.#parts.submit({
      type: 'pilot.connected',
      slotId,
      node,
      address: hello.address,
      vms: hello.vms,
    });
    // Its slot may have ended in the same commit: then it has been sent away, and is not welcome.
    if (this.#over || this.#dismissed) return;
    if (this.#isForeign()) return this.#breakOff(foreign);
    const slot = this.#parts.state().slots.get(slotId);
    const ackedSeq = slot?.nodes.find(({ name }) => name === node)?.appliedSeq ?? 0;
    this.send({ type: 'welcome', ackedSeq, now: this.#parts.clock.now(), protocol: protocols.pilot });
    if (!slot || isFinalSlot(slot.state)) return this.dismiss('the slot has ended');
    this.#ready = true;
    this.#log.info('pilot connected', { pilotVersion: hello.pilotVersion });
    this.#parts.commands.connected(slotId, node, message => this.send(message));
  }

  async #notification({ seq, at, body }: PilotNotification): Promise<void> {
    const { slotId, node } = this;
    const input = { type: 'pilot.notified', slotId, node, seq, at, body } as const;
    if (body.kind === 'node' && body.state === 'preempting') this.#hub.preempting(input);
    await this.#parts.submit(input);
    // What a node says that is none of the slot's is not taken, and must come again when it is.
    if (this.#isForeign()) return this.#breakOff(foreign);
    this.send({ type: 'ack', seq });
  }

  /** The LRM has not given the slot this node, as far as it has told; `closed` has it asked. */
  #isForeign(): boolean {
    const slot = this.#parts.state().slots.get(this.slotId);
    return (
      slot !== undefined && !isFinalSlot(slot.state) && !slot.nodes.some(({ name }) => name === this.node)
    );
  }

  /** Whether it is about a VM of no slot or of another, and there have been enough of these. */
  #isStray(body: PilotNotification['body']): boolean {
    if (body.kind !== 'vm') return false;
    if (this.#parts.state().vms.get(body.report.vmId)?.slotId === this.slotId) return false;
    const account = this.#hub.account();
    account.strays += 1;
    return account.strays > mostStrays;
  }

  /** Acknowledged in its turn: then it does not come again. */
  async #drop({ seq }: PilotNotification): Promise<void> {
    const { strays } = this.#hub.account();
    if (Number.isInteger(Math.log10(strays - mostStrays)))
      this.#log.warn("reports about VMs that are not the slot's are dropped", { strays });
    await this.#stored;
    this.send({ type: 'ack', seq });
  }

  /** What could not be stored is not acknowledged; the pilot comes back with it. Never rejects. */
  #feed(work: Promise<void>): Promise<void> {
    this.#stored = work;
    return work.catch((cause: unknown) => {
      this.#log.warn('a message could not be recorded', errorFields(cause));
      this.#breakOff('the service could not record a message; come again');
    });
  }

  #breakOff(why: string): void {
    if (this.#over) return;
    this.#connection.close(why);
    this.closed();
  }

  #end(): void {
    this.#over = true;
    this.#inbox.stop();
    this.#hub.forget();
    if (this.#ready) {
      this.#parts.commands.disconnected(this.slotId, this.node);
      this.#parts.streams.pilotGone(this.slotId, this.node);
    }
    this.#ready = false;
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
