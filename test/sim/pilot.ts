import { memoryJournal } from '../../src/pilot/journal.ts';
import { PilotSession } from '../../src/pilot/session.ts';
import type { Link, LinkHandlers, Transport } from '../../src/pilot/transport.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { pause } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import type { ServiceMessage, SlotAssignment } from '../../src/protocol/pilot.ts';
import type { PilotHub } from '../../src/service/engine-api.ts';
import type { Dice } from './dice.ts';
import type { Launch, PilotProcess } from './lrm.ts';
import { SimControl, type Troubles } from './node.ts';

export interface PilotWorld {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly troubles: Troubles;
  readonly hub: () => PilotHub;
  /** The service has acknowledged a notification: it must never forget it. */
  readonly acknowledged: (slotId: string, node: string, seq: number) => void;
  /** A link was opened; the way to cut it. */
  readonly linked: (cut: () => void) => void;
  /** Until when nothing passes between a node and the service, milliseconds since the epoch; TCP sends it again then, if the link still stands. */
  readonly partedUntil: (node: string) => number;
  /** How likely a message comes twice, as one does whose answer was lost. */
  readonly duplicates: number;
}

const connectDeadlineMs = 10_000;
const pingEveryMs = 15_000;
const silenceDeadlineMs = 45_000;

/** Runs the real pilot on a simulated node: its real session, over a link with latency, with a simulated control. */
export function pilotLauncher(world: PilotWorld): Launch {
  return (node, program, jobEndsAt) => {
    const assignment = assignmentIn(program);
    let alive = true;
    // Timers of a process that is dead do not fire.
    const clock: Clock = {
      ...world.clock,
      after: (delayMs, fire) => world.clock.after(delayMs, () => alive && fire()),
    };
    const transport = new SimTransport(world, clock, assignment, node.name);
    const control: { current?: SimControl } = {};
    const session = new PilotSession({
      assignment,
      node: node.name,
      jobEndsAt,
      clock,
      log: silentLog,
      journal: memoryJournal(),
      transport,
      makeControl: report => {
        control.current = new SimControl(
          node,
          assignment.slotId,
          world.clock,
          world.dice,
          world.troubles,
          report,
        );
        return control.current;
      },
      version: 'sim',
    });
    return processOf(session, clock, () => {
      alive = false;
      transport.cut('the pilot is gone');
      control.current?.gone();
    });
  };
}

function processOf(session: PilotSession, clock: Clock, gone: () => void): PilotProcess {
  let die: (code: number) => void = () => undefined;
  const exited = new Promise<number>(resolve => {
    let alive = true;
    die = code => {
      if (!alive) return;
      alive = false;
      gone();
      resolve(code);
    };
  });
  // A process takes a moment to start; what is told to it before then, it hears when it has.
  clock.after(30, () => void session.run().then(die));
  return {
    exited,
    terminate: () => clock.after(31, () => session.preempt('SIGTERM')),
    kill: () => die(137),
  };
}

function assignmentIn(program: string): SlotAssignment {
  const line = program.slice(0, program.indexOf('\n'));
  return JSON.parse(line.replace(/^globalThis\.wspAssignment=/, '').replace(/;$/, '')) as SlotAssignment;
}

class SimTransport implements Transport {
  readonly #world: PilotWorld;
  readonly #clock: Clock;
  readonly #assignment: SlotAssignment;
  readonly #node: string;
  #cut: (why: string) => void = () => undefined;

  constructor(world: PilotWorld, clock: Clock, assignment: SlotAssignment, node: string) {
    this.#world = world;
    this.#clock = clock;
    this.#assignment = assignment;
    this.#node = node;
  }

  cut(why: string): void {
    this.#cut(why);
  }

  async connect(handlers: LinkHandlers): Promise<Link> {
    const { hub, dice, linked, acknowledged } = this.#world;
    const { slotId, secret } = this.#assignment;
    await pause(this.#clock, dice.int(1, 20));
    if (this.#parted()) {
      await pause(this.#clock, connectDeadlineMs);
      throw new Error('ETIMEDOUT');
    }
    if (!hub().authenticate(slotId, secret)) throw new Error('401');
    let open = true;
    const toService = this.#lane(() => open);
    const toPilot = this.#lane(() => open);
    const end = (why: string): void => {
      if (!open) return;
      open = false;
      session.closed();
      this.#clock.after(0, () => handlers.closed(why));
    };
    const session = hub().attach(slotId, this.#node, {
      send: (message: ServiceMessage) => {
        if (message.type === 'ack') acknowledged(slotId, this.#node, message.seq);
        toPilot(() => handlers.message(message));
      },
      close: end,
    });
    this.#cut = end;
    this.#watchSilence(() => open, end);
    linked(() => end('the link was cut'));
    return {
      localAddress: '10.1.0.1',
      send: message => toService(() => session.received(message)),
      close: () => toService(() => end('closed by the pilot')),
    };
  }

  openStream(): Promise<never> {
    return Promise.reject(new Error('simulated guests have no network'));
  }

  #parted(): boolean {
    return this.#world.clock.now() < this.#world.partedUntil(this.#node);
  }

  /** A link on which nothing was heard for so long is given up by both ends (pings, in real ones). */
  #watchSilence(open: () => boolean, end: (why: string) => void): void {
    const { clock } = this.#world;
    let heardAt = clock.now();
    const look = (): void => {
      if (!open()) return;
      if (!this.#parted()) heardAt = clock.now();
      if (clock.now() - heardAt >= silenceDeadlineMs) return end('silence');
      clock.after(pingEveryMs, look);
    };
    clock.after(pingEveryMs, look);
  }

  /** One direction of a link: late, some of it twice, but in order, and nothing after it is cut. */
  #lane(open: () => boolean): (deliver: () => void) => void {
    const { clock, dice, duplicates, partedUntil } = this.#world;
    let lastAt = 0;
    const pass = (deliver: () => void): void => {
      lastAt = Math.max(lastAt, clock.now() + dice.int(0, 15), partedUntil(this.#node));
      clock.after(lastAt - clock.now(), () => {
        if (!open()) return;
        // The network was parted while it was under way.
        if (this.#parted()) pass(deliver);
        else deliver();
      });
    };
    return deliver => {
      pass(deliver);
      if (duplicates > 0 && dice.chance(duplicates)) pass(deliver);
    };
  }
}
