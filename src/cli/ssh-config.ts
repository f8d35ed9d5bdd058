import { createHash } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkspaceView } from '../protocol/api.ts';
import { WspError } from '../protocol/errors.ts';
import { namePattern, workspaceIdPattern } from '../protocol/ids.ts';
import type { CommandContext } from './program.ts';
import { cachePlaces, writableDirectory } from './directories.ts';
import { userKey } from './user-key.ts';
import { usageError } from './values.ts';

/**
 * How OpenSSH's programs reach VMs: a configuration (ssh_config(5)) in which each is a host, named
 * `VM.WORKSPACE`, that `wsp proxy` carries the bytes to, through the VM's pilot. Host keys are
 * known before a VM boots, so a wrong one is an error, never a question.
 */
export interface SshHost {
  /** By the workspace's name, as people say it, and by its id, which no other workspace ever has. */
  readonly names: readonly [byName: string, byId: string];
  /** Keywords of ssh_config(5), quoted as it wants them. */
  readonly options: Readonly<Record<string, string>>;
}

/**
 * The hosts that a workspace's VMs are. Their known hosts are written into the user's cache. Throws
 * `WspError`: `usage` (the login), `service_unreachable` (names that no service of ours gives).
 */
export async function sshHosts(
  context: CommandContext,
  workspace: WorkspaceView,
  login: string,
): Promise<readonly SshHost[]> {
  const { id, name, vms } = workspace;
  requireNames(workspace, context.client().url);
  if (!/^\w[\w.@+-]*$/.test(login))
    throw usageError(`--login ${login} is not a user name: say letters, digits, and . @ + - _ between them`);
  const identityFile = sshQuoted(await userKey(context.env));
  const knownHosts = cacheFile(context, `known_hosts.${id}`);
  const lines = await context.client().knownHosts(id);
  replaceFile(knownHosts, lines.map(line => `${line}\n`).join(''));
  // ssh gives this line to a shell: our own paths are quoted, ids and names are `requireNames`'.
  const proxy = [process.execPath, process.argv[1] ?? ''].map(shellQuoted).join(' ');
  return vms.map(({ name: vm }) => ({
    names: [`${vm}.${name}`, `${vm}.${id}`],
    options: {
      User: login,
      ProxyCommand: `${proxy} proxy ${id}/${vm} 22`,
      HostKeyAlias: `${id}.${vm}`,
      UserKnownHostsFile: sshQuoted(knownHosts),
      GlobalKnownHostsFile: '/dev/null',
      StrictHostKeyChecking: 'yes',
      IdentitiesOnly: 'yes',
      IdentityFile: identityFile,
      LogLevel: 'ERROR',
    },
  }));
}

/** A rogue's words would be files of its choice, and commands: ids and names become parts of both. */
function requireNames({ id, name, vms }: WorkspaceView, url: string): void {
  const isId = new RegExp(workspaceIdPattern).test(id);
  const names = [name, ...vms.map(vm => vm.name)];
  const wrong = isId ? names.find(each => !new RegExp(namePattern).test(each)) : id;
  if (wrong === undefined) return;
  const told = JSON.stringify(wrong).slice(0, 60);
  throw new WspError('service_unreachable', `what answers at ${url} calls a workspace or a VM ${told}`, {
    hint: 'it is not a Workspace Service, or it pretends to be one: tell an administrator',
  });
}

/** The hosts as a file for `ssh -F` and `Include`. */
export function sshConfigText(hosts: readonly SshHost[]): string {
  return hosts
    .map(({ names, options }) =>
      [
        `Host ${names.join(' ')}`,
        ...Object.entries(options).map(([keyword, value]) => `  ${keyword} ${value}`),
      ].join('\n'),
    )
    .join('\n\n');
}

/** Writes the configuration for the VMs of these workspaces into the user's cache. Returns its path. */
export async function sshConfigFile(
  context: CommandContext,
  workspaces: readonly WorkspaceView[],
  login: string,
): Promise<string> {
  const hosts: SshHost[] = [];
  // One after the other: the first may have to make the user's key.
  for (const workspace of workspaces) hosts.push(...(await sshHosts(context, workspace, login)));
  // One of its own for each login, too: scp reads it again with each file, while others write theirs.
  const whose = createHash('sha256').update([login, ...workspaces.map(({ id }) => id)].join(' '));
  const path = cacheFile(context, `ssh_config.${whose.digest('hex').slice(0, 16)}`);
  replaceFile(path, `${sshConfigText(hosts)}\n`);
  return path;
}

function cacheFile({ env }: CommandContext, name: string): string {
  return join(writableDirectory(cachePlaces(env), 'the known hosts'), name);
}

/** Whole or not at all: another ssh to the same workspace may be reading it. */
function replaceFile(path: string, text: string): void {
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, text, { mode: 0o600 });
  renameSync(fresh, path);
}

/** A path as ssh_config(5) takes it: spaces separate words, and a % begins a token. */
function sshQuoted(path: string): string {
  return `"${path.replaceAll('%', '%%').replaceAll(/[\\"]/g, String.raw`\$&`)}"`;
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll('%', '%%').replaceAll("'", String.raw`'\''`)}'`;
}
