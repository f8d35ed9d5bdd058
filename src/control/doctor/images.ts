import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Check, failure, good } from '../../protocol/check.ts';
import { openImage } from '../images/image.ts';

/** Whether this node reads the site's images: the service looks at the same directory from its own host. */
export async function checkImages(imagesDir: string): Promise<readonly Check[]> {
  const fix = 'mount the directory on the nodes at the same path, readable for the user of the jobs';
  try {
    const entries = await readdir(imagesDir, { withFileTypes: true });
    const names = entries
      .filter(entry => !entry.name.startsWith('.') && (entry.isDirectory() || entry.isSymbolicLink()))
      .map(entry => entry.name)
      .sort();
    if (names.length === 0) return [failure('images', `there is no image in ${imagesDir}`, fix)];
    return await Promise.all(names.map(name => checkImage(name, join(imagesDir, name), fix)));
  } catch (cause) {
    return [failure('images', `${imagesDir} cannot be read: ${(cause as Error).message}`, fix)];
  }
}

async function checkImage(name: string, directory: string, fix: string): Promise<Check> {
  try {
    const { description } = await openImage({ name, directory });
    return good(`image ${name}`, description);
  } catch (cause) {
    return failure(`image ${name}`, (cause as Error).message, fix);
  }
}
