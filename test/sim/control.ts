import { basename } from 'node:path';
import { ControlError, type ReportVm, type WorkspaceControl } from '../../src/control/control.ts';
import type { Helper } from '../../src/control/helper/helper.ts';
import type { NodeFiles } from '../../src/control/node/files.ts';
import { type SlotDirectory, slotDirectory } from '../../src/control/node/slot-directory.ts';
import { SlotControl } from '../../src/control/workspace-control.ts';
import { type Clock, pause } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import type { SlotAssignment } from '../../src/protocol/pilot.ts';
import type { NodeStep } from './crash-points.ts';
import type { Dice } from './dice.ts';
import type { Faults } from './faults.ts';
import { SimHelper } from './helper.ts';
import type { SimNode } from './node.ts';
import { diceVmm } from './vmm.ts';

/** How often things go wrong that are nobody's fault but the guest's, the image's or the node's. */
export interface Troubles {
  readonly startFails: number;
  /** The slot's directory cannot be made; or its helper does not start. */
  readonly reserveFails: number;
  readonly ignoresShutdown: number;
  readonly contextFails: number;
  /** A reserve, a disk or a start takes minutes: longer than the service waits. */
  readonly stalls: number;
  /** The VMM answers nothing any more, and its process outlives being killed for a while. */
  readonly hangs: number;
  /** The node's disk has no room for the files of a VM, or of a slot. */
  readonly noSpace: number;
  /** The guest powers itself off while it boots. */
  readonly powersOff: number;
}

/** What simulated control works with. */
export interface SimControlParts {
  readonly node: SimNode;
  readonly assignment: SlotAssignment;
  /** The pilot's: its timers end with it. */
  readonly clock: Clock;
  /** The node's: what must be undone is undone also when the pilot is gone. */
  readonly nodeClock: Clock;
  readonly dice: Dice;
  readonly faults: Faults;
  readonly troubles: Troubles;
  readonly report: ReportVm;
  /** Called at each step: the pilot, its helper or the node may die of it. */
  readonly at: (step: NodeStep) => void;
  /** Told of what is left on the node when it is said that nothing is (invariant 2). */
  readonly left: (what: string) => void;
}

/**
 * The product's own workspace control in a pilot on a simulated node, whose disk, helper and VMM are
 * in memory and on the virtual clock. When the pilot dies, everything that control waits for stays
 * away for ever.
 */
export class SimControl {
  readonly parts: SimControlParts;
  readonly control: WorkspaceControl;
  readonly slotId: string;
  readonly #directory: SlotDirectory;
  /** Of each VM that it was ordered to start. */
  readonly #taps = new Map<string, readonly string[]>();
  #helper: SimHelper | undefined;
  #isAlive = true;

