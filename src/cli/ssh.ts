import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkspaceView } from '../protocol/api.ts';
import { WspError } from '../protocol/errors.ts';
import { startChild } from '../platform/children.ts';
import { NotPrinted, print, printed } from '../platform/printing.ts';
import { systemProcesses } from '../platform/process.ts';
import type { CommandContext } from './program.ts';
import { cachePlaces, isTrusted, keyPlaces, writableDirectory } from './directories.ts';

const keyName = 'id_ed25519';

/** The user's own key for VMs, made on first need. Returns the private key's path. */
export async function userKey(env: NodeJS.ProcessEnv): Promise<string> {
  const places = keyPlaces(env);
  const there = places
    .filter(isTrusted)
    .map(({ directory }) => join(directory, keyName))
    .find(existsSync);
  if (there !== undefined) return there;
  const path = join(writableDirectory(places, 'the SSH key'), keyName);
  const made = await systemProcesses.run(
    ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'wsp', '-f', path],
    { deadlineMs: 30_000 },
  );
  if (made.code !== 0)
    throw new WspError('failed', `ssh-keygen could not make ${path}: ${made.stderr.trim()}`);
  return path;
}

/** The user's public key line. */
export async function userPublicKey(env: NodeJS.ProcessEnv): Promise<string> {
  return readFileSync(`${await userKey(env)}.pub`, 'utf8').trim();
}

/** `W` or `W/VM` as a workspace and the name of one of its VMs; the first VM when none is named. */
export async function findVm(
  context: CommandContext,
  target: string,
): Promise<{ workspace: WorkspaceView; vm: string }> {
  const [name = '', wanted] = target.split('/');
  const workspace = await context.client().getWorkspace(name);
  const vm = workspace.vms.find(candidate => wanted === undefined || candidate.name === wanted);
  if (!vm) {
    throw new WspError('not_found', `workspace ${workspace.name} has no VM ${wanted ?? ''}`, {
      hint: `it has ${workspace.vms.map(each => each.name).join(', ')}`,
    });
  }
  return { workspace, vm: vm.name };
}

/** Runs the system's ssh over `wsp proxy`, with host keys known before. Returns its exit code. */
export async function ssh(
  context: CommandContext,
  target: string,
  command: readonly string[],
  login: string,
): Promise<number> {
  const { workspace, vm } = await findVm(context, target);
  const cache = writableDirectory(cachePlaces(context.env), 'the known hosts');
  const knownHosts = join(cache, `known_hosts.${workspace.id}`);
  writeFileSync(knownHosts, `${(await context.client().knownHosts(workspace.id)).join('\n')}\n`, {
    mode: 0o600,
  });
  const self = [process.execPath, process.argv[1] ?? ''];
  // ssh gives this line to a shell: our own paths are quoted, ids and names have no special characters.
  const proxy = [...self.map(shellQuote), 'proxy', `${workspace.id}/${vm}`, '22'].join(' ');
  const options = {
    ProxyCommand: proxy,
    HostKeyAlias: `${workspace.id}.${vm}`,
    UserKnownHostsFile: sshQuote(knownHosts),
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'yes',
    IdentitiesOnly: 'yes',
    IdentityFile: sshQuote(await userKey(context.env)),
    LogLevel: 'ERROR',
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const argv = ['ssh', '-F', '/dev/null', ...flags, '-l', login, options.HostKeyAlias, ...command] as const;
  const child = await startChild(argv, { stdio: [0, 1, 2], env: context.env });
  const { code } = await child.exited;
  return code ?? 255;
}

/** A path as ssh_config(5) takes it: spaces separate words, and a % begins a token. */
function sshQuote(path: string): string {
  return `"${path.replaceAll('%', '%%').replaceAll(/[\\"]/g, String.raw`\$&`)}"`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll('%', '%%').replaceAll("'", String.raw`'\''`)}'`;
}

/** Carries standard input and output to a TCP port of a VM or to its console, until either side ends. */
export async function carry(
  context: CommandContext,
  target: string,
  end: { kind: 'tcp'; port: number } | { kind: 'console' },
): Promise<number> {
  const { workspace, vm } = await findVm(context, target);
  const stream = await context.client().openStream(workspace.id, vm, end);
  process.stdin.on('end', () => stream.end());
  process.stdin.on('data', chunk => {
    // Ctrl-] leaves a console, as in telnet(1).
    if (end.kind === 'console' && process.stdin.isTTY && chunk.includes(0x1d)) stream.destroy();
    else if (!stream.write(chunk)) {
      process.stdin.pause();
      stream.once('drain', () => process.stdin.resume());
    }
  });
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      print(chunk);
      await printed();
    }
  } catch (cause) {
    if (cause instanceof NotPrinted) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    // We have left it, or it was closed: as good as its end.
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE')
      throw new WspError('unreachable', `the stream to ${target} broke: ${message}`);
  }
  // Nobody hears what may still come on standard input, which ssh keeps open until we end.
  return 0;
}
