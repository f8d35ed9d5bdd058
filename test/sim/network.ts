import { type Link, type LinkHandlers, NotAcceptedError, type Transport } from '../../src/pilot/transport.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { pause } from '../../src/platform/clock.ts';
import type { PilotMessage, ServiceMessage, SlotAssignment } from '../../src/protocol/pilot.ts';
import type { PilotHub, PilotConnectionHandler } from '../../src/service/core/engine-api.ts';
import { type CrashPoint, isCrashPoint } from './crash-points.ts';
import type { Dice } from './dice.ts';
import type { Faults } from './faults.ts';
import type { PilotEars, ServiceEnd, Witness } from './witness.ts';

/** What lies between the pilots and the service. */
export interface NetworkWorld {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly faults: Faults;
  readonly hub: () => PilotHub;
  /** The service has acknowledged a notification: it must never forget it. */
  readonly acknowledged: (slotId: string, node: string, seq: number) => void;
  /** A link was opened. */
  readonly linked: (link: Cable) => void;
  /** Until when nothing passes between a node and the service, milliseconds since the epoch; TCP sends it again then, if the link still stands. */
  readonly partedUntil: (node: string) => number;
  /** Sees what is said. */
  readonly witness: Witness;
  /** The service lives. */
  readonly serves: () => boolean;
  /** How likely a message comes twice, as one does whose answer was lost. */
  readonly duplicates: number;
}

/** What can befall a link. */
export interface Cable {
  /** It breaks: what was under way may be lost. Returns for how long one of its ends does not know, in milliseconds. */
  cut(): number;
  /** The service's process has ended: what it had said still arrives. */
  serviceGone(): void;
  /** Nothing passes any more for so long: an end that hears nothing for too long gives the link up (pings, in real ones). */
  parted(forMs: number): void;
  /** The node that it leads to. */
  readonly node: string;
}

const connectDeadlineMs = 10_000;
const pingEveryMs = 15_000;
const pilotSilenceDeadlineMs = 45_000;
const serviceSilenceDeadlineMs = 30_000;

/** The pilot's way to the service over a network with latency that may be cut, parted, and half open. */
export class SimTransport implements Transport {
  readonly #world: NetworkWorld;
  readonly #clock: Clock;
  readonly #assignment: SlotAssignment;
  readonly #node: string;
  readonly #dies: (point: CrashPoint) => boolean;
  readonly ears: PilotEars;
  #link: SimLink | undefined;

  /** `clock`: of the pilot's process. `dies`: asked before and after each message that it sends. */
  constructor(
    world: NetworkWorld,
    clock: Clock,
    assignment: SlotAssignment,
    node: string,
    dies: (point: CrashPoint) => boolean,
  ) {
    this.#world = world;
    this.#clock = clock;
    this.#assignment = assignment;
    this.#node = node;
    this.#dies = dies;
    this.ears = world.witness.pilot(node);
  }

  /** The pilot's process has ended; or its node has lost its power, and the service does not hear of it. */
  pilotGone(silently: boolean): void {
    this.#link?.pilotGone(silently);
  }

