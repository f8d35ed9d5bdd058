import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';

/**
 * What a node's `/dev`, `/run` and `/etc` are, to the last byte, owner and mode: taken before a
 * lease and after it. Shares no
 * code with the product.
 */
const roots = ['/dev', '/run', '/etc'] as const;

/**
 * Left out, with all that is below: the machine itself, or a test that runs beside this one,
 * changes them at any time.
 */
const leftOut: Readonly<Record<string, string>> = {
  '/dev/pts': 'terminals of whoever logs in',
  '/dev/shm': 'memory that running programs share',
  '/run/netns': 'the virtual nodes of other tests',
  '/etc/netns': 'the virtual nodes of other tests',
  '/run/lock': 'locks of running programs',
  '/run/munge': "a munged's socket and pid",
  '/run/mysqld': "a database server's socket and pid",
  '/run/sendsigs.omit.d': 'pids of daemons',
  '/run/systemd': "systemd's own state",
  '/run/udev': "udev's own state",
  '/run/user': 'sessions of users',
  '/run/utmp': 'who is logged in',
};

/** One line for each file, by its path. */
export type NodeFiles = ReadonlyMap<string, string>;

/** Everything of this machine's `/dev`, `/run` and `/etc`. Needs root. */
export function nodeFiles(): NodeFiles {
  const found = new Map<string, string>();
  for (const root of roots) visit(root, found);
  return found;
}

/** One line for each path that is new, missing or not what it was. */
export function changesOf(before: NodeFiles, after: NodeFiles): readonly string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter(path => before.get(path) !== after.get(path))
    .map(path => `${path}: ${before.get(path) ?? 'not there'} → ${after.get(path) ?? 'not there'}`);
}

function visit(path: string, found: Map<string, string>): void {
  if (path in leftOut) return;
  try {
    const stat = lstatSync(path);
    found.set(path, describe(path, stat));
    if (stat.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name), found);
  } catch (cause) {
    // It went away while it was looked at: then it is not there.
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    found.delete(path);
  }
}

/**
 * Type and permissions, owner, device number, and what is in it. Times are not compared: who only
 * reads a file changes them.
 */
function describe(path: string, stat: Stats): string {
  const facts = [stat.mode.toString(8), `${stat.uid}:${stat.gid}`, `device ${stat.rdev}`];
  if (stat.isSymbolicLink()) facts.push(`to ${readlinkSync(path)}`);
  if (stat.isFile()) facts.push(createHash('sha256').update(readFileSync(path)).digest('hex'));
  return facts.join(' ');
}
