import type { ProcessRunner } from '../../platform/process.ts';
import { confined } from '../confine.ts';
import { ControlError } from '../control.ts';

/** Milliseconds when idle; the files may be on a slow shared file system. */
const openDeadlineMs = 60_000;
/** More files than anybody stacks on purpose. */
const longestChain = 32;

/** A file of a disk's chain, as far as `qemu-img info` (qemu-img(1)) is read here. */
interface DiskFile {
  readonly filename: string;
  readonly format: string;
}

/**
 * Opens an image's disk as the start of a VM does: as the format that the manifest declares, with
 * every file that it stands on; and looks whether each
 * of them is of the format that it is declared to be. Changes nothing. Throws `ControlError`
 * `image_invalid`; `CommandFailure` when qemu-img cannot run.
 */
export async function openDisk(
  disk: { readonly path: string; readonly format: 'qcow2' | 'raw' },
  run: ProcessRunner['run'],
): Promise<void> {
  const chain = await info(['--backing-chain', '-f', disk.format, disk.path], run);
  if (chain.length > longestChain)
    throw new ControlError('image_invalid', `${disk.path} stands on more than ${longestChain} files`);
  for (const { filename, format } of chain) {
    const [real] = await info([filename], run);
    if (real && real.format !== format)
      throw new ControlError(
        'image_invalid',
        `${filename} is declared to be ${format}, and is ${real.format}`,
      );
  }
}

async function info(args: readonly string[], run: ProcessRunner['run']): Promise<readonly DiskFile[]> {
  // A VM may have the file open.
  const { code, stdout, stderr } = await confined(run)(
    ['qemu-img', 'info', '--force-share', '--output=json', ...args],
    {
      deadlineMs: openDeadlineMs,
    },
  );
  if (code !== 0)
    throw new ControlError('image_invalid', stderr.trim().slice(-500) || `qemu-img ends with ${code}`);
  const found = JSON.parse(stdout) as DiskFile | readonly DiskFile[];
  return Array.isArray(found) ? (found as readonly DiskFile[]) : [found as DiskFile];
}
