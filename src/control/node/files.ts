import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ProcessRunner, systemProcesses } from '../../platform/process.ts';
import type { ImageManifest } from '../../protocol/image.ts';
import type { ImagePlan, VmPlan } from '../../protocol/plan.ts';
import { makeSeed } from '../context/seed.ts';
import { checkDisk, makeOverlay } from '../images/disk.ts';
import { requireFreeSpace } from '../images/disk-space.ts';
import { openImage } from '../images/image.ts';

/**
 * What workspace control does with a node's disk, injected like the clock: simulated nodes keep it
 * in memory. Every member rejects with a `ControlError` or with what the file system said.
 */
export interface NodeFiles {
  /** Makes a directory that is its owner's alone, with those above it. One that is there is kept. */
  makeDirectory(path: string): Promise<void>;
  /** Throws `disk_full` when less is free in the directory. */
  requireFreeSpace(directory: string, neededMiB: number, what: string): Promise<void>;
  /** Reads an image's manifest and checks its files. */
  openImage(image: ImagePlan): Promise<ImageManifest>;
  /** Makes the VM's own disk over the image's, which is examined first. Resolves with its path. */
  makeDisk(plan: VmPlan, of: NonNullable<ImageManifest['disk']>, directory: string): Promise<string>;
  /** Makes the VM's seed. Resolves with its path. */
  makeSeed(plan: VmPlan, directory: string): Promise<string>;
  /** Removes a directory with all that is in it. One that is not there is not an error. */
  remove(path: string): Promise<void>;
}

/** The files of the node that this process runs on. `run` runs the programs that make them. */
export function nodeFiles(run: ProcessRunner['run'] = systemProcesses.run): NodeFiles {
  return {
    async makeDirectory(path) {
      await mkdir(path, { recursive: true, mode: 0o700 });
    },
    requireFreeSpace,
    openImage,
    async makeDisk({ name, image }, { file, format }, directory) {
      const backing = { path: join(image.directory, file), format };
      await checkDisk(backing, run);
      return makeOverlay(backing, name, directory, run);
    },
    makeSeed: (plan, directory) => makeSeed(plan, directory, run),
    remove: path => rm(path, { recursive: true, force: true }),
  };
}
