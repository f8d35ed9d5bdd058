import type { ChildExit } from '../../../platform/children.ts';
import type { Reason } from '../../../protocol/states.ts';
import type { JobMemory } from '../../node/job-memory.ts';

/** What is known when a QEMU process is gone. */
export interface Ending {
  readonly exit: ChildExit;
  /** `data.reason` of QMP's last SHUTDOWN event: why QEMU itself ended. */
  readonly shutdownReason: string | undefined;
  readonly panicked: boolean;
  readonly destroyed: boolean;
  /** The last that QEMU wrote to standard error. */
  readonly stderr: string;
  /** Of the guest. */
  readonly memoryMiB: number;
  /** The job's memory, when the kernel has killed QEMU for want of it. */
  readonly outOfMemory: JobMemory | undefined;
}

/** Whether a VM's end was orderly, and if not, what happened. */
export function judgeEnding(ending: Ending): { readonly clean: boolean; readonly reason?: Reason } {
  if (ending.destroyed) return { clean: true };
  if (ending.panicked)
    return {
      clean: false,
      reason: { code: 'guest_panicked', message: "the guest's kernel panicked (see its console)" },
    };
  if (ending.exit.code === 0 && ending.shutdownReason === 'guest-shutdown') return { clean: true };
  if (ending.outOfMemory)
    return { clean: false, reason: { code: 'out_of_memory', message: howItEnded(ending) } };
  const why = ending.shutdownReason === undefined ? '' : ` for ${ending.shutdownReason}`;
  return { clean: false, reason: { code: 'vmm_died', message: `${howItEnded(ending)}${why}` } };
}

/** `QEMU ended with exit code 1: <words>`, `QEMU was killed by SIGKILL (…)`, `out of memory: …`. */
export function howItEnded(ending: Pick<Ending, 'exit' | 'stderr' | 'memoryMiB' | 'outOfMemory'>): string {
  const { code, signal } = ending.exit;
  if (ending.outOfMemory) return killedForMemory(ending.memoryMiB, ending.outOfMemory);
  const how =
    signal === 'SIGKILL'
      ? 'was killed by SIGKILL; as far as the kernel tells, not because memory ran out'
      : signal === null
        ? `ended with exit code ${code}`
        : `was killed by ${signal}`;
  const words = ending.stderr.trim();
  return words === '' ? `QEMU ${how}` : `QEMU ${how}: ${words}`;
}

/** Below this share of the limit it was the node that had no memory left, not the job. */
const atTheLimit = 0.9;

function killedForMemory(memoryMiB: number, { limit }: JobMemory): string {
  const who = `the kernel killed QEMU, whose guest has ${memoryMiB} MiB`;
  if (!limit) return `out of memory: ${who}: the node had none left (the job has no limit)`;
  const figures = `its job may use ${limit.limitMiB} MiB and had used ${limit.usedMiB} MiB`;
  if (limit.usedMiB < atTheLimit * limit.limitMiB)
    return `out of memory: ${who}: the node had none left (${figures})`;
  return `out of memory: ${who}: ${figures}`;
}
