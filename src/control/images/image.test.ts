import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { CommandFailure, type CommandResult } from '../../platform/process.ts';
import { ControlError } from '../control.ts';
import { fileError, requireFreeSpace } from './disk-space.ts';
import { openImage } from './image.ts';
import { makeOverlay } from './disk.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-image-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const manifest = {
  name: 'mini',
  description: 'a test',
  boot: { kind: 'kernel', kernel: 'vmlinuz', initrd: 'initrd', commandLine: 'quiet' },
  machine: 'microvm',
  agent: true,
  minMemoryMiB: 64,
};

function write(value: unknown, ...files: readonly string[]): Promise<unknown> {
  writeFileSync(join(directory, 'image.json'), typeof value === 'string' ? value : JSON.stringify(value));
  for (const file of files) writeFileSync(join(directory, file), '');
  return openImage({ name: 'mini', directory });
}

/** A whole image; its path. */
function imageIn(name: string): string {
  const image = join(directory, name);
  mkdirSync(image, { recursive: true });
  const disk = { file: 'disk.raw', format: 'raw' };
  writeFileSync(join(image, 'image.json'), JSON.stringify({ ...manifest, disk }));
  for (const file of ['vmlinuz', 'initrd', 'disk.raw']) writeFileSync(join(image, file), '');
  return image;
}

/** A link in place of what is there. */
function link(target: string, path: string): void {
  rmSync(path, { recursive: true, force: true });
  symlinkSync(target, path);
}

describe('an image', () => {
  it('is opened when all of its files are there', async () => {
    expect(await write(manifest, 'vmlinuz', 'initrd')).toMatchObject({ name: 'mini', minMemoryMiB: 64 });
  });

  it.each([
    ['has no manifest that is JSON', '{"name":', 'image_invalid'],
    ['has a manifest of another image', { ...manifest, name: 'maxi' }, 'image_invalid'],
    [
      'names a file outside of its directory',
      { ...manifest, disk: { file: '../passwd', format: 'raw' } },
      'image_invalid',
    ],
    ['boots from a disk that it does not have', { ...manifest, boot: { kind: 'disk' } }, 'image_invalid'],
    ['names a file that is not there', manifest, 'image_unavailable'],
  ])('that %s is refused', async (_, value, code) => {
    await expect(write(value, 'vmlinuz')).rejects.toMatchObject({ name: 'ControlError', code });
  });

  test.each<[string, (images: string, outside: string) => void]>([
    ['manifest', (image, outside) => link(join(outside, 'image.json'), join(image, 'image.json'))],
    ['kernel', (image, outside) => link(join(outside, 'vmlinuz'), join(image, 'vmlinuz'))],
    ['initrd', image => link('../../outside/initrd', join(image, 'initrd'))],
    ['disk', (image, outside) => link(join(outside, 'disk.raw'), join(image, 'disk.raw'))],
    ['directory', (image, outside) => link(outside, image)],
  ])('security 20 whose %s is a link out of the images is refused', async (_, relink) => {
    const image = imageIn('images/mini');
    const outside = imageIn('outside');
    expect(await openImage({ name: 'mini', directory: image })).toMatchObject({ name: 'mini' });
    relink(image, outside);
    await expect(openImage({ name: 'mini', directory: image })).rejects.toMatchObject({
      code: 'image_invalid',
      message: expect.stringContaining(`leads out of ${join(directory, 'images')}`),
    });
  });

  it('may have links that stay among the images, as may the directory of images be one', async () => {
    const image = imageIn('images/mini-12');
    link(image, join(directory, 'images/mini'));
    link('../mini-12/vmlinuz', join(imageIn('images/other'), 'vmlinuz'));
    link(join(directory, 'images'), join(directory, 'linked'));
    for (const opened of ['images/mini', 'linked/mini', 'images/other'])
      expect(await openImage({ name: 'mini', directory: join(directory, opened) })).toMatchObject({
        name: 'mini',
      });
  });

  test('security 20 whose file is none is refused', async () => {
    const image = imageIn('images/mini');
    mkdirSync(join(directory, 'images/sub'));
    link('../sub', join(image, 'vmlinuz'));
    await expect(openImage({ name: 'mini', directory: image })).rejects.toMatchObject({
      code: 'image_invalid',
      message: expect.stringContaining('not a regular file'),
    });
  });

  it('that is not on this node is unavailable', async () => {
    await expect(openImage({ name: 'mini', directory: join(directory, 'no') })).rejects.toMatchObject({
      code: 'image_unavailable',
    });
  });
});

describe('a disk', () => {
  const overlay = (run: () => Promise<CommandResult>) =>
    makeOverlay({ path: '/images/disk.raw', format: 'raw' }, 'one', directory, run);
  const says = (stderr: string) => () => Promise.resolve({ code: 1, signal: null, stdout: '', stderr });

  it.each([
    ['qemu-img: /x: No space left on device', 'disk_full'],
    ['qemu-img: /x: Disk quota exceeded', 'disk_full'],
    ["qemu-img: /x: Could not open '/images/disk.raw'", 'clone_failed'],
    ['', 'clone_failed'],
  ])('that cannot be made (%s) says so: %s', async (words, code) => {
    await expect(overlay(says(words))).rejects.toMatchObject({
      code,
      message: expect.stringContaining('VM one'),
    });
  });

  it('that cannot be made for want of qemu-img says that', async () => {
    const missing = () =>
      Promise.reject(new CommandFailure('not-found', ['qemu-img'], 'qemu-img is not there'));
    await expect(overlay(missing)).rejects.toMatchObject({ code: 'tool_missing' });
  });
});

describe('room for files', () => {
  it('is there or is said to be missing, with both numbers', async () => {
    mkdirSync(join(directory, 'vms'));
    await requireFreeSpace(join(directory, 'vms'), 0, 'nothing');
    await expect(requireFreeSpace(directory, 2 ** 40, 'the world')).rejects.toThrow(
      /No space left in .* for the world \(needs 1099511627776 MiB, \d+ MiB free\)/,
    );
  });

  it('is told from other failures', () => {
    const error = (code: string) => Object.assign(new Error(code), { code });
    const told = (cause: unknown) => fileError(cause, '/work', 'the files of VM one', 'vm_files').code;
    expect([error('ENOSPC'), error('EDQUOT'), error('EACCES')].map(told)).toEqual([
      'disk_full',
      'disk_full',
      'vm_files',
    ]);
    expect(told(new ControlError('tap_in_use', ''))).toBe('tap_in_use');
  });
});
