import type { WorkspaceView } from '../protocol/api.ts';
import { WspError } from '../protocol/errors.ts';
import { startChild } from '../platform/children.ts';
import type { CommandContext } from './program.ts';
import { sshConfigFile } from './ssh-config.ts';
import { usageError } from './values.ts';

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

/** Runs the system's ssh to a VM. Resolves with its exit code. */
export async function ssh(
  context: CommandContext,
  target: string,
  command: readonly string[],
  login: string,
): Promise<number> {
  const { workspace, vm } = await findVm(context, target);
  const config = await sshConfigFile(context, [workspace], login);
  return runHere(context, ['ssh', '-F', config, `${vm}.${workspace.id}`, ...command]);
}

/** A place in a VM: `W:PATH` or `W/VM:PATH`. */
const inVm = /^([a-z][a-z0-9-]*(?:\/[a-z][a-z0-9-]*)?):(.*)$/s;
/** What scp takes for a place on another host, such as `root@W:PATH`. */
const elsewhere = /^[^/]*:/;

/** What `wsp scp` is told beside the files. */
export interface ScpOptions {
  readonly login: string;
  readonly recursive?: boolean;
  readonly preserve?: boolean;
}

/**
 * Runs the system's scp between this host and VMs. A place is `W/VM:PATH` or `W:PATH`, or a path
 * here; a path here that has a colon in it begins with `./`, as scp wants it. Resolves with scp's
 * exit code.
 */
export async function scp(
  context: CommandContext,
  places: readonly string[],
  { login, recursive = false, preserve = false }: ScpOptions,
): Promise<number> {
  const workspaces = new Map<string, WorkspaceView>();
  const words: string[] = [];
  for (const place of places) {
    const [, target, path] = inVm.exec(place) ?? [];
    if (target === undefined) {
      if (elsewhere.test(place))
        throw usageError(
          `${place} is neither a place in a VM, which is written as W/VM:PATH, nor a path here`,
          'a path here that has a colon in it begins with ./; --login says which user to log in as',
        );
      words.push(place);
      continue;
    }
    const { workspace, vm } = await findVm(context, target);
    workspaces.set(workspace.id, workspace);
    words.push(`${vm}.${workspace.id}:${path}`);
  }
  if (workspaces.size === 0)
    throw usageError(
      'none of these is in a VM',
      'a place in a VM is written as W/VM:PATH, such as osg/ce-0:/tmp/result',
    );
  const config = await sshConfigFile(context, [...workspaces.values()], login);
  const flags = [...(recursive ? ['-r'] : []), ...(preserve ? ['-p'] : [])];
  // Between two VMs by way of this host: they need not reach each other.
  return runHere(context, ['scp', '-3', '-F', config, ...flags, '--', ...words]);
}

/** Runs a program on the user's own terminal. */
async function runHere({ env }: CommandContext, argv: readonly [string, ...string[]]): Promise<number> {
  const child = await startChild(argv, { stdio: [0, 1, 2], env });
  const { code } = await child.exited;
  return code ?? 255;
}