  constructor(parts: SimControlParts) {
    const { node, assignment, clock, report } = parts;
    const { slotId, memoryMiB, cpus, networks, node: settings } = assignment;
    this.parts = parts;
    this.slotId = slotId;
    const directory = slotDirectory(settings.workDir, node.name, slotId);
    this.#directory = directory;
    const control = new SlotControl({
      node: node.name,
      slotId,
      directory,
      settings,
      memoryMiB,
      cpus,
      networks,
      vmm: diceVmm(this),
      startHelper: () => this.#startHelper(),
      clock,
      log: silentLog,
      report: (told, at) => {
        if (!this.#isAlive) return;
        if (told.state === 'terminated' || told.state === 'failed') this.#lookForRestOf(told.vmId);
        report(told, at);
      },
      files: this.#files(),
    });
    this.control = {
      orders: {
        ...control.orders,
        'start-vm': order => {
          this.#taps.set(
            order.vm.vmId,
            order.vm.nics.map(({ tap }) => tap),
          );
          control.orders['start-vm'](order);
        },
      },
      reserve: () => control.reserve(),
      release: async graceMs => {
        this.at('releasing: begun');
        await control.release(graceMs);
        this.#lookForRest();
      },
      reports: () => control.reports(),
      openStream: target => control.openStream(target),
    };
    node.controls.add(this);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** A step: somebody may die at it. Returns whether the pilot lives. */
  at(step: NodeStep): boolean {
    if (this.#isAlive) this.parts.at(step);
    return this.#isAlive;
  }

  /** A dead pilot goes no further. */
  here(): Promise<void> {
    return this.#isAlive ? Promise.resolve() : new Promise(() => undefined);
  }

  async takes(ms: number): Promise<void> {
    await this.here();
    await pause(this.parts.clock, ms);
  }

  /** How long something hangs, if it does. */
  stalled(): number | undefined {
    const { dice, troubles, faults } = this.parts;
    if (!dice.chance(troubles.stalls)) return undefined;
    faults.happened('start stalls');
    return 200_000;
  }

  /** The guests that are up, for what users do inside them. */
  upVms(): readonly string[] {
    return this.control
      .reports()
      .filter(({ state }) => state === 'running' || state === 'paused' || state === 'rebooting')
      .map(({ vmId }) => vmId);
  }

  /** A user types `poweroff` in the guest; or the VMM crashes. */
  guestEnds(vmId: string, how: 'poweroff' | 'crash'): void {
    const process = this.#processes().find(({ machine }) => machine.vmId === vmId);
    const isPaused = this.control.reports().some(vm => vm.vmId === vmId && vm.state === 'paused');
    if (!process || (how === 'poweroff' && isPaused)) return;
    if (how === 'crash')
      process.ending = {
        clean: false,
        reason: { code: 'vmm_died', message: 'the VMM was killed by SIGSEGV' },
      };
    process.end();
  }

  /** The helper is killed: the pilot starts another one, which goes on from the journal. */
  helperGone(): void {
    this.#helper?.dies();
  }

  /** The pilot goes no further. */
  dies(): void {
    this.#isAlive = false;
  }

  /**
   * The pilot is gone, however that came: its VMs died with it, and the helper undoes what is left;
   * without a helper the LRM's epilog does so, later (kill-all). A node without power has nothing
   * left.
   */
  gone(how: 'process' | 'power'): void {
    const { dice, nodeClock, node } = this.parts;
    this.dies();
    for (const process of this.#processes()) if (!process.isStuck) process.end();
    const stuckMs = Math.max(0, ...this.#processes().map(({ leftMs }) => leftMs));
    const afterMs = this.#helper?.isUp === true ? dice.int(1, 100) : dice.int(100, 5_000);
    nodeClock.after(how === 'power' ? 0 : Math.max(stuckMs, afterMs), () => {
      this.#undone();
      node.controls.delete(this);
    });
  }

  #undone(): void {
    const { node } = this.parts;
    const journal = node.journalIfAny(this.slotId);
    if (journal) node.undo(journal, 1);
    this.#helper?.ends();
    // Beside the pilot's log, and as empty as it was made: no helper was there to know of it.
    node.files.delete(`${this.#directory.path}/vms`);
  }

  /** A VM that is over has left nothing, before its slot's end too; but a VMM that does not end. */
  #lookForRestOf(vmId: string): void {
    const { node, left } = this.parts;
    const files = this.#directory.vm(vmId);
    const taps = this.#taps.get(vmId)?.filter(tap => node.taps.get(tap)?.slotId === this.slotId) ?? [];
    const process = this.#processes().find(({ machine, isStuck }) => machine.vmId === vmId && !isStuck);
    const rest = [...taps, ...(node.files.has(files) ? [files] : []), ...(process ? ['its VMM'] : [])];
    if (rest.length > 0) left(`${vmId} is over, and has left ${rest.join(', ')} on ${node.name}`);
  }

  /** A node that its pilot calls released is as it was. */
  #lookForRest(): void {
    const { node, left } = this.parts;
    if ([...node.controls].some(other => other !== this && other.slotId === this.slotId)) return;
    const rest = node.changesOf(this.slotId, this.#directory.path);
    if (rest.length > 0) left(`${node.name} is called released, and has ${rest.join(', ')}`);
  }

  #processes() {
    return [...this.parts.node.processes.values()].filter(({ control }) => control === this);
  }

  async #startHelper(): Promise<Helper> {
    const { dice, troubles } = this.parts;
    await this.takes(dice.int(5, 400));
    if (dice.chance(troubles.reserveFails))
      throw new ControlError('helper_missing', 'the privileged helper does not start');
    this.#helper = new SimHelper(this);
    this.at('reserving: helper started');
    await this.here();
    return this.#helper;
  }

  /** The node's disk, in its memory. */
  #files(): NodeFiles {
    const { node, dice, troubles } = this.parts;
    const write = async (path: string): Promise<string> => {
      await this.here();
      node.files.add(path);
      return path;
    };
    return {
      makeDirectory: async path => {
        if (basename(path) === 'vms') {
          this.at('reserving: begun');
          await this.takes(this.stalled() ?? dice.int(5, 400));
          this.#needSpace();
          if (dice.chance(troubles.reserveFails)) throw errno('EROFS: read-only file system', 'EROFS');
        }
        await write(path);
      },
      requireFreeSpace: () => this.here(),
      openImage: ({ name }) =>
        Promise.resolve({
          name,
          description: '',
          boot: { kind: 'disk' },
          machine: 'q35',
          disk: { file: 'disk.qcow2', format: 'qcow2' },
          agent: true,
          minMemoryMiB: 1,
        }),
      makeDisk: async (_plan, _of, directory) => {
        await this.takes(this.stalled() ?? dice.int(1, 300));
        this.#needSpace();
        const path = await write(`${directory}/disk.qcow2`);
        this.at('starting: files made');
        await this.here();
        return path;
      },
      makeSeed: (_plan, directory) => write(`${directory}/seed.iso`),
      remove: async path => {
        await this.here();
        node.removeFiles(path);
      },
    };
  }

  #needSpace(): void {
    const { dice, troubles, faults } = this.parts;
    if (!dice.chance(troubles.noSpace)) return;
    faults.happened('disk of a node full');
    throw errno('ENOSPC: no space left on device', 'ENOSPC');
  }
}

function errno(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}
