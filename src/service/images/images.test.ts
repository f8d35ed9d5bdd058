import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, test } from 'vitest';
import { imageCatalogue } from './images.ts';

const manifest = {
  name: 'mini',
  description: 'small',
  boot: { kind: 'kernel', kernel: 'vmlinuz', initrd: 'initrd', commandLine: 'quiet' },
  machine: 'microvm',
  agent: true,
  minMemoryMiB: 64,
};

let directory: string;
const noticed: string[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-images-'));
  noticed.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function add(name: string, values: object | string, files: readonly string[] = ['vmlinuz', 'initrd']): void {
  mkdirSync(join(directory, name), { recursive: true });
  for (const file of files) writeFileSync(join(directory, name, file), '12345');
  writeFileSync(
    join(directory, name, 'image.json'),
    typeof values === 'string' ? values : JSON.stringify(values),
  );
}
const catalogue = () => imageCatalogue(directory, problem => noticed.push(problem.message));

describe('the catalogue', () => {
  it('has the directories with a manifest, as they are now', () => {
    const images = catalogue();
    expect(images.read().images).toEqual([]);
    add('mini', manifest);
    mkdirSync(join(directory, 'other'));
    add('.mini-being-built', manifest);
    expect(images.read()).toEqual({
      images: [
        {
          directory: join(directory, 'mini'),
          sizeBytes: 10,
          manifest: expect.objectContaining({ name: 'mini' }) as object,
        },
      ],
      problems: [],
    });
  });

  it.each<[string, string, object | string, RegExp]>([
    ['is not JSON', 'mini', '{', /JSON/],
    ['lacks a field', 'mini', { ...manifest, machine: undefined }, /machine/],
    ['is another image’s', 'maxi', manifest, /image\.json is of mini, the directory is maxi/],
    [
      'names a file that is not there',
      'mini',
      { ...manifest, disk: { file: 'disk.raw', format: 'raw' } },
      /disk\.raw/,
    ],
    ['has no image’s name', 'A b', manifest, /not an image name/],
  ])('leaves out one whose manifest %s, and says so once', (_what, name, values, message) => {
    add('good', { ...manifest, name: 'good' });
    add(name, values);
    const images = catalogue();
    const { images: found, problems } = images.read();
    expect(found.map(image => image.manifest.name)).toEqual(['good']);
    expect(problems).toEqual([
      { directory: join(directory, name), message: expect.stringMatching(message) as string },
    ]);
    images.read();
    expect(noticed).toHaveLength(1);
    rmSync(join(directory, name), { recursive: true });
    expect(images.read().problems).toEqual([]);
  });

  test('security 20 leaves out what is a link out of the directory, and reads none of it', () => {
    const outside = mkdtempSync(join(tmpdir(), 'wsp-outside-'));
    onTestFinished(() => rmSync(outside, { recursive: true, force: true }));
    writeFileSync(join(outside, 'image.json'), 'secret words');
    writeFileSync(join(outside, 'vmlinuz'), '12345');
    for (const name of ['manifest', 'kernel']) add(name, { ...manifest, name });
    rmSync(join(directory, 'manifest/image.json'));
    symlinkSync(join(outside, 'image.json'), join(directory, 'manifest/image.json'));
    rmSync(join(directory, 'kernel/vmlinuz'));
    symlinkSync(join(outside, 'vmlinuz'), join(directory, 'kernel/vmlinuz'));
    symlinkSync(outside, join(directory, 'whole'));
    const { images, problems } = catalogue().read();
    expect(images).toEqual([]);
    expect(problems.map(problem => problem.directory.slice(directory.length + 1))).toEqual([
      'kernel',
      'manifest',
      'whole',
    ]);
    for (const { message } of problems) expect(message).toMatch(/leads out of/);
    expect(JSON.stringify(problems)).not.toContain('secret');
  });

  it('is empty when its directory has gone', () => {
    const images = catalogue();
    rmSync(directory, { recursive: true });
    expect(images.read()).toMatchObject({ images: [], problems: [{ directory }] });
  });
});
