import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { checkOwnDirectory, makeOwnDirectory, ownUid } from './own-directory.ts';
import { slotDirectory, takeSlotDirectory } from './slot-directory.ts';

/** What others do while the path is walked, once something was found missing. */
let rival: (missing: string) => void = () => undefined;
vi.mock('../../platform/stat.ts', async original => {
  const real = await original<typeof import('../../platform/stat.ts')>();
  const lstatIfThere: typeof real.lstatIfThere = path => {
    const found = real.lstatIfThere(path);
    if (!found) rival(path);
    return found;
  };
  return { ...real, lstatIfThere };
});
afterEach(() => {
  rival = () => undefined;
});

/** Somebody else, to whom only root can give files. */
const stranger = 65_534;
const isRoot = ownUid() === 0;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wsp-own-directory-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const unsafe = (what: RegExp) =>
  expect.objectContaining({ code: 'workdir_unsafe', message: expect.stringMatching(what) });

function failureOf(action: () => unknown): unknown {
  try {
    action();
  } catch (cause) {
    return cause;
  }
  return undefined;
}

describe('a slot’s directory', () => {
  it('is made with all that is missing, and is there again for a later pilot of the slot', () => {
    const slot = slotDirectory(join(root, 'work'), 'n01', 'slot-a');
    expect(takeSlotDirectory(slot)).toBeUndefined();
    expect(statSync(join(root, 'work/n01')).mode & 0o777).toBe(0o711);
    expect(statSync(slot.path).mode & 0o777).toBe(0o700);
    for (const file of [slot.pilotLog, slot.notificationJournal]) writeFileSync(file, 'earlier');
    mkdirSync(slot.vm('vm-1'), { recursive: true });
    expect(takeSlotDirectory(slot)).toBeUndefined();
    expect(readFileSync(slot.pilotLog, 'utf8')).toBe('earlier');
  });

  it('in a sticky directory of root’s is as good as another; so is one below a link of our own', () => {
    mkdirSync(join(root, 'sticky'));
    chmodSync(join(root, 'sticky'), 0o1777);
    symlinkSync('sticky', join(root, 'link'));
    expect(takeSlotDirectory(slotDirectory(join(root, 'link/work'), 'n01', 'slot-a'))).toBeUndefined();
    expect(readdirSync(join(root, 'sticky/work/n01'))).toEqual(['slot-a']);
  });

  it('is made when the pilots of other nodes make what is above it at the same time', () => {
    const made: string[] = [];
    rival = missing => {
      mkdirSync(missing, { mode: 0o711 });
      made.push(missing);
    };
    expect(takeSlotDirectory(slotDirectory(join(root, 'work'), 'n01', 'slot-a'))).toBeUndefined();
    expect(made).toEqual([join(root, 'work'), join(root, 'work/n01')]);
  });

  it.skipIf(!isRoot)('is refused when a stranger was faster to make what is above it', () => {
    rival = missing => {
      mkdirSync(missing);
      chownSync(missing, stranger, stranger);
    };
    expect(takeSlotDirectory(slotDirectory(join(root, 'work'), 'n01', 'slot-a'))).toEqual(
      unsafe(/work belongs to another user/),
    );
  });

  it('that cannot be made says why, in other words than one that is unsafe', () => {
    writeFileSync(join(root, 'file'), '');
    expect(takeSlotDirectory(slotDirectory(join(root, 'file'), 'n01', 'slot-a'))).toEqual(
      unsafe(/file is not a directory/),
    );
    expect(takeSlotDirectory(slotDirectory('/proc/no', 'n01', 'slot-a'))).toMatchObject({
      code: 'work_directory',
    });
  });

  test('security 11 below a directory that others can write to is refused, and nothing is made in it', () => {
    for (const mode of [0o777, 0o775, 0o2770]) {
      const work = join(root, `work-${mode}`);
      mkdirSync(work);
      chmodSync(work, mode);
      expect(takeSlotDirectory(slotDirectory(work, 'n01', 'slot-a'))).toEqual(
        unsafe(new RegExp(`${work} can be written to by others`)),
      );
      expect(readdirSync(work)).toEqual([]);
    }
  });

  test('security 11 in which a log is a link, or a journal has another name elsewhere, is refused, and neither is touched', () => {
    const target = join(root, 'target');
    writeFileSync(target, 'mine');
    const plants: readonly ((path: string) => void)[] = [
      path => symlinkSync(target, path),
      path => linkSync(target, path),
    ];
    for (const file of ['pilot.log', 'pilot.log.1', 'notifications.jsonl', 'pilot', 'vms'])
      for (const plant of plants) {
        const slot = slotDirectory(root, 'n01', 'slot-a');
        mkdirSync(slot.path, { recursive: true, mode: 0o700 });
        plant(join(slot.path, file));
        expect(takeSlotDirectory(slot)).toEqual(unsafe(new RegExp(`slot-a/${file} is not`)));
        expect(readFileSync(target, 'utf8')).toBe('mine');
        rmSync(join(root, 'n01'), { recursive: true });
      }
  });

  test('security 11 that is open to others is refused', () => {
    const slot = slotDirectory(root, 'n01', 'slot-a');
    mkdirSync(slot.path, { recursive: true, mode: 0o755 });
    expect(takeSlotDirectory(slot)).toEqual(unsafe(/made by somebody else/));
    rmSync(slot.path, { recursive: true });
    symlinkSync(root, slot.path);
    expect(takeSlotDirectory(slot)).toEqual(unsafe(/made by somebody else/));
  });
});

