import { join } from 'node:path';
import type { ProcessRunner } from '../../platform/process.ts';
import { runTool } from './tool.ts';

/** Milliseconds when idle (20 ms); it opens the backing file, which may be on a slow shared file system. */
const overlayDeadlineMs = 60_000;

/**
 * A VM's own disk: an empty qcow2 file over the image's disk, which stays as it is (qemu-img(1), `create -b`).
 * @returns its path in the VM's directory.
 * @throws ControlError `disk_full`, `tool_missing`, `clone_failed`.
 */
export async function makeOverlay(
  backing: { readonly path: string; readonly format: 'qcow2' | 'raw' },
  vmName: string,
  directory: string,
  run: ProcessRunner['run'],
): Promise<string> {
  const overlay = join(directory, 'disk.qcow2');
  await runTool(
    ['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', backing.format, '-b', backing.path, overlay],
    {
      deadlineMs: overlayDeadlineMs,
      failure: 'clone_failed',
      trouble: `the disk of VM ${vmName} could not be made`,
    },
    run,
  );
  return overlay;
}
