import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startTimeOf } from '../../src/control/helper/proc.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import { directoryText } from './look.ts';

/**
 * What a user has beside the helper's things: processes and directories, some of which slots adopt.
 */
export interface Home {
  readonly uid: number;
  readonly pids: readonly number[];
  readonly directories: readonly string[];
  isAlive(pid: number): boolean;
  /** Starts again and makes again what an undo has taken. */
  refill(): Promise<void>;
  swap(path: string, to: string): void;
  /** All of it as text, by name. */
  look(): ReadonlyMap<string, string>;
  /** Ends the processes, and removes the directories. */
  remove(): Promise<void>;
}

const most = 2;

/** Gives a user a home below `place`. */
export async function makeHome(place: string, uid: number): Promise<Home> {
  const at = join(place, 'work', String(uid));
  mkdirSync(at, { recursive: true });
  // They have to get there.
  for (const path of [place, join(place, 'work')]) chmodSync(path, 0o711);
  chownSync(at, uid, uid);
  const children: Child[] = [];
  const directories = Array.from({ length: most }, (_, index) => join(at, `slot${index}`));
  const isAlive = (pid: number): boolean => startTimeOf(pid) !== undefined;
  const home: Home = {
    uid,
    get pids() {
      return children.map(({ pid }) => pid);
    },
    directories,
    isAlive,
    async refill() {
      for (let index = 0; index < most; index += 1) {
        const child = children[index];
        if (!child || !isAlive(child.pid)) children[index] = await startSleeper(uid);
      }
      for (const path of directories) if (directoryText(path) === 'none') makeDirectory(path, uid);
    },
    swap(path, to) {
      rmSync(path, { recursive: true, force: true });
      symlinkSync(to, path);
    },
    look: () =>
      new Map([
        ...children.map(({ pid }) => [`process:${pid}`, String(startTimeOf(pid))] as const),
        ...directories.map(path => [`directory:${path}`, directoryText(path)] as const),
      ]),
    async remove() {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map(({ exited }) => exited));
      if (existsSync(at)) rmSync(at, { recursive: true });
    },
  };
  await home.refill();
  return home;
}

/** By a process of its own that becomes the user's: resolves when it is. */
async function startSleeper(uid: number): Promise<Child> {
  const as = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'] as const;
  const child = await startChild([...as, 'sh', '-c', 'echo; exec sleep infinity'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  await new Promise(resolve => child.stdout?.once('data', resolve));
  return child;
}

function makeDirectory(path: string, uid: number): void {
  mkdirSync(path);
  writeFileSync(join(path, 'overlay.qcow2'), 'x');
  for (const each of [path, join(path, 'overlay.qcow2')]) chownSync(each, uid, uid);
}
