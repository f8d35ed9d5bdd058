import { sep } from 'node:path';

/** What a path leads to, as realpath(3) and stat(2) say. */
export interface Place {
  readonly realRoot: string;
  readonly realPath: string;
  readonly isFile: boolean;
}

/**
 * Why the file at `path` is not one of the directory `root`, to which `path` belongs by name;
 * undefined when it is. Links inside of it may lead where they like inside.
 */
export function strayBecause(
  root: string,
  path: string,
  { realRoot, realPath, isFile }: Place,
): string | undefined {
  if (!realPath.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep))
    return `${path} is a symbolic link, or below one, that leads out of ${root} (to ${realPath}): put the file itself there`;
  return isFile ? undefined : `${path} is not a regular file`;
}
