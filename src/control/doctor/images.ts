import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandFailure, type ProcessRunner } from '../../platform/process.ts';
import { type Check, failure, good, warning } from '../../protocol/check.ts';
import { checkDisk } from '../images/disk.ts';
import { openImage } from '../images/image.ts';

/**
 * Whether this host reads the site's images, and can open them as the start of a VM does. The
 * service looks at the manifests in the same directory from its own host. `run`: what runs
 * qemu-img; undefined: disks are not opened, as the simulated VMM opens none.
 */
export async function checkImages(
  imagesDir: string,
  run: ProcessRunner['run'] | undefined,
): Promise<readonly Check[]> {
  const fix = 'mount the directory on the nodes at the same path, readable for the user of the jobs';
  try {
    const entries = await readdir(imagesDir, { withFileTypes: true });
    const names = entries
      .filter(entry => !entry.name.startsWith('.') && (entry.isDirectory() || entry.isSymbolicLink()))
      .map(entry => entry.name)
      .sort();
    if (names.length === 0) return [failure('images', `there is no image in ${imagesDir}`, fix)];
    return await Promise.all(names.map(name => checkImage(name, join(imagesDir, name), fix, run)));
  } catch (cause) {
    return [failure('images', `${imagesDir} cannot be read: ${(cause as Error).message}`, fix)];
  }
}

async function checkImage(
  name: string,
  directory: string,
  fix: string,
  run: ProcessRunner['run'] | undefined,
): Promise<Check> {
  const check = `image ${name}`;
  let advice = fix;
  try {
    const { description, disk } = await openImage({ name, directory });
    advice = `correct disk.format in ${join(directory, 'image.json')}, or repair the disk`;
    if (disk && run) await checkDisk({ ...disk, path: join(directory, disk.file) }, run);
    return good(check, description);
  } catch (cause) {
    const { message, cause: ofTool } = cause as Error;
    if (!(ofTool instanceof CommandFailure)) return failure(check, message, advice);
    const trouble = `its disk was not opened: ${ofTool.message}`;
    return warning(check, trouble, 'run wsp doctor --node on a node too');
  }
}
