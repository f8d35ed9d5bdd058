import { ControlError } from '../../src/control/control.ts';
import type { Helper } from '../../src/control/helper/helper.ts';
import { pause } from '../../src/platform/clock.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';
import type { SimControl } from './control.ts';
import type { NodeStep } from './crash-points.ts';
import type { Journal } from './node.ts';

/**
 * A slot's privileged helper on a simulated node. It writes into the node's memory what it will have
 * to undo before it does it. One that dies is started again by its pilot, goes on from that journal,
 * and is asked again; when its pilot dies, it undoes the slot (`SimControl.gone`).
 */
export class SimHelper implements Helper {
  readonly #control: SimControl;
  readonly #journal: Journal;
  /** Resolves when it serves. */
  #serving: Promise<void> = Promise.resolve();
  #isUp = true;
  #hasEnded = false;

  constructor(control: SimControl) {
    this.#control = control;
    const { node } = control.parts;
    this.#journal = node.journalOf(control.slotId);
    node.helpers.add(this);
  }

  get slotId(): string {
    return this.#control.slotId;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Its process is gone. Its pilot starts another one, if it lives. */
  dies(): void {
    if (!this.#isUp) return;
    const { node, clock, dice } = this.#control.parts;
    this.#isUp = false;
    node.helpers.delete(this);
    this.#serving = pause(clock, dice.int(20, 200)).then(() => {
      this.#isUp = true;
      node.helpers.add(this);
    });
  }

  attachNic(nic: NicPlan): Promise<void> {
    return this.#serve(this.#control.parts.dice.int(1, 10), 'starting: interface attached', () => {
      this.#journal.taps.add(nic.tap);
      this.#control.parts.node.attach(nic, this.slotId);
    });
  }

  detachNic(tap: string): Promise<void> {
    return this.#serve(this.#control.parts.dice.int(1, 10), 'stopping: interfaces detached', () => {
      this.#control.parts.node.detach(tap, this.slotId);
      this.#journal.taps.delete(tap);
    });
  }

  /** Its root allows everything. */
  checkNetworks(): Promise<void> {
    return this.#serve(0, undefined, () => undefined);
  }

  /** Guests of the simulation have nothing to say to each other. */
  setPeers(): Promise<void> {
    return Promise.resolve();
  }

  adoptProcess(pid: number): Promise<void> {
    return this.#serve(this.#control.parts.dice.int(1, 5), 'running: VMM recorded', () => {
      this.#journal.pids.add(pid);
    });
  }

  adoptDirectory(path: string): Promise<void> {
    return this.#serve(0, undefined, () => {
      this.#journal.directories.add(path);
    });
  }

  async undo(): Promise<void> {
    const control = this.#control;
    const { node, dice } = control.parts;
    control.at('releasing: all VMs off');
    await this.#here(dice.int(5, 100));
    node.undo(this.#journal, 0.5);
    control.at('releasing: half undone');
    await this.#here(dice.int(5, 100));
    const [left] = node.undo(this.#journal, 1);
    if (left) throw new ControlError('undo_failed', `not undone: process ${left.pid} does not end`);
    this.ends();
    control.at('releasing: undone');
    await control.here();
  }

  /** It has done all that it had to. */
  ends(): void {
    this.#isUp = false;
    this.#hasEnded = true;
    this.#control.parts.node.helpers.delete(this);
  }

  /** Waits for the helper, which may have to be started again, for so long. */
  async #here(ms: number): Promise<void> {
    if (ms > 0) await this.#control.takes(ms);
    do await this.#serving;
    while (!this.#isUp && !this.#hasEnded);
    await this.#control.here();
  }

  async #serve(ms: number, step: NodeStep | undefined, change: () => void): Promise<void> {
    await this.#here(ms);
    if (this.#hasEnded || this.#control.parts.node.journalIfAny(this.slotId) !== this.#journal)
      throw new ControlError('slot_undone', 'the slot is undone already');
    change();
    if (step) this.#control.at(step);
    // The answer of one that has died is the next one's.
    await this.#here(0);
  }
}
