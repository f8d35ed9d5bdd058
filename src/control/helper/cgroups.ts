import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** The files of the cgroup filesystem and of this process; others in tests. */
export interface CgroupFiles {
  readonly root: string;
  readonly self: string;
}

const ofThisHost: CgroupFiles = { root: '/sys/fs/cgroup', self: '/proc/self/cgroup' };

/**
 * Moves this process to the root of every cgroup hierarchy (v2, v1, or both), so that the LRM's kill of the job's cgroup does not find it (cgroups(7)).
 * Returns the hierarchies that it could not leave: the new session and the reparenting still hold, but an LRM that kills by cgroup would stop the undo.
 */
export function leaveCgroups(files: CgroupFiles = ofThisHost): string[] {
  const isElsewhere = readFileSync(files.self, 'utf8')
    .split('\n')
    .some(line => line !== '' && !line.endsWith(':/'));
  if (!isElsewhere || !existsSync(files.root)) return [];
  const hierarchies = [files.root, ...readdirSync(files.root).map(name => `${files.root}/${name}`)];
  return (
    hierarchies
      .map(path => `${path}/cgroup.procs`)
      // In a v2 root only the root itself counts: what stands in it are its children.
      .filter((path, index, all) => existsSync(path) && (index === 0 || !existsSync(all[0] ?? '')))
      .filter(path => !moveTo(path))
  );
}

function moveTo(path: string): boolean {
  try {
    writeFileSync(path, String(process.pid), { flag: 'r+' });
    return true;
  } catch {
    return false;
  }
}
