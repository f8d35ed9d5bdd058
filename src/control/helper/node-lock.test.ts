import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../platform/process.ts';
import { helperDirectory, type HelperDirectory } from './journal.ts';
import { withNodeLock } from './node-lock.ts';

let place: string;
let at: HelperDirectory;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-node-lock-'));
  at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

/** Who holds the lock that a newcomer would find; undefined: nobody does. */
async function holder(): Promise<string | undefined> {
  const path = join(at.node, 'lock');
  const tried = await systemProcesses.run(['flock', '--nonblock', path, 'true'], { deadlineMs: 10_000 });
  return tried.code === 0 ? undefined : readFileSync(path, 'utf8');
}

describe("the node's lock", () => {
  it('is held while the work is done, and gone with the directory of a node that has nothing', async () => {
    expect(await withNodeLock(at, holder)).toBe(String(process.pid));
    expect(existsSync(join(place, 'state'))).toBe(false);
  });

  it('is the new one for who waited for one that was taken away', async () => {
    let second: Promise<string | undefined> | undefined;
    await withNodeLock(at, async () => {
      second = withNodeLock(at, holder);
    });
    // Of a file that is not there any more nobody else would see that it is locked.
    expect(await second).toBe(String(process.pid));
  });

  it('is one, though somebody else has made it anew by then', async () => {
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      for (const _ of [1, 2, 3]) expect(await holder()).toBe(String(process.pid));
      inside -= 1;
    };
    let second: Promise<void> | undefined;
    await withNodeLock(at, async () => {
      second = withNodeLock(at, work);
    });
    await Promise.all([second, withNodeLock(at, work)]);
    expect(most).toBe(1);
  });

  it('is given free by work that fails', async () => {
    await expect(withNodeLock(at, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await withNodeLock(at, () => Promise.resolve('yes'))).toBe('yes');
  });
});
