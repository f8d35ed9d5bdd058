import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTimeOf } from '../../src/control/helper/proc.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { removeTracked } from '../cluster/tracking.ts';

/**
 * Temporary places of test sites and test clusters, each with a note of whose it is. What a run
 * that was killed has left behind is removed by the next one.
 *
 *   made ─► note written ─► in use ─► removed
 *                             └─ its process is gone ─► found by `removeStale` ─► removed
 */
interface Note {
  readonly pid: number;
  readonly startTime: string | undefined;
  /** Tag of the nodes that go with it (`makeNodes`): their namespaces and bridges carry it. */
  readonly tag?: string;
}

/** Clusters first: nobody writes into a site's directory when its nodes are gone. */
const kinds = ['wsp-slurm-', 'wsp-ge-', 'wsp-pbs-', 'wsp-site-'] as const;
const noteFile = 'owner.json';
const endDeadlineMs = 3_000;

/** A directory that is this process's, for as long as it lives. */
export function makePlace(kind: (typeof kinds)[number]): string {
  const directory = mkdtempSync(join(tmpdir(), kind));
  writeNote(directory);
  return directory;
}

/** Notes that nodes with this tag go with the place; before they are made. */
export function noteNodes(directory: string, tag: string): void {
  writeNote(directory, tag);
}

function writeNote(directory: string, tag?: string): void {
  const note: Note = {
    pid: process.pid,
    startTime: startTimeOf(process.pid),
    ...(tag === undefined ? {} : { tag }),
  };
  writeFileSync(join(directory, noteFile), JSON.stringify(note), { mode: 0o600 });
}

/** Ends all processes that were started for a place, and removes it with its networks. */
export async function removePlace(directory: string): Promise<void> {
  const note = readNote(directory);
  await endProcesses(directory);
  for (const tag of [note?.tag, ...tagsOfServices(directory)]) if (tag !== undefined) await removeNodes(tag);
  if (note?.tag !== undefined && directory.includes('wsp-slurm-')) await removeTracked(note.tag);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Removes the places of processes that are gone. */
export async function removeStale(): Promise<void> {
  for (const kind of kinds) {
    for (const name of readdirSync(tmpdir()).filter(entry => entry.startsWith(kind))) {
      const directory = join(tmpdir(), name);
      const note = readNote(directory);
      if (note && startTimeOf(note.pid) !== note.startTime) await removePlace(directory);
    }
  }
}

/** TERM, and KILL for what is left, to all processes of a directory. */
async function endProcesses(directory: string): Promise<void> {
  for (const signal of ['TERM', 'KILL']) {
    const pids = processesOf(directory);
    if (pids.length === 0) return;
    await systemProcesses.run(['kill', `-${signal}`, ...pids.map(String)], { deadlineMs: 10_000 });
    const deadlineMs = systemClock.monotonicMs() + endDeadlineMs;
    while (pids.some(pid => startTimeOf(pid) !== undefined) && systemClock.monotonicMs() < deadlineMs) {
      await pause(systemClock, 50);
    }
  }
}

/**
 * The processes that have something of `directory` in their arguments, or work in it: daemons have
 * arguments of their own.
 */
export function processesOf(directory: string): readonly number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter(pid => {
      try {
        const cwd = readlinkSync(`/proc/${pid}/cwd`);
        return (
          cwd === directory ||
          cwd.startsWith(`${directory}/`) ||
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory)
        );
      } catch {
        return false; // It has ended since.
      }
    })
    .map(Number);
}

function readNote(directory: string): Note | undefined {
  const path = join(directory, noteFile);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Note;
  } catch {
    return undefined;
  }
}

/** Of the embedded LRM's nodes, when its service was killed. */
function tagsOfServices(directory: string): readonly string[] {
  const pools = join(directory, 'state/pools');
  if (!existsSync(pools)) return [];
  return readdirSync(pools)
    .map(pool => join(pools, pool, 'nodes-tag'))
    .filter(path => existsSync(path))
    .map(path => readFileSync(path, 'utf8').trim());
}

async function removeNodes(tag: string): Promise<void> {
  const namespaces = (await ip('netns', 'list')).split('\n').map(line => line.split(' ')[0] ?? '');
  for (const name of namespaces.filter(each => each.startsWith(`ws${tag}-`))) {
    const pids = (await ip('netns', 'pids', name)).split('\n').filter(pid => pid !== '');
    if (pids.length > 0) await systemProcesses.run(['kill', '-KILL', ...pids], { deadlineMs: 10_000 });
    await ip('netns', 'del', name);
  }
  // Gone already is as good.
  for (const bridge of [`ws${tag}s`, `ws${tag}v`]) await ip('link', 'del', bridge);
}

async function ip(...args: string[]): Promise<string> {
  return (await systemProcesses.run(['ip', ...args], { deadlineMs: 30_000 })).stdout;
}
