import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessRunner } from '../../platform/process.ts';
import { ControlError } from '../control.ts';
import { runTool } from './tool.ts';

/** Milliseconds when idle; the image's file may be on a slow shared file system. */
const deadlineMs = 60_000;

/** An image's disk. */
interface Disk {
  readonly path: string;
  readonly format: 'qcow2' | 'raw';
}

/** What `qemu-img info` (qemu-img(1)) says of a disk, as far as it is read here. */
interface DiskInfo {
  readonly 'backing-filename'?: string;
  readonly encrypted?: boolean;
  readonly 'format-specific'?: { readonly data?: { readonly 'data-file'?: string } };
}

/**
 * Looks at an image's disk before anything opens it: it must be one file, of the format that the
 * manifest declares. QEMU opens what a disk names, so one that names other files would show its
 * guest whatever the user of the jobs can read. No format is guessed: a guess opens files, too.
 * Changes nothing. Throws `ControlError` `image_invalid`, or `tool_missing`.
 */
export async function checkDisk({ path, format }: Disk, run: ProcessRunner['run']): Promise<void> {
  if (format === 'raw') await requireNoOtherFormat(path);
  const said = await runTool(
    // A VM may have the file open.
    ['qemu-img', 'info', '--force-share', '--output=json', '-f', format, path],
    { deadlineMs, failure: 'image_invalid', trouble: `${path} cannot be opened` },
    run,
  );
  const info = JSON.parse(said) as DiskInfo;
  const backing = info['backing-filename'];
  if (backing !== undefined) throw namesAnother(path, 'backing', backing);
  const data = info['format-specific']?.data?.['data-file'];
  if (data !== undefined) throw namesAnother(path, 'data', data);
  if (info.encrypted === true)
    throw new ControlError('image_invalid', `${path} is encrypted: nobody gives QEMU its key`);
}

/**
 * A VM's own disk: an empty qcow2 file over the image's, which stays as it is (`create -b`).
 * Resolves with its path. Throws `ControlError` `disk_full`, `tool_missing`, `clone_failed`.
 */
export async function makeOverlay(
  backing: Disk,
  vmName: string,
  directory: string,
  run: ProcessRunner['run'],
): Promise<string> {
  const overlay = join(directory, 'disk.qcow2');
  const trouble = `the disk of VM ${vmName} could not be made`;
  await runTool(
    ['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', backing.format, '-b', backing.path, overlay],
    { deadlineMs, failure: 'clone_failed', trouble },
    run,
  );
  return overlay;
}

function namesAnother(path: string, kind: 'backing' | 'data', name: string): ControlError {
  return new ControlError(
    'image_invalid',
    `${path} names another file (its ${kind} file ${name}): a disk of an image is one file, as qemu-img convert makes it`,
  );
}

/** What files of other formats begin with. Only a sector's code makes a raw disk begin so. */
const beginnings: readonly (readonly [format: string, bytes: Buffer])[] = [
  ['qcow2', Buffer.from('QFI\xfb', 'latin1')],
  ['vmdk', Buffer.from('KDMV')],
  ['vhdx', Buffer.from('vhdxfile')],
  ['luks', Buffer.from('LUKS\xba\xbe', 'latin1')],
];

/** A file of another format declared raw is a mistake: its guest would see that file's bytes. */
async function requireNoOtherFormat(path: string): Promise<void> {
  const begins = Buffer.alloc(8);
  const file = await open(path, 'r');
  try {
    await file.read(begins, 0, begins.length, 0);
  } finally {
    await file.close();
  }
  const other = beginnings.find(([, bytes]) => begins.subarray(0, bytes.length).equals(bytes));
  if (other) throw new ControlError('image_invalid', `${path} is declared to be raw, and is ${other[0]}`);
}
