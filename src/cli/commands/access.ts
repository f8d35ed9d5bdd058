import { carry } from '../carry.ts';
import { type WspCommand, vmWords, workspaceWords } from '../command.ts';
import { forward, portPair } from '../forward.ts';
import type { CommandContext } from '../program.ts';
import { scp, type ScpOptions, ssh } from '../ssh.ts';
import { sshConfigText, sshHosts } from '../ssh-config.ts';
import { usageError } from '../values.ts';

/**
 * Adds the commands that reach into a VM, all through its pilot's connection: ssh and its kin,
 * ports, console, and the proxy that ssh uses.
 */
export function addAccessCommands(program: WspCommand): void {
  addSshCommands(program);
  program
    .command('forward')
    .argument('<target>', vmWords)
    .argument('<ports...>', "a port here and the guest's, such as 8080:80; or one number for both")
    .summary("reach a guest's port through a port of this host")
    .description(
      "Listens on ports of this host and carries each connection to a port of a VM, through the VM's pilot, until Ctrl-C. You need no route to the VM. What listens in the guest has to listen on its address, not on 127.0.0.1 alone.",
    )
    .option('--address <ip>', 'the address of this host to listen on', '127.0.0.1')
    .examples('wsp forward osg/ce-0 8080:80', 'wsp forward osg/ce-0 8080:80 5432')
    .does((context, target: string, ports: string[], { address }: { address: string }) =>
      forward(context, target, ports.map(portPair), address),
    );
  program
    .command('console')
    .argument('<target>', vmWords)
    .summary("open a VM's serial console")
    .description("Opens a VM's serial console, for reading and typing. Ctrl-] leaves it.")
    .does(async (context, target: string) => {
      if (process.stdin.isTTY) process.stdin.setRawMode(true);
      return await carry(context, target, { kind: 'console' });
    });
  program
    .command('proxy <target> <port>', { hidden: true })
    .does((context, target: string, port: string) =>
      carry(context, target, { kind: 'tcp', port: portOf(port) }),
    );
}

const loginWords = 'the user to log in as';

function addSshCommands(program: WspCommand): void {
  program
    .command('ssh')
    .argument('<target>', vmWords)
    .argument('[command...]', 'the command to run there; put it behind --')
    .summary('log into a VM, or run a command there')
    .description(
      "Logs into a VM, or runs a command there. You need no route to the VM: the connection goes through the pilot's own, and the system's ssh makes it. The VM's host key is known before the VM boots, so ssh asks no question.",
    )
    .option('-l, --login <user>', loginWords, 'root')
    .examples('wsp ssh osg/ce-0', 'wsp ssh osg/ce-0 -- uname -a')
    .does((context, target: string, command: string[], options: { login: string }) =>
      ssh(context, target, command, options.login),
    );
  program
    .command('scp')
    .argument('<places...>', 'what to copy, then where to: paths here, and W/VM:PATH in a VM')
    .summary('copy files to a VM, from it, or between two')
    .description(
      "Copies files to a VM, from it, or between two, with the system's scp, as wsp ssh connects. A path here that has a colon in it begins with ./, as scp wants it. The guest needs an SFTP server, which cloud images have.",
    )
    .option('-r, --recursive', 'copy directories, with all that is in them')
    .option('-p, --preserve', 'keep times and modes')
    .option('-l, --login <user>', loginWords, 'root')
    .examples('wsp scp input.tar osg/ce-0:/tmp/', 'wsp scp -r osg/ce-0:results .')
    .does((context, places: string[], options: ScpOptions) => scp(context, places, options));
  program
    .command('ssh-config')
    .argument('<workspace>', workspaceWords)
    .summary('print an OpenSSH configuration for the VMs')
    .description(
      'Prints an OpenSSH configuration in which each VM of a workspace is a host, named VM.WORKSPACE, so that ssh, scp, sftp, rsync and Ansible reach it as wsp ssh does. It names a file of known hosts that this command writes: say it again after wsp add.',
    )
    .option('-l, --login <user>', loginWords, 'root')
    .examples(
      'wsp ssh-config osg > osg.conf; ssh -F osg.conf ce-0.osg',
      "rsync -e 'ssh -F osg.conf' -a input/ ce-0.osg:input",
    )
    .does(printSshConfig);
}

async function printSshConfig(
  context: CommandContext,
  name: string,
  { login }: { readonly login: string },
): Promise<void> {
  const hosts = await sshHosts(context, await context.client().getWorkspace(name), login);
  context.answer({ hosts }, `${sshConfigText(hosts)}\n`);
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw usageError(`${text} is not a port: say a number from 1 to 65535`);
}
