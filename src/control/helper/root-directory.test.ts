import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireRootsAlone } from './root-directory.ts';

/** Below /tmp, in which everybody makes files, and nobody removes another's. */

describe.skipIf(process.getuid?.() !== 0)(
  "security 26 a directory whose files root believes is root's alone",
  () => {
    let place: string;
    beforeEach(() => {
      place = mkdtempSync(join(tmpdir(), 'wsp-root-directory-'));
    });
    afterEach(() => rmSync(place, { recursive: true }));

    const ofNobody = (path: string): void => chownSync(path, 65_534, 65_534);
    const look = (path: string) => (): void => requireRootsAlone('--state-dir', path);

    test('when it is there, and when it is not there yet', () => {
      mkdirSync(join(place, 'state'), { mode: 0o711 });
      look(join(place, 'state'))();
      look(join(place, 'state/none/at/all'))();
    });

    test.each<[string, (state: string) => void]>([
      ['others can write to it', state => chmodSync(state, 0o777)],
      ['its group can write to it', state => chmodSync(state, 0o770)],
      ['others can make files in it, though they cannot remove others', state => chmodSync(state, 0o1777)],
      ["it is another user's", ofNobody],
      ['others can put another in its place', () => chmodSync(place, 0o777)],
      ['a group can put another in its place', () => chmodSync(place, 0o770)],
      ["what it stands in is another user's", () => ofNobody(place)],
      [
        'a link of another user leads there',
        state => {
          rmSync(state, { recursive: true });
          symlinkSync('/run', state);
          lchownSync(state, 65_534, 65_534);
        },
      ],
    ])('not when %s', (_, spoil) => {
      const state = join(place, 'state');
      mkdirSync(state, { mode: 0o711 });
      spoil(state);
      expect(look(state)).toThrow(/: --state-dir must be where root alone can make files$/);
      expect(look(join(state, 'not-there'))).toThrow(
        /: --state-dir must be where root alone can make files$/,
      );
    });
  },
);
