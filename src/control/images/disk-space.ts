import { freeMiBIn } from '../../platform/directory.ts';
import { ControlError } from '../control.ts';

/** Throws `ControlError` `disk_full` when less than `neededMiB` is free for us in `directory`. */
export async function requireFreeSpace(directory: string, neededMiB: number, what: string): Promise<void> {
  const freeMiB = await freeMiBIn(directory);
  if (freeMiB < neededMiB)
    throw new ControlError(
      'disk_full',
      `No space left in ${directory} for ${what} (needs ${neededMiB} MiB, ${freeMiB} MiB free)`,
    );
}

/** What a file system said, as `ControlError`: `disk_full`, or `failure` with its words. A `ControlError` stays as it is. */
export function fileError(cause: unknown, directory: string, what: string, failure: string): ControlError {
  if (cause instanceof ControlError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new ControlError('disk_full', `No space left in ${directory} for ${what}`, cause);
  return new ControlError(failure, `${what} in ${directory}: ${String(cause)}`, cause);
}
