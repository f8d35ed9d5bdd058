import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Clock, withDeadline } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import type { PolicyNetwork } from '../protocol/helper-policy.ts';
import type { Handlers, VmOrders } from '../protocol/orders.ts';
import type { NodeSettings, VmReport } from '../protocol/pilot.ts';
import type { BridgePeers, NicPlan, VmPlan } from '../protocol/plan.ts';
import type { Reason } from '../protocol/states.ts';
import { type MakeAdaptation, type NodeAdaptation } from './adaptation/adaptation.ts';
import { adaptations } from './adaptation/index.ts';
import { ControlError, type ReportVm, type WorkspaceControl } from './control.ts';
import type { Helper } from './helper/helper.ts';
import { hostVm, simulateHosting } from './hosting.ts';
import { fileError } from './images/disk-space.ts';
import { isVxlan } from './network/links/index.ts';
import { type NodeFiles, nodeFiles } from './node/files.ts';
import type { SlotDirectory } from './node/slot-directory.ts';
import { requireAll } from './reserve.ts';
import { HostedVm } from './vm.ts';
import type { Vmm } from './vmm/vmm.ts';

/** What control needs to know of its slot, and how it reaches the rest. */
export interface ControlParts {
  readonly node: string;
  readonly slotId: string;
  readonly directory: SlotDirectory;
  readonly settings: NodeSettings;
  /** What of the node is the slot's. */
  readonly memoryMiB: number;
  readonly cpus: number;
  /** Those that its VMs will be in, as far as it is known. */
  readonly networks: readonly PolicyNetwork[];
  readonly vmm: Vmm;
  readonly startHelper: () => Promise<Helper>;
  readonly clock: Clock;
  readonly log: Log;
  readonly report: ReportVm;
  /** The node's, unless a test or the simulation stands in for them. */
  readonly files?: NodeFiles;
  /** Instead of the member that the settings name. */
  readonly adapt?: MakeAdaptation;
}

/** A node that cannot undo by then what was done for a reserve says so; the helper goes on with it. */
const undoDeadlineMs = 15_000;

/** Control of a slot that has no place on this node: reserving it says why, and that is all. */
export function refusedControl(why: ControlError): WorkspaceControl {
  const refuse = (): Promise<never> => Promise.reject(why);
  const ignore = (): void => undefined;
  return {
    reserve: refuse,
    orders: {
      'start-vm': ignore,
      'stop-vm': ignore,
      'operate-vm': ignore,
      'set-peers': ignore,
      'tell-guest': ignore,
    },
    release: () => Promise.resolve(),
    reports: () => [],
    openStream: refuse,
  };
}

/**
 * Workspace control of one slot on one node (paper §3.3): the VMs of the slot, each its own small
 * state machine (`vm.ts`), and one helper for all of them. The simulated VMM takes nothing of the
 * host and needs no helper.
 *
 *   reserve ─► start-vm, stop-vm, … ─► release (every VM over, node restored, helper undone, files gone)
 *      │ helper, VMM or adaptation missing
 *      └─► undone, and rejected
 *
 * Invariants: what is reserved can start VMs: its directory is there, its helper serves, its VMM
 * has run a guest, its memory is taken; a VM id is run at most once, and never after its stop;
 * nothing is started once release has begun. If we crash: see `vm.ts`; the helper undoes the rest.
 */
