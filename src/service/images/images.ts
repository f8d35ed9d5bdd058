import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { strayBecause } from '../../platform/inside.ts';
import { statIfThere } from '../../platform/stat.ts';
import { namePattern } from '../../protocol/ids.ts';
import { filesOfImage, type ImageManifest, parseImageManifest } from '../../protocol/image.ts';

/** An image that can be used: its manifest is good and its files are there. */
export interface SiteImage {
  /** Absolute; the same path on every node. */
  readonly directory: string;
  readonly manifest: ImageManifest;
  /** Of all files that the manifest names. */
  readonly sizeBytes: number;
}

/** A directory that should be an image and is not; for the log and for `wsp doctor`. */
export interface ImageProblem {
  readonly directory: string;
  readonly message: string;
}

/**
 * The site's images: the directories of `images.dir` that have an `image.json`. Read afresh each
 * time, so that a new image needs no restart.
 */
export interface ImageCatalogue {
  read(): { readonly images: readonly SiteImage[]; readonly problems: readonly ImageProblem[] };
}

/** `noticed` is told of each problem once, until it changes. */
export function imageCatalogue(dir: string, noticed: (problem: ImageProblem) => void): ImageCatalogue {
  let known = new Set<string>();
  return {
    read() {
      const images: SiteImage[] = [];
      const problems: ImageProblem[] = [];
      for (const name of subdirectories(dir, problems)) {
        const directory = join(dir, name);
        try {
          images.push(readImage(name, directory));
        } catch (cause) {
          problems.push({ directory, message: (cause as Error).message });
        }
      }
      const keys = new Set(problems.map(problem => JSON.stringify(problem)));
      for (const problem of problems) if (!known.has(JSON.stringify(problem))) noticed(problem);
      known = keys;
      return { images, problems };
    },
  };
}

/** Those with a manifest; a directory without one is none of our business. Hidden ones are images being built. */
function subdirectories(dir: string, problems: ImageProblem[]): readonly string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter(entry => !entry.name.startsWith('.') && (entry.isDirectory() || entry.isSymbolicLink()))
      .map(entry => entry.name)
      .filter(name => statIfThere(join(dir, name, 'image.json')))
      .sort();
  } catch (cause) {
    problems.push({ directory: dir, message: (cause as Error).message });
    return [];
  }
}

function readImage(name: string, directory: string): SiteImage {
  if (!new RegExp(namePattern).test(name))
    throw new Error(`the directory's name is not an image name: ${name}`);
  requireFile(directory, 'image.json');
  const manifest = parseImageManifest(JSON.parse(readFileSync(join(directory, 'image.json'), 'utf8')));
  if (manifest.name !== name) throw new Error(`image.json is of ${manifest.name}, the directory is ${name}`);
  const sizeBytes = filesOfImage(manifest)
    .map(file => requireFile(directory, file))
    .reduce((sum, size) => sum + size, 0);
  return { directory, manifest, sizeBytes };
}

/** The size of an image's file, which no link may lead out of the directory of images for. */
function requireFile(directory: string, file: string): number {
  const root = dirname(directory);
  const path = join(directory, file);
  const found = statSync(path);
  const place = { realRoot: realpathSync(root), realPath: realpathSync(path), isFile: found.isFile() };
  const stray = strayBecause(root, path, place);
  if (stray !== undefined) throw new Error(stray);
  return found.size;
}
