import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandFailure, type ProcessRunner } from '../../platform/process.ts';
import { type Check, failure, good, warning } from '../../protocol/check.ts';
import { checkDisk } from '../images/disk.ts';
import { openImage } from '../images/image.ts';

/**
 * Whether this host reads the site's images, and can open them as the start of a VM does. The
 * service looks at the manifests in the same directory from its
 * own host. `run`: what runs qemu-img; undefined: disks are not opened, as the simulated VMM opens
 * none.
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
  try {
    const { description, disk } = await openImage({ name, directory });
    const wrong =
      disk && run ? await diskTrouble({ ...disk, path: join(directory, disk.file) }, run) : undefined;
    if (wrong !== undefined)
      return failure(
        check,
        wrong,
        `correct disk.format in ${join(directory, 'image.json')}, or repair the disk`,
      );
    return good(check, description);
  } catch (cause) {
    if (cause instanceof CommandFailure)
      return warning(
        check,
        `its disk was not opened: ${cause.message}`,
        'run wsp doctor --node on a node too',
      );
    return failure(check, (cause as Error).message, fix);
  }
}

/** Why a VM's start would refuse the disk, if so. Throws `CommandFailure` without qemu-img. */
async function diskTrouble(
  disk: Parameters<typeof checkDisk>[0],
  run: ProcessRunner['run'],
): Promise<string | undefined> {
  try {
    await checkDisk(disk, run);
    return undefined;
  } catch (cause) {
    const { cause: ofTool } = cause as Error;
    if (ofTool instanceof CommandFailure) throw ofTool;
    return (cause as Error).message;
  }
}
