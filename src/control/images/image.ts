import { access, constants, readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { strayBecause } from '../../platform/inside.ts';
import { filesOfImage, type ImageManifest, parseImageManifest } from '../../protocol/image.ts';
import type { ImagePlan } from '../../protocol/plan.ts';
import { ControlError } from '../control.ts';
import { messageOf } from '../../platform/message-of.ts';

/**
 * Reads an image's manifest and checks that its files can be read from this node, and are in the
 * directory of images, which is the one above the image's: a link would show a guest whatever the
 * user of the jobs can read.
 * @throws ControlError `image_unavailable` (not here) or `image_invalid` (here, but not an image).
 */
export async function openImage(image: ImagePlan): Promise<ImageManifest> {
  const path = join(image.directory, 'image.json');
  const trouble = `image ${image.name} cannot be read on this node`;
  await requireFile(image, 'image.json', trouble);
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw unavailable(trouble, cause);
  });
  const manifest = parse(text, image, path);
  if (manifest.name !== image.name)
    throw new ControlError(
      'image_invalid',
      `${path} describes image ${manifest.name}, not ${image.name}: correct its name or the directory`,
    );
  await Promise.all(
    filesOfImage(manifest).map(file =>
      requireFile(image, file, `image ${image.name}: its file ${file} cannot be read on this node`),
    ),
  );
  return manifest;
}

function parse(text: string, image: ImagePlan, path: string): ImageManifest {
  try {
    return parseImageManifest(JSON.parse(text));
  } catch (cause) {
    throw new ControlError('image_invalid', `image ${image.name}: ${path}: ${messageOf(cause)}`, cause);
  }
}

async function requireFile(image: ImagePlan, file: string, trouble: string): Promise<void> {
  const root = dirname(image.directory);
  const path = join(image.directory, file);
  const stray = await look(root, path).catch((cause: unknown) => {
    throw unavailable(trouble, cause);
  });
  if (stray !== undefined) throw new ControlError('image_invalid', `image ${image.name}: ${stray}`);
}

async function look(root: string, path: string): Promise<string | undefined> {
  const [realRoot, realPath, found] = await Promise.all([realpath(root), realpath(path), stat(path)]);
  await access(path, constants.R_OK);
  return strayBecause(root, path, { realRoot, realPath, isFile: found.isFile() });
}

function unavailable(trouble: string, cause: unknown): ControlError {
  return new ControlError('image_unavailable', `${trouble}: ${String(cause)}`, cause);
}
