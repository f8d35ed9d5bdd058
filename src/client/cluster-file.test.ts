import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WspError } from '../protocol/errors.ts';
import { parseClusterFile, readClusterFile } from './cluster-file.ts';

/** When the files are read. */
const now = Date.UTC(2026, 10, 23, 12);

/** User data that is no UTF-8, as people have it. */
const oddBytes = {
  gzip: gzipSync('#cloud-config\npackages: [htop]\n'),
  latin1: Buffer.from('#!/bin/sh\n# für Größe\n', 'latin1'),
  utf16: Buffer.from('\ufeff#cloud-config\n', 'utf16le'),
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-cluster-file-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** The mistakes as `path: message` lines. */
function mistakesOf(text: string): string[] {
  try {
    parseClusterFile(text, join(directory, 'c.yaml'), now);
  } catch (error) {
    if (!(error instanceof WspError)) throw error;
    expect(error.code).toBe('invalid_file');
    return (error.details ?? []).map(({ path, message }) => `${path}: ${message}`);
  }
  return [];
}

describe('a good cluster file', () => {
  it('becomes a request with numbers and defaults', () => {
    const text = `
name: osg
duration: 1h30m
sshKeys: [ssh-ed25519 AAAA me]
groups:
  - { name: ce, image: mini, memory: 1G, cpus: 2, networks: [private, public], roles: [head] }
  - { name: worker, image: mini, count: 4, userData: "#!/bin/sh" }
`;
    expect(parseClusterFile(text, 'c.yaml', now)).toEqual({
      name: 'osg',
      durationMs: 5_400_000,
      sshKeys: ['ssh-ed25519 AAAA me'],
      groups: [
        {
          name: 'ce',
          image: 'mini',
          count: 1,
          memoryMiB: 1_024,
          cpus: 2,
          networks: ['private', 'public'],
          roles: ['head'],
        },
        { name: 'worker', image: 'mini', count: 4, memoryMiB: 256, cpus: 1, userData: '#!/bin/sh' },
      ],
    });
  });

  it('says all that the flags of wsp create can: its terms, and what becomes of it', () => {
    const terms = `
startBy: 30m
keepPartial: true
requeue: true
heal: replace
pending: true
pools: [own, batch]
project: lattice
groups: [{ name: a, image: mini }]
`;
    expect(parseClusterFile(terms, 'c.yaml', now)).toMatchObject({
      startBy: '2026-11-23T12:30:00.000Z',
      keepPartial: true,
      requeue: true,
      heal: 'replace',
      pending: true,
      pools: ['own', 'batch'],
      project: 'lattice',
    });
    const at = 'startBy: 2026-11-23T15:00+01:00\ngroups: [{ name: a, image: mini }]';
    expect(parseClusterFile(at, 'c.yaml', now).startBy).toBe('2026-11-23T14:00:00.000Z');
  });

  it('report 6: takes user data as bytes, from a file and from base64', () => {
    for (const [name, bytes] of Object.entries(oddBytes)) {
      writeFileSync(join(directory, 'data'), bytes);
      const base64 = bytes.toString('base64');
      const text = `groups: [{ name: a, image: mini, userDataFile: data }, { name: b, image: mini, userData: { base64: '${base64}' } }]`;
      writeFileSync(join(directory, 'c.yaml'), text);
      const { groups } = readClusterFile(join(directory, 'c.yaml'), now);
      expect(
        groups.map(({ userData }) => userData),
        name,
      ).toEqual([{ base64 }, { base64 }]);
    }
  });

  it('report 6: refuses what is no UTF-8, not base64, or too long, instead of changing it', () => {
    writeFileSync(
      join(directory, 'c.yaml'),
      Buffer.from('groups: [{ name: a, image: mini, userData: für }]', 'latin1'),
    );
    expect(() => readClusterFile(join(directory, 'c.yaml'), now)).toThrow(/c\.yaml is not UTF-8 text/);
    expect(mistakesOf("groups: [{ name: a, image: mini, userData: { base64: 'für' } }]")).toEqual([
      'groups[0].userData.base64: must be base64 (RFC 4648, section 4) of at most 65536 bytes (it is "für")',
    ]);
    expect(mistakesOf('groups: [{ name: a, image: mini, userData: "\\ud800" }]')).toEqual([
      'groups[0].userData: must be a text of at most 65536 characters (it is "\\ud800")',
    ]);
    writeFileSync(join(directory, 'long'), Buffer.alloc(65_537, 0xff));
    expect(mistakesOf('groups: [{ name: a, image: mini, userDataFile: long }]')).toEqual([
      'groups[0].userDataFile: the file is too long: it has more than 65536 bytes',
    ]);
  });

  it('takes user data from a file beside it', () => {
    writeFileSync(join(directory, 'ce.sh'), 'echo hello\n');
    writeFileSync(join(directory, 'c.yaml'), 'groups: [{ name: a, image: mini, userDataFile: ce.sh }]');
    expect(readClusterFile(join(directory, 'c.yaml'), now).groups[0]?.userData).toBe('echo hello\n');
  });

  it('is the paper’s example', () => {
    const file = new URL('../../examples/osg-cluster.yaml', import.meta.url).pathname;
    const request = readClusterFile(file, now);
    expect(request.groups.map(({ name, count, networks }) => [name, count, networks])).toEqual([
      ['ce', 1, ['private', 'public']],
      ['se', 1, ['private', 'public']],
      ['worker', 2, ['private']],
    ]);
  });
});

describe('a bad cluster file', () => {
  it.each([
    ['syntax', 'groups:\n  - name: a\n   image: b\n', /^line 3, column \d+: /],
    ['no mapping', '- a\n- b\n', /^line 1, column 1: must be a mapping/],
    ['nothing', '', /^line 1, column 1: must be a mapping/],
    [
      'start by, no time',
      'startBy: soon\ngroups: [{ name: a, image: mini }]',
      /^startBy: must be a time from now such as 30m, or a time with its zone, .* \(it is "soon"\)$/,
    ],
    [
      'heal',
      'heal: never\ngroups: [{ name: a, image: mini }]',
      /^heal: must be one of fail, replace \(it is "never"\)$/,
    ],
    ['no groups', 'name: x\n', /^groups: is missing$/],
    ['empty groups', 'groups: []\n', /^groups: must have at least 1 entries$/],
    ['groups no list', 'groups: { name: a }\n', /^groups: must be a list \(it is \{"name":"a"\}\)$/],
    [
      'unknown key',
      'groups: [{ name: a, image: mini, memry: 1G }]',
      /^groups\[0\]\.memry: is not known here; known: name, image/,
    ],
    [
      'name',
      'groups: [{ name: A_b, image: mini }]',
      /^groups\[0\]\.name: must be a name: lower-case .* \(it is "A_b"\)$/,
    ],
    [
      'memory without unit',
      'groups: [{ name: a, image: mini, memory: 256 }]',
      /^groups\[0\]\.memory: must be a size such as 256M or 4G \(it is 256\)$/,
    ],
    [
      'memory too small',
      'groups: [{ name: a, image: mini, memory: 1M }]',
      /^groups\[0\]\.memory: must be >= 16 \(it is 1\)$/,
    ],
    [
      'count',
      'groups: [{ name: a, image: mini, count: 0 }]',
      /^groups\[0\]\.count: must be >= 1 \(it is 0\)$/,
    ],
    [
      'count as text',
      'groups: [{ name: a, image: mini, count: "3" }]',
      /^groups\[0\]\.count: must be integer \(it is "3"\)$/,
    ],
    [
      'duration',
      'duration: soon\ngroups: [{ name: a, image: mini }]',
      /^duration: must be a duration such as 90s or 1h30m \(it is "soon"\)$/,
    ],
    [
      'duration too short',
      'duration: 10ms\ngroups: [{ name: a, image: mini }]',
      /^duration: must be a time from 1s to 14d \(in milliseconds\) \(it is 10\)$/,
    ],
    [
      'same network twice',
      'groups: [{ name: a, image: mini, networks: [p, p] }]',
      /^groups\[0\]\.networks: has the same entry twice$/,
    ],
    [
      'same group twice',
      'groups: [{ name: a, image: mini }, { name: a, image: mini }]',
      /^groups\[1\]\.name: is the name of groups\[0\] too$/,
    ],
    [
      'missing user data',
      'groups: [{ name: a, image: mini, userDataFile: none.sh }]',
      /^groups\[0\]\.userDataFile: the file is not there \(.*none\.sh\)$/,
    ],
    [
      'both user data',
      'groups: [{ name: a, image: mini, userData: x, userDataFile: y }]',
      /^groups\[0\]\.userDataFile: cannot be used together with userData$/,
    ],
    ['a key of two lines', 'sshKeys: ["a\\nb"]\ngroups: [{ name: a, image: mini }]', /^sshKeys\[0\]: /],
    ['same key twice', 'groups: []\ngroups: []\n', /^line 2, column 1: /],
  ])('%s', (_what, text, expected) => {
    const mistakes = mistakesOf(text);
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toMatch(expected);
  });

  it('tells all mistakes at once', () => {
    expect(mistakesOf('nme: x\nduration: 1\ngroups: [{ name: a, count: x }]')).toEqual([
      'nme: is not known here; known: name, duration, project, pools, sshKeys, startBy, keepPartial, requeue, heal, pending, groups',
      'duration: must be a duration such as 90s or 1h30m (it is 1)',
      'groups[0].count: must be integer (it is "x")',
      'groups[0].image: is missing',
    ]);
  });

  it('that is not there is not_found', () => {
    expect(() => readClusterFile(join(directory, 'none.yaml'), now)).toThrow(
      expect.objectContaining({ code: 'not_found' }),
    );
  });
});
