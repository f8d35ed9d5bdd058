import type { Command } from 'commander';
import { WspError } from '../../protocol/errors.ts';
import type { Run } from '../program.ts';
import { carry, ssh } from '../ssh.ts';

/** Adds the commands that reach into a VM, all through its pilot's connection: ssh, console, and the proxy that ssh uses. */
export function addAccessCommands(program: Command, run: Run): void {
  program
    .command('ssh <target> [command...]')
    .description('log into W or W/VM, or run a command there')
    .option('-l, --login <user>', 'the user to be', 'root')
    .action((target: string, command: string[], options: { login: string }) =>
      run(context => ssh(context, target, command, options.login)),
    );
  program
    .command('console <target>')
    .description("a VM's serial console; Ctrl-] leaves")
    .action((target: string) =>
      run(async context => {
        if (process.stdin.isTTY) process.stdin.setRawMode(true);
        return await carry(context, target, { kind: 'console' });
      }),
    );
  program
    .command('proxy <target> <port>', { hidden: true })
    .action((target: string, port: string) =>
      run(context => carry(context, target, { kind: 'tcp', port: portOf(port) })),
    );
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new WspError('usage', `${text} is not a port: say a number from 1 to 65535`);
}
