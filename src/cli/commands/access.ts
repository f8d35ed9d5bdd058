import { type WspCommand, vmWords } from '../command.ts';
import { carry, ssh } from '../ssh.ts';
import { usageError } from '../values.ts';

/** Adds the commands that reach into a VM, all through its pilot's connection: ssh, console, and the proxy that ssh uses. */
export function addAccessCommands(program: WspCommand): void {
  program
    .command('ssh')
    .argument('<target>', vmWords)
    .argument('[command...]', 'the command to run there; put it behind --')
    .summary('log into a VM, or run a command there')
    .description(
      "Logs into a VM, or runs a command there. You need no route to the VM: the connection goes through the pilot's own, and the system's ssh makes it. The VM's host key is known before the VM boots, so ssh asks no question.",
    )
    .option('-l, --login <user>', 'the user to log in as', 'root')
    .examples('wsp ssh osg/ce-0', 'wsp ssh osg/ce-0 -- uname -a')
    .does((context, target: string, command: string[], options: { login: string }) =>
      ssh(context, target, command, options.login),
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

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw usageError(`${text} is not a port: say a number from 1 to 65535`);
}