  async connect(handlers: LinkHandlers): Promise<Link> {
    const { hub, dice, linked, clock, partedUntil } = this.#world;
    const { slotId, secret } = this.#assignment;
    await pause(this.#clock, dice.int(1, 20));
    if (clock.now() < partedUntil(this.#node)) {
      await pause(this.#clock, connectDeadlineMs);
      throw new Error('ETIMEDOUT');
    }
    if (!hub().authenticate(slotId, secret)) {
      this.ears.sentAway();
      throw new NotAcceptedError(401);
    }
    const heard: LinkHandlers = {
      ...handlers,
      message: message => {
        this.ears.heard(message);
        handlers.message(message);
      },
    };
    const link = new SimLink(this.#world, this.#clock, slotId, this.#node, heard);
    this.#link = link;
    linked(link);
    return {
      localAddress: '10.1.0.1',
      send: message => this.#send(link, message),
      close: () => link.pilotGone(false),
    };
  }

  openStream(): Promise<never> {
    return Promise.reject(new Error('simulated guests have no network'));
  }

  #send(link: SimLink, message: PilotMessage): void {
    const what = nameOf(message);
    if (this.#dies(`pilot before sending: ${what}` as CrashPoint)) return;
    link.toService(message);
    this.#dies(`pilot after sending: ${what}` as CrashPoint);
  }
}

/** A message as crash points name it. */
function nameOf(message: PilotMessage): string {
  if (message.type !== 'notification') return message.type;
  const { body } = message;
  return body.kind === 'node' ? `node ${body.state}` : `vm ${body.report.state}`;
}

/** One connection, with two ends that may differ about whether it is there. */
class SimLink implements Cable {
  readonly #world: NetworkWorld;
  readonly node: string;
  readonly #session: PilotConnectionHandler;
  readonly #slotId: string;
  readonly #end: ServiceEnd;
  readonly #handlers: LinkHandlers;
  readonly #pilotClock: Clock;
  readonly #up: Lane;
  readonly #down: Lane;
  #pilotOpen = true;
  #serviceOpen = true;

  constructor(world: NetworkWorld, pilotClock: Clock, slotId: string, node: string, handlers: LinkHandlers) {
    this.#world = world;
    this.node = node;
    this.#handlers = handlers;
    this.#pilotClock = pilotClock;
    this.#up = new Lane(world, node);
    this.#down = new Lane(world, node);
    this.#slotId = slotId;
    this.#end = world.witness.opened(slotId, node);
    this.#session = world.hub().attach(slotId, node, {
      send: message => this.#toPilot(slotId, message),
      close: why => {
        this.#serviceEnds();
        this.#down.pass(() => this.#pilotEnds(why));
      },
    });
  }

  toService(message: PilotMessage): void {
    if (!this.#pilotOpen) return;
    this.#up.carry(() => {
      if (this.#serviceOpen) {
        this.#session.received(message);
        // A service that has died of it owes nobody anything.
        if (this.#world.serves()) this.#world.witness.taken(this.#slotId, this.#end, message);
      } else this.#world.faults.happened('message lost');
    });
  }

  pilotGone(silently: boolean): void {
    this.#pilotOpen = false;
    if (!silently) return this.#up.pass(() => this.#serviceEnds());
    const { clock, dice } = this.#world;
    clock.after(dice.int(pingEveryMs, serviceSilenceDeadlineMs), () => this.#serviceEnds());
  }

  parted(forMs: number): void {
    const { clock } = this.#world;
    if (forMs > serviceSilenceDeadlineMs) clock.after(serviceSilenceDeadlineMs, () => this.#serviceEnds());
    if (forMs > pilotSilenceDeadlineMs) clock.after(pilotSilenceDeadlineMs, () => this.#pilotEnds('silence'));
  }

  serviceGone(): void {
    this.#serviceOpen = false;
    this.#end.closed();
    this.#down.pass(() => this.#pilotEnds('the service is gone'));
  }

  cut(): number {
    const { clock, dice, faults } = this.#world;
    const halfOpen = dice.chance(0.3) ? dice.int(100, serviceSilenceDeadlineMs) : 0;
    if (halfOpen > 0) faults.happened('link half open');
    const pilotFirst = dice.chance(0.5);
    clock.after(pilotFirst ? 0 : halfOpen, () => this.#pilotEnds('the link was cut'));
    clock.after(pilotFirst ? halfOpen : 0, () => this.#serviceEnds());
    return halfOpen;
  }

  #toPilot(slotId: string, message: ServiceMessage): void {
    if (!this.#serviceOpen) return;
    this.#end.said(message);
    if (message.type === 'ack') this.#world.acknowledged(slotId, this.node, message.seq);
    if (message.type === 'welcome' && message.ackedSeq > 0)
      this.#world.acknowledged(slotId, this.node, message.ackedSeq);
    this.#down.carry(() => {
      if (this.#pilotOpen) this.#handlers.message(message);
      else this.#world.faults.happened('message lost');
    });
  }

  #pilotEnds(why: string): void {
    if (!this.#pilotOpen) return;
    this.#pilotOpen = false;
    this.#pilotClock.after(0, () => this.#handlers.closed(why));
  }

  #serviceEnds(): void {
    if (!this.#serviceOpen) return;
    this.#serviceOpen = false;
    this.#end.closed();
    this.#session.closed();
  }
}

/** One direction of a link: late, some of it twice, but in order (`src/pilot/transport.ts`), and held up while the network is parted. */
class Lane {
  readonly #world: NetworkWorld;
  readonly #node: string;
  #lastAt = 0;

  constructor(world: NetworkWorld, node: string) {
    this.#world = world;
    this.#node = node;
  }

  /** A message: some come twice. */
  carry(deliver: () => void): void {
    const { dice, duplicates, faults } = this.#world;
    this.pass(deliver);
    if (duplicates === 0 || !dice.chance(duplicates)) return;
    faults.happened('message twice');
    this.pass(deliver);
  }

  pass(deliver: () => void): void {
    const { clock, dice, partedUntil, faults } = this.#world;
    this.#lastAt = Math.max(this.#lastAt, clock.now() + dice.int(0, 15), partedUntil(this.#node));
    clock.after(this.#lastAt - clock.now(), () => {
      if (clock.now() >= partedUntil(this.#node)) return deliver();
      // The network was parted while it was under way.
      faults.happened('message late');
      this.pass(deliver);
    });
  }
}

/** The hub as pilots reach it, with a process behind it that may die before and after each word that it says. */
export function mortalHub(hub: PilotHub, survives: (point: CrashPoint) => boolean): PilotHub {
  return {
    authenticate: (slotId, secret) => hub.authenticate(slotId, secret),
    attach: (slotId, node, connection) =>
      hub.attach(slotId, node, {
        close: why => connection.close(why),
        send: message => {
          const what = message.type === 'command' ? message.body.kind : message.type;
          const [before, after] = [`service before ${what}`, `service after ${what}`];
          if (isCrashPoint(before) && !survives(before)) return;
          connection.send(message);
          if (isCrashPoint(after)) survives(after);
        },
      }),
    openStream: (slotId, node, target) => hub.openStream(slotId, node, target),
    acceptStream: (slotId, streamId, stream) => hub.acceptStream(slotId, streamId, stream),
  };
}
