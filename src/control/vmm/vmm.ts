import type { Duplex } from 'node:stream';
import { type Check, isFailed } from '../../protocol/check.ts';
import type { ContextState, Reason } from '../../protocol/states.ts';
import type { VmmStatistics } from '../../protocol/statistics.ts';
import type { VmmMemory } from '../../protocol/vmm-memory.ts';
import { ControlError } from '../control.ts';

/**
 * The one interface to virtual machine monitors. A driver manages VMs of one slot on one node; it is called by control,
 * which has made disks, seed and taps before and removes them after. Every member passes `vmm.contract.ts`.
 * `destroy` is safe at any moment, also when `start` never ran or is half-way.
 */
export interface Vmm {
  readonly kind: string;
  readonly traits: VmmTraits;
  /**
   * Finds out, by running the VMM's program, whether VMs can be run on this node: once, however
   * often it is asked. Throws `VmmUnfitError`, which says why not and what to do. Reserving a node
   * and `wsp doctor --node` ask the same, so they cannot disagree.
   */
  check(): Promise<VmmFacts>;
  /**
   * Starts a VM: resolves when the VMM has the guest running (not booted), with a handle. Throws `VmmError`; nothing runs then.
   * `events` are called afterwards, from any turn of the event loop, `exited` exactly once and last.
   * Aborting `signal` ends a start that is half-way: it throws `VmmError` `vmm_start_aborted`.
   */
  start(machine: MachineSpec, events: VmEvents, signal?: AbortSignal): Promise<RunningVm>;
}

/** What is known of a driver before anything is run. */
export interface VmmTraits {
  /** Its VMs have files, interfaces and processes on their node: a slot needs the privileged helper. */
  readonly needsHelper: boolean;
  /** What it takes of its node's memory for each VM. */
  readonly memory: VmmMemory;
}

/** What a check has found out about the VMM of a node. */
export interface VmmFacts {
  /** The program, in its own words. */
  readonly version: string;
  /** What runs the guests' instructions, such as `kvm`; null: nothing does. */
  readonly accelerator: string | null;
  /** What was looked at, for the doctor. None of them has failed. */
  readonly checks: readonly Check[];
}

/** What a driver tells of a VM that it has started. */
export interface VmEvents {
  /** The guest said how its set-up went (images with an agent only). */
  context(state: ContextState, reason?: Reason): void;
  /** The VMM process is gone. `clean` when the guest powered itself off or was asked to; else `reason` says what happened. */
  exited(outcome: { readonly clean: boolean; readonly reason?: Reason }): void;
}

/** A VM that runs: how it is ended, and its console. */
export interface RunningVm {
  /** The VMM's process, for the undo journal. 0 when there is none (sim). */
  readonly pid: number;
  /** Asks the guest to shut down (ACPI, and the agent where there is one). Returns at once; `exited` follows, or not. */
  shutdown(): void;
  /** Stops the guest's processors; resolves when they stand. Throws `VmmError`. */
  pause(): Promise<void>;
  /** Lets them go on. Throws `VmmError`. */
  resume(): Promise<void>;
  /** Hands a line to the guest's agent, for its users; nothing happens where there is none. */
  tell(message: string): void;
  /** Ends the VM now. Resolves when its process is gone. */
  destroy(): Promise<void>;
  /** What it has used since its start. Rejects when that cannot be asked any more. */
  statistics(): Promise<VmmStatistics>;
  /** The guest's serial console; one reader at a time, a later one replaces the earlier. */
  openConsole(): Promise<Duplex>;
}

/** What a VMM needs to start a machine; all paths are absolute and exist. */
export interface MachineSpec {
  readonly vmId: string;
  readonly name: string;
  /** Directory of this VM alone, for sockets, logs and pid files. */
  readonly directory: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly boot:
    | {
        readonly kind: 'kernel';
        readonly kernel: string;
        readonly initrd?: string | undefined;
        readonly commandLine: string;
      }
    | { readonly kind: 'disk' };
  readonly machine: 'microvm' | 'q35';
  readonly disks: readonly {
    readonly path: string;
    readonly format: 'qcow2' | 'raw';
    readonly readOnly: boolean;
  }[];
  readonly nics: readonly { readonly tap: string; readonly mac: string; readonly mtu: number }[];
  /** The image has our agent: a virtio port `org.workspace-pilot.0` tells readiness and takes `shutdown`. */
  readonly agent: boolean;
}

/** A VM that could not be started, and why. */
export class VmmError extends ControlError {
  constructor(...of: ConstructorParameters<typeof ControlError>) {
    super(...of);
    this.name = 'VmmError';
  }
}

/** What a start that was called off throws. */
export function startAborted(vmName: string): VmmError {
  return new VmmError('vmm_start_aborted', `the start of ${vmName} was cancelled`);
}

/** The promise's outcome, or `startAborted` as soon as `signal` calls the VM's start off. */
export function unlessAborted<T>(
  signal: AbortSignal | undefined,
  vmName: string,
  promise: Promise<T>,
): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    const fire = (): void => reject(startAborted(vmName));
    if (signal?.aborted) fire();
    signal?.addEventListener('abort', fire);
    stop = () => signal?.removeEventListener('abort', fire);
  });
  return Promise.race([aborted, promise]).finally(() => stop());
}

/** The VMM cannot run VMs on this node. `checks`: what was looked at; those that have failed are the message. */
export class VmmUnfitError extends VmmError {
  readonly checks: readonly Check[];
  constructor(checks: readonly Check[]) {
    super('vmm_unfit', checks.filter(isFailed).map(sentence).join('; '));
    this.name = 'VmmUnfitError';
    this.checks = checks;
  }
}

function sentence({ message, fix }: Check): string {
  return fix === undefined ? message : `${message}: ${fix}`;
}
