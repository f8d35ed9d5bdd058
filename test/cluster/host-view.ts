import { chownSync, copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemProcesses } from '../../src/platform/process.ts';

/** The ordinary users of a test's site: whose jobs the leases are, and another. */
export type SiteUser = 'wsp' | 'ann';

/**
 * This machine as a site's people and daemons see it, and nobody else: with ordinary users, sudo
 * rules, a checkout and a Node.js that everybody can read. It is a mount
 * namespace for each command, so nothing of the machine's is touched, whatever has been installed
 * there and however many sites there are at once.
 */
export interface HostView {
  /** The checkout and the Node program there: the machine's own may be where only root gets to. */
  readonly checkout: string;
  readonly node: string;
  homeOf(user: SiteUser): string;
  /** The command, to be run there as whoever runs it. */
  inside(argv: readonly string[]): [string, ...string[]];
  /** The command, to be run there as that user, with their groups and nothing of root's. */
  as(user: SiteUser, argv: readonly string[]): [string, ...string[]];
}

/** Of the range that Debian gives to nobody (Debian Policy 9.2.2). */
export const userIds: Readonly<Record<SiteUser, number>> = { wsp: 59_101, ann: 59_102 };

/** Makes the view in `directory`, which is root's and which everybody may look into. */
export async function makeHostView(directory: string): Promise<HostView> {
  const view = join(directory, 'view');
  const [checkout, node, sudoers] = ['checkout', 'bin/node', 'sudoers.d'].map(name => join(view, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [checkout, join(view, 'bin'), sudoers]) mkdirSync(path, { recursive: true });
  for (const [user, id] of Object.entries(userIds)) {
    const home = homeIn(view, user);
    mkdirSync(home, { recursive: true });
    chownSync(home, id, id);
  }
  writeAccounts(view);
  const table = [
    [join(view, 'passwd'), '/etc/passwd'],
    [join(view, 'group'), '/etc/group'],
    [join(view, 'shadow'), '/etc/shadow'],
    [sudoers, '/etc/sudoers.d'],
    [join(import.meta.dirname, '../..'), checkout],
  ];
  // Root runs no program that a user could replace, as one in a user's home; a copy is root's.
  if (statSync(process.execPath).uid !== 0) copyFileSync(process.execPath, node);
  else {
    // No program: whoever is not in the view goes on to the next one in PATH.
    writeFileSync(node, '', { mode: 0o644 });
    table.push([process.execPath, node]);
  }
  // As udev leaves it, also where there is none (docs/admin/install.md).
  if ((statSync('/dev/net/tun').mode & 0o006) !== 0o006) {
    await openTun(join(view, 'tun'));
    table.push([join(view, 'tun'), '/dev/net/tun']);
  }
  const fstab = join(view, 'fstab');
  writeFileSync(fstab, table.map(paths => `${paths.map(escaped).join(' ')} none bind 0 0\n`).join(''));
  const enter = 'mount -a -T "$0" && exec "$@"';
  const inside: HostView['inside'] = argv => ['unshare', '--mount', '--', 'sh', '-c', enter, fstab, ...argv];
  return {
    checkout,
    node,
    homeOf: user => homeIn(view, user),
    inside,
    as: (user, argv) => inside(['setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups', ...argv]),
  };
}

function homeIn(view: string, user: string): string {
  return join(view, 'home', user);
}

/** This machine's users and groups, and the site's. */
function writeAccounts(view: string): void {
  const names = Object.keys(userIds);
  const others = (path: string): readonly string[] =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter(line => line !== '' && !names.includes(line.split(':')[0] ?? ''));
  const users = Object.entries(userIds).map(
    ([user, id]) => `${user}:*:${id}:${id}::${homeIn(view, user)}:/bin/sh`,
  );
  const groups = Object.entries(userIds).map(([user, id]) => `${user}:*:${id}:`);
  // Who may use /dev/kvm, as docs/admin/install.md has it.
  const withKvm = others('/etc/group').map(line =>
    line.startsWith('kvm:') ? `${line}${line.endsWith(':') ? '' : ','}wsp` : line,
  );
  writeFileSync(join(view, 'passwd'), `${[...others('/etc/passwd'), ...users].join('\n')}\n`);
  // Without theirs, if this machine has them: a locked password keeps sshd from them.
  writeFileSync(join(view, 'shadow'), `${others('/etc/shadow').join('\n')}\n`, { mode: 0o600 });
  writeFileSync(join(view, 'group'), `${[...withKvm, ...groups].join('\n')}\n`);
}

/** /dev/net/tun (Linux: character device 10, 200), open to all. */
async function openTun(path: string): Promise<void> {
  const argv = ['mknod', '-m', '666', path, 'c', '10', '200'] as const;
  const { code, stderr } = await systemProcesses.run(argv, { deadlineMs: 10_000 });
  if (code !== 0) throw new Error(`mknod: ${stderr.trim()}`);
}

/** fstab(5). */
function escaped(path: string): string {
  return path.replaceAll('\\', '\\134').replaceAll(' ', '\\040').replaceAll('\t', '\\011');
}