export class SlotControl implements WorkspaceControl {
  readonly #parts: ControlParts;
  readonly #vms = new Map<string, HostedVm>();
  /** Stopped before they were ever started: a start that comes late finds them here. */
  readonly #neverStarted = new Set<string>();
  /** Of each bridge with a VXLAN: its peers, as they were last told. */
  readonly #peers = new Map<string, BridgePeers['peers']>();
  readonly #vmsDirectory: string;
  readonly #files: NodeFiles;
  readonly #adaptation: NodeAdaptation;
  readonly orders: Handlers<VmOrders> = {
    'start-vm': ({ vm }) => this.#startVm(vm),
    'stop-vm': ({ vmId, graceMs }) => this.#stopVm(vmId, graceMs),
    'operate-vm': ({ vmId, operation, graceMs }) => {
      if (!this.#releasing) this.#vms.get(vmId)?.operate(operation, graceMs);
    },
    'set-peers': ({ bridges }) => this.#setPeers(bridges),
    'tell-guest': ({ vmId, message }) => this.#vms.get(vmId)?.tellGuest(message),
  };
  #helper: Promise<Helper> | undefined;
  #releasing = false;
  #helperUndone = false;
  #undone = false;
  /** The release in hand. */
  #released: Promise<void> | undefined;

  constructor(parts: ControlParts) {
    this.#parts = parts;
    this.#vmsDirectory = join(parts.directory.path, 'vms');
    this.#files = parts.files ?? nodeFiles();
    const { node, slotId, clock, log, settings, adapt = adaptations[settings.adaptation] } = parts;
    this.#adaptation = adapt({ node, slotId, clock, log, helper: () => this.#startHelper() });
  }

  async reserve(): Promise<void> {
    const { clock, memoryMiB, cpus, vmm } = this.#parts;
    await this.#makeDirectory();
    const helper = {
      what: "the privileged helper's start",
      met: () => this.#prepareHelper(),
      advice: 'docs/admin/helper.md says how it is installed, with its sudo rule and its policy',
    };
    try {
      await requireAll(clock, [
        ...(vmm.traits.needsHelper ? [helper] : []),
        { what: 'the check of the VMM', met: () => vmm.check() },
        { what: "the node's adaptation", met: () => this.#adaptation.reserve(memoryMiB, cpus) },
      ]);
    } catch (cause) {
      throw await this.#undoReserve(cause);
    }
  }

  async #makeDirectory(): Promise<void> {
    const { directory, vmm } = this.#parts;
    const made = vmm.traits.needsHelper ? this.#vmsDirectory : directory.path;
    await this.#files.makeDirectory(made).catch((cause: unknown) => {
      throw fileError(cause, directory.path, "the slot's work directory", 'work_directory');
    });
  }

  /** Undoes what was done for a reserve that has failed. Resolves with the reason to tell. */
  async #undoReserve(why: unknown): Promise<unknown> {
    const { clock } = this.#parts;
    const undone = withDeadline(clock, undoDeadlineMs, 'undoing what was done', this.#restore());
    const left = await undone.then(
      () => undefined,
      (cause: Error) => cause,
    );
    await this.#removeFiles();
    if (left === undefined) return why;
    const message = `${(why as Error).message}; not all is undone yet: ${left.message}`;
    return new ControlError('reserve_failed', message, why);
  }

  #startVm(plan: VmPlan): void {
    const known = this.#vms.get(plan.vmId);
    if (known) known.repeat();
    else if (this.#neverStarted.has(plan.vmId)) this.#refuse(plan.vmId, 'terminated');
    else if (this.#releasing)
      this.#refuse(plan.vmId, 'failed', { code: 'slot_releasing', message: 'the slot is being released' });
    else {
      for (const { bridge } of plan.nics)
        if (isVxlan(bridge.link)) this.#peers.set(bridge.name, bridge.link.peers);
      this.#vms.set(plan.vmId, this.#newVm(plan));
    }
  }

  #stopVm(vmId: string, graceMs: number): void {
    const vm = this.#vms.get(vmId);
    if (!vm || vm.isOver) {
      this.#neverStarted.add(vmId);
      if (vm) vm.repeat();
      else this.#refuse(vmId, 'terminated');
    } else vm.stop(graceMs);
  }

  #setPeers(bridges: readonly BridgePeers[]): void {
    const { log } = this.#parts;
    for (const { bridge, peers } of bridges) {
      this.#peers.set(bridge, peers);
      // Without a helper there is no bridge.
      this.#helper
        ?.then(helper => helper.setPeers(bridge, peers))
        .catch((cause: unknown) =>
          log.error('peers could not be changed', { bridge, ...errorFields(cause) }),
        );
    }
  }

  release(graceMs: number): Promise<void> {
    for (const vm of this.#vms.values()) vm.stop(graceMs);
    this.#releasing = true;
    this.#released ??= this.#release().finally(() => {
      if (!this.#undone) this.#released = undefined;
    });
    return this.#released;
  }

  reports(): readonly VmReport[] {
    return [...this.#vms.values()].map(vm => vm.report);
  }

  openStream(target: Parameters<WorkspaceControl['openStream']>[0]): Promise<Duplex> {
    const vm = this.#vms.get(target.vmId);
    const absent = `VM ${target.vmId} is not on node ${this.#parts.node}`;
    if (!vm) return Promise.reject(new ControlError('not_found', absent));
    switch (target.kind) {
      case 'tcp':
        return vm.openPort(target.port);
      case 'console':
        return vm.openConsole();
      case 'statistics':
        return vm.openStatistics();
    }
  }

  async #release(): Promise<void> {
    await Promise.all([...this.#vms.values()].map(vm => vm.over));
    await this.#restore();
    await this.#removeFiles();
    this.#undone = true;
  }

  /** The node is as it was, but for files. */
  async #restore(): Promise<void> {
    const { clock } = this.#parts;
    const restored = this.#adaptation.restore();
    await withDeadline(clock, undoDeadlineMs, "restoring the node's adaptation", restored);
    // A helper that never came up has changed nothing.
    const helper = await this.#helper?.catch(() => undefined);
    if (!this.#helperUndone) await helper?.undo();
    this.#helperUndone = true;
  }

  /** The log and the journal of notifications stay, for whoever asks what happened. */
  async #removeFiles(): Promise<void> {
    await this.#files.remove(this.#vmsDirectory).catch((cause: unknown) => {
      throw fileError(cause, this.#vmsDirectory, 'the files of VMs cannot be removed', 'not_undone');
    });
  }

  #newVm(plan: VmPlan): HostedVm {
    const { vmm, clock, log, report, directory } = this.#parts;
    const place = directory.vm(plan.vmId);
    const hosting = vmm.traits.needsHelper
      ? hostVm(plan, {
          directory: place,
          helper: () => this.#startHelper(),
          newest: nic => this.#withNewestPeers(nic),
          files: this.#files,
          clock,
        })
      : simulateHosting(plan, place);
    return new HostedVm(plan, { vmm, hosting, clock, log, report });
  }

  /** A VM may be overtaken by other news of its network while its files are made. */
  #withNewestPeers(nic: NicPlan): NicPlan {
    const { bridge } = nic;
    const peers = this.#peers.get(bridge.name);
    if (!isVxlan(bridge.link) || !peers) return nic;
    return { ...nic, bridge: { ...bridge, link: { ...bridge.link, peers: [...peers] } } };
  }

  /** Starts the slot's helper, once. */
  #startHelper(): Promise<Helper> {
    this.#helper ??= this.#parts.startHelper();
    return this.#helper;
  }

  /** The slot's helper serves, knows its directory, and may do what its VMs need. */
  async #prepareHelper(): Promise<void> {
    const helper = await this.#startHelper();
    await helper.adoptDirectory(this.#vmsDirectory);
    await helper.checkNetworks(this.#parts.networks);
  }

  /** Answers for a VM that is not here. */
  #refuse(vmId: string, state: 'terminated' | 'failed', reason?: Reason): void {
    this.#parts.report({ vmId, state, context: 'none', ...(reason === undefined ? {} : { reason }) });
  }
}
