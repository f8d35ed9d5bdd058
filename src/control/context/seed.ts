import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessRunner } from '../../platform/process.ts';
import type { VmPlan } from '../../protocol/plan.ts';
import { runTool } from '../images/tool.ts';
import { seedFiles } from './seed-files.ts';

/** Milliseconds when idle (10 ms); a loaded node may take longer. */
const isoDeadlineMs = 30_000;

/**
 * Makes a VM's seed, an ISO 9660 image labelled `cidata`, and resolves with its path. It holds
 * private keys: it is its owner's alone (0600), and the files it was made from are removed again.
 * Throws `ControlError` `disk_full`, `tool_missing`, `seed_failed`.
 */
export async function makeSeed(plan: VmPlan, directory: string, run: ProcessRunner['run']): Promise<string> {
  const source = join(directory, 'seed');
  const iso = join(directory, 'seed.iso');
  const trouble = `the seed of VM ${plan.name} could not be made`;
  try {
    await mkdir(source, { mode: 0o700 });
    await Promise.all(
      [...seedFiles(plan)].map(([name, content]) => writeFile(join(source, name), content, { mode: 0o600 })),
    );
    // genisoimage keeps the mode of a file that is there.
    await writeFile(iso, '', { mode: 0o600 });
    await runTool(
      ['genisoimage', '-quiet', '-volid', 'cidata', '-joliet', '-rock', '-output', iso, source],
      { deadlineMs: isoDeadlineMs, failure: 'seed_failed', trouble },
      run,
    );
    return iso;
  } finally {
    await rm(source, { recursive: true, force: true });
  }
}
