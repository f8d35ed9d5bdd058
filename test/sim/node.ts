import { ControlError } from '../../src/control/control.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';
import type { GroundTruth, TrueVm } from '../invariants.ts';
import type { SimControl } from './control.ts';
import type { SimHelper } from './helper.ts';
import type { VmmProcess } from './vmm.ts';

/** An interface of a guest, as the kernel of a node has it. */
interface Tap {
  readonly slotId: string;
  readonly bridge: string;
  readonly address: string;
}

/**
 * What the helpers of a slot on a node will have to undo, written before it is done. It outlives
 * them.
 */
export interface Journal {
  readonly slotId: string;
  readonly taps: Set<string>;
  readonly pids: Set<number>;
  readonly directories: Set<string>;
}

/**
 * A node of the simulated cluster, in memory: its interfaces, files, processes and journals. It is
 * the truth that the invariants are held against.
 */
export class SimNode {
  readonly name: string;
  readonly memoryMiB = 8_192;
  readonly cpus = 4;
  /**
   * Of the pilots that run here, and of those whose undo is under way: two of one slot when it was
   * submitted twice, because the first answer was lost.
   */
  readonly controls = new Set<SimControl>();
  readonly taps = new Map<string, Tap>();
  readonly files = new Set<string>();
  readonly helpers = new Set<SimHelper>();
  readonly processes = new Map<number, VmmProcess>();
  readonly #journals = new Map<string, Journal>();
  #lastPid = 0;
  /** Its power is gone until then, milliseconds since the epoch. */
  downUntil = 0;
  /** Until then something happened on it that nobody could hear of, or do anything about. */
  troubledUntil = 0;
  #idleSince: number | null = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** The power is gone, and with it all that is not on a disk; the disk is emptied when it boots. */
  powerOff(until: number): void {
    this.downUntil = Math.max(this.downUntil, until);
    for (const control of this.controls) control.dies();
    for (const process of this.processes.values()) process.end();
    for (const memory of [this.taps, this.files, this.helpers, this.#journals]) memory.clear();
  }

  newPid(): number {
    return ++this.#lastPid;
  }

  /** The journal of a slot; a new one when it has none. */
  journalOf(slotId: string): Journal {
    const journal = this.journalIfAny(slotId) ?? {
      slotId,
      taps: new Set(),
      pids: new Set(),
      directories: new Set(),
    };
    this.#journals.set(slotId, journal);
    return journal;
  }

  journalIfAny(slotId: string): Journal | undefined {
    return this.#journals.get(slotId);
  }

  /** Makes an interface, and its bridge with the first one. */
  attach({ tap, address, bridge }: NicPlan, slotId: string): void {
    const holder = this.taps.get(tap)?.slotId ?? slotId;
    if (holder !== slotId)
      throw new ControlError('tap_in_use', `${this.name} has a tap ${tap} already, of ${holder}`);
    this.taps.set(tap, { slotId, bridge: bridge.name, address });
  }

  /** Takes an interface of that slot away, and its bridge with the last one. */
  detach(tap: string, slotId: string): void {
    if (this.taps.get(tap)?.slotId === slotId) this.taps.delete(tap);
  }

  removeFiles(path: string): void {
    for (const file of this.files) if (file === path || file.startsWith(`${path}/`)) this.files.delete(file);
  }

  /**
   * Undoes a share of what a slot's journal names, as helpers and kill-all do: processes first, then
   * interfaces, then files; the journal goes last. Returns the processes that do not end.
   */
  undo(journal: Journal, share: number): readonly VmmProcess[] {
    const { slotId, taps, pids, directories } = journal;
    for (const pid of pids) void this.processes.get(pid)?.kill({ byUndo: true });
    const left = [...this.processes.values()].filter(({ pid }) => pids.has(pid));
    for (const tap of [...taps].slice(0, Math.ceil(taps.size * share))) {
      this.detach(tap, slotId);
      taps.delete(tap);
    }
    if (share < 1 || left.length > 0) return left;
    for (const path of directories) this.removeFiles(path);
    if (this.#journals.get(slotId) === journal) this.#journals.delete(slotId);
    return [];
  }

  truth(now: number): GroundTruth['nodes'][number] {
    const idle = this.controls.size === 0;
    this.#idleSince = idle ? (this.#idleSince ?? now) : null;
    return {
      name: this.name,
      pilots: [...this.controls].map(({ slotId }) => slotId),
      idleSince: this.#idleSince,
      memoryMiB: this.memoryMiB,
      cpus: this.cpus,
      vms: [...this.processes.values()].map(process => this.#trueVm(process)),
      before: '',
      // It is looked at when no pilot is here.
      after: idle ? this.#changes().join(', ') : '',
    };
  }

  /** What is changed on it for a slot, whose files are in that directory. */
  changesOf(slotId: string, directory: string): readonly string[] {
    return this.#changes().filter(change => change.startsWith(slotId) || change.startsWith(directory));
  }

  #trueVm({ slotId, machine, isStuck }: VmmProcess): TrueVm {
    const { vmId, memoryMiB, cpus } = machine;
    const nics = machine.nics.map(({ tap, mac }) => ({
      tap,
      mac,
      address: this.taps.get(tap)?.address ?? `of ${tap}`,
    }));
    return { vmId, slotId, nics, memoryMiB, cpus, stuck: isStuck };
  }

  /** All that is not as it was before the first pilot. */
  #changes(): readonly string[] {
    const bridges = new Set([...this.taps.values()].map(({ bridge }) => `bridge ${bridge}`));
    return [
      ...[...this.taps].map(([tap, { slotId }]) => `${slotId}: tap ${tap}`),
      ...bridges,
      ...this.files,
      ...[...this.helpers].map(({ slotId }) => `${slotId}: helper`),
      ...[...this.#journals.keys()].map(slotId => `${slotId}: journal`),
      ...[...this.processes.values()].map(({ slotId, pid }) => `${slotId}: process ${pid}`),
    ];
  }
}