describe.skipIf(!isRoot)('with a second user', () => {
  test.each([
    ['the work directory', 'work', /work belongs to another user/],
    ['the node’s directory', 'work/n01', /n01 belongs to another user/],
    ['the slot’s directory', 'work/n01/slot-a', /slot-a was made by somebody else/],
    ['a forged journal', 'work/n01/slot-a/notifications.jsonl', /notifications\.jsonl is not this slot/],
  ])('security 11 what they have made first is refused: %s', (_, theirs, words) => {
    const slot = slotDirectory(join(root, 'work'), 'n01', 'slot-a');
    mkdirSync(slot.path, { recursive: true, mode: 0o700 });
    if (theirs.endsWith('.jsonl')) writeFileSync(join(root, theirs), '{"type":"notification"}\n');
    chownSync(join(root, theirs), stranger, stranger);
    const before = lstatSync(join(root, theirs)).mtimeMs;
    expect(takeSlotDirectory(slot)).toEqual(unsafe(words));
    expect(lstatSync(join(root, theirs)).mtimeMs).toBe(before);
  });

  test('security 11 a link of theirs is not followed', () => {
    mkdirSync(join(root, 'sticky'));
    chmodSync(join(root, 'sticky'), 0o1777);
    symlinkSync(root, join(root, 'sticky/work'));
    lchownSync(join(root, 'sticky/work'), stranger, stranger);
    expect(failureOf(() => makeOwnDirectory(join(root, 'sticky/work/n01')))).toEqual(
      unsafe(/sticky\/work belongs to another user/),
    );
  });
});

it('a link that leads in a circle ends', () => {
  symlinkSync('circle', join(root, 'circle'));
  expect(failureOf(() => makeOwnDirectory(join(root, 'circle/work')))).toEqual(unsafe(/circle/));
});

test('security 11 a look makes nothing, and says whether everybody could make what is missing', () => {
  expect(checkOwnDirectory(join(root, 'work/n01'))).toEqual({ openToAll: false });
  expect(readdirSync(root)).toEqual([]);
  chmodSync(root, 0o1777);
  expect(checkOwnDirectory(join(root, 'work'))).toEqual({ openToAll: true });
  chmodSync(root, 0o777);
  expect(failureOf(() => checkOwnDirectory(join(root, 'work')))).toEqual(unsafe(/written to by others/));
});
