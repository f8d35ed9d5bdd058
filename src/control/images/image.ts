import { access, constants, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ImageManifest, parseImageManifest } from '../../protocol/image.ts';
import type { ImagePlan } from '../../protocol/plan.ts';
import { ControlError } from '../control.ts';

/**
 * Reads an image's manifest and checks that its files can be read from this node.
 * @throws ControlError `image_unavailable` (not here) or `image_invalid` (here, but not an image).
 */
export async function openImage(image: ImagePlan): Promise<ImageManifest> {
  const path = join(image.directory, 'image.json');
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ControlError(
      'image_unavailable',
      `image ${image.name} cannot be read on this node: ${String(cause)}`,
      cause,
    );
  });
  const manifest = parse(text, image, path);
  if (manifest.name !== image.name)
    throw new ControlError(
      'image_invalid',
      `${path} describes image ${manifest.name}, not ${image.name}: correct its name or the directory`,
    );
  await Promise.all(
    filesOf(manifest).map(file =>
      access(join(image.directory, file), constants.R_OK).catch((cause: unknown) => {
        throw new ControlError(
          'image_unavailable',
          `image ${image.name}: its file ${file} cannot be read on this node: ${String(cause)}`,
          cause,
        );
      }),
    ),
  );
  return manifest;
}

function parse(text: string, image: ImagePlan, path: string): ImageManifest {
  try {
    return parseImageManifest(JSON.parse(text));
  } catch (cause) {
    throw new ControlError(
      'image_invalid',
      `image ${image.name}: ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
}

function filesOf({ boot, disk }: ImageManifest): string[] {
  return [
    ...(boot.kind === 'kernel' ? [boot.kernel, ...(boot.initrd === undefined ? [] : [boot.initrd])] : []),
    ...(disk ? [disk.file] : []),
  ];
}
