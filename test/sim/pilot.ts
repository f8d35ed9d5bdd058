import { memoryJournal, type NotificationJournal } from '../../src/pilot/journal.ts';
import { PilotSession } from '../../src/pilot/session.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import type { SlotAssignment } from '../../src/protocol/pilot.ts';
import { SimControl, type Troubles } from './control.ts';
import { type CrashPoint, type NodeStep, victimsAt } from './crash-points.ts';
import { setClock } from './faults.ts';
import type { Launch, PilotProcess } from './lrm.ts';
import { type NetworkWorld, SimTransport } from './network.ts';
import type { SimNode } from './node.ts';

/** What pilots run in. */
export interface PilotWorld extends NetworkWorld {
  readonly troubles: Troubles;
  /** How far a node's clock is ahead of the true time. */
  readonly aheadMs: (node: string) => number;
  /** Told of what is left on a node when it is said that nothing is. */
  readonly left: (what: string) => void;
  /** The service's clock was never set: what it says of times is so. */
  readonly tellsTime: () => boolean;
  /** A node loses its power. */
  readonly nodeLost: (node: SimNode) => void;
}

/** Runs the real pilot on a simulated node: its real session and workspace control, over a simulated network. */
export function pilotLauncher(world: PilotWorld): Launch {
  return (node, program, jobEndsAt) => new SimPilot(world, node, assignmentIn(program), jobEndsAt);
}

class SimPilot implements PilotProcess {
  readonly exited: Promise<number>;
  readonly #world: PilotWorld;
  readonly #node: SimNode;
  readonly #assignment: SlotAssignment;
  readonly #jobEndsAt: number;
  readonly #transport: SimTransport;
  readonly #session: PilotSession;
  readonly #clock: Clock;
  #control: SimControl | undefined;
  #alive = true;
  #exit: (code: number) => void = () => undefined;

  constructor(world: PilotWorld, node: SimNode, assignment: SlotAssignment, jobEndsAt: number) {
    this.#world = world;
    this.#node = node;
    this.#assignment = assignment;
    this.#jobEndsAt = jobEndsAt;
    // Timers of a process that is dead do not fire.
    const clock: Clock = {
      ...world.clock,
      after: (delayMs, fire) => world.clock.after(delayMs, () => this.#alive && fire()),
    };
    this.#clock = clock;
    this.exited = new Promise(resolve => {
      this.#exit = resolve;
    });
    this.#transport = new SimTransport(world, clock, assignment, node.name, point => this.#dies(point));
    this.#session = new PilotSession({
      assignment,
      node: node.name,
      jobEndsAt,
      clock: setClock(clock, world.aheadMs(node.name)),
      log: silentLog,
      journal: this.#mortalJournal(memoryJournal()),
      transport: this.#transport,
      makeControl: report => {
        const { dice, faults, troubles } = world;
        const at = (step: NodeStep): void => this.#at(step);
        const parts = { node, assignment, clock, nodeClock: world.clock, dice, faults };
        this.#control = new SimControl({ ...parts, troubles, report, at, left: world.left });
        return this.#control.control;
      },
      version: 'sim',
    });
    // A process takes a moment to start; what is told to it before then, it hears when it has.
    clock.after(30, () => void this.#session.run().then(code => this.#ends(code, 'process')));
  }

  terminate(): void {
    this.#clock.after(31, () => {
      this.#transport.ears.sentAway();
      this.#session.preempt('SIGTERM');
    });
  }

  kill(): void {
    this.#ends(137, 'process');
  }

  powerOff(): void {
    this.#ends(137, 'power');
  }

  #ends(code: number, how: 'process' | 'power'): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#transport.pilotGone(how === 'power');
    this.#control?.gone(how);
    this.#exit(code);
  }

  /** True when the pilot is dead, now or since long. */
  #dies(point: CrashPoint): boolean {
    if (this.#alive && this.#world.faults.strikes(point)) this.kill();
    return !this.#alive;
  }

  #at(step: NodeStep): void {
    for (const victim of victimsAt(step)) {
      if (!this.#alive || !this.#world.faults.strikes(`${victim} at ${step}` as CrashPoint)) continue;
      if (victim === 'helper' || victim === 'both') this.#control?.helperGone();
      if (victim === 'pilot' || victim === 'both') this.kill();
      if (victim === 'node') this.#world.nodeLost(this.#node);
    }
  }

  #leaves(): void {
    const { clock, tellsTime } = this.#world;
    const { killDelayMs, node } = this.#assignment;
    if (tellsTime())
      this.#transport.ears.leaves(clock.now(), killDelayMs + node.shutdownGraceMs, this.#jobEndsAt);
  }

  #mortalJournal(journal: NotificationJournal): NotificationJournal {
    return {
      append: (at, body) => {
        const what = body.kind === 'node' ? `node ${body.state}` : `vm ${body.report.state}`;
        this.#dies(`pilot before journal: ${what}` as CrashPoint);
        if (body.kind === 'node' && body.state === 'releasing') this.#leaves();
        return journal.append(at, body);
      },
      acknowledge: seq => journal.acknowledge(seq),
      unacknowledged: () => journal.unacknowledged(),
    };
  }
}

function assignmentIn(program: string): SlotAssignment {
  const line = program.slice(0, program.indexOf('\n'));
  return JSON.parse(line.replace(/^globalThis\.wspAssignment=/, '').replace(/;$/, '')) as SlotAssignment;
}
