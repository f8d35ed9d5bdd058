import type { ChildExit } from '../../../platform/children.ts';
import type { Reason } from '../../../protocol/states.ts';

/** What is known when a QEMU process is gone. */
export interface Ending {
  readonly exit: ChildExit;
  /** `data.reason` of QMP's last SHUTDOWN event: why QEMU itself ended. */
  readonly shutdownReason: string | undefined;
  readonly panicked: boolean;
  readonly destroyed: boolean;
  /** The last that QEMU wrote to standard error. */
  readonly stderr: string;
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
  const why = ending.shutdownReason === undefined ? '' : ` for ${ending.shutdownReason}`;
  return { clean: false, reason: { code: 'vmm_died', message: `QEMU ${howItEnded(ending)}${why}` } };
}

/** `ended with exit code 1: <its words>`, `was killed by SIGKILL (…)`. */
export function howItEnded(ending: Pick<Ending, 'exit' | 'stderr'>): string {
  const { code, signal } = ending.exit;
  const how =
    signal === 'SIGKILL'
      ? 'was killed by SIGKILL (by hand, or for want of memory)'
      : signal === null
        ? `ended with exit code ${code}`
        : `was killed by ${signal}`;
  const words = ending.stderr.trim();
  return words === '' ? how : `${how}: ${words}`;
}
