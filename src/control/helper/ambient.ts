import { setPriority } from 'node:os';

/** Where root finds programs on a node, whatever its caller's PATH says. */
const path = '/usr/sbin:/usr/bin:/sbin:/bin';

/** Who called, as sudo says whatever its caller's environment does; without sudo, root itself. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Takes from this process what it has inherited from whoever started it, as far as a process can:
 * its environment, its directory, its mask for new files, its priority. Limits and the search for
 * this program itself are `wsp-helper`'s to set, before Node.js starts (`scripts/install-helper`).
 * Returns who called; undefined where sudo's word is none.
 */
export function forgetCaller(): Caller | undefined {
  const { SUDO_UID: uid = '0', SUDO_GID: gid = '0' } = process.env;
  for (const name of Object.keys(process.env)) delete process.env[name];
  process.env['PATH'] = path;
  process.umask(0o022);
  process.chdir('/');
  setPriority(0);
  return isId(uid) && isId(gid) ? { uid: Number(uid), gid: Number(gid) } : undefined;
}

function isId(text: string): boolean {
  return /^\d{1,10}$/.test(text);
}
