import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** While this file is there the prologs of the cluster whose files are in `directory` do not end. */
function heldProlog(directory: string): string {
  return join(directory, 'hold-prolog');
}

/**
 * A line of sh, for a prolog that can be held: it waits until it is let go, or its cluster is
 * gone.
 */
export function untilLetGo(directory: string): string {
  return `while [ -e ${heldProlog(directory)} ]; do sleep 0.2; done`;
}

/** Prologs do not end until they are let go by what this resolves with. */
export async function holdPrologs(directory: string): Promise<() => Promise<void>> {
  const path = heldProlog(directory);
  await writeFile(path, '');
  return () => rm(path, { force: true });
}
