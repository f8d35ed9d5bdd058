import { Command, CommanderError } from 'commander';
import { WspError } from '../protocol/errors.ts';
import { addWorkspaceCommands } from './commands/workspaces.ts';
import { table } from './output.ts';
import { type CommandContext, commandContext, reportFailure } from './program.ts';
import { loadService } from './programs.ts';
import { carry, ssh } from './ssh.ts';

/** `wsp`: parses the command line, runs one command, ends with its exit code (docs/cli.md). */
async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const program = new Command('wsp');
  let exitCode = 0;
  const json = (): boolean =>
    program.opts<{ json?: boolean }>().json ??
    argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined).includes('--json');
  const run = (work: (context: CommandContext) => Promise<void>): Promise<void> =>
    work(commandContext(env, json()));
  program
    .description('lease virtual machines and virtual clusters from a batch scheduler')
    .option('--json', 'one JSON document on standard output, errors too')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  addWorkspaceCommands(program, run);
  addSiteCommands(program, run);
  program
    .command('ssh <target> [command...]')
    .description('log into W or W/VM, or run a command there')
    .option('-l, --login <user>', 'the user to be', 'root')
    .action((target: string, command: string[], options: { login: string }) =>
      run(async context => {
        exitCode = await ssh(context, target, command, options.login);
      }),
    );
  program
    .command('console <target>')
    .description("a VM's serial console; Ctrl-] leaves")
    .action((target: string) =>
      run(async context => {
        if (process.stdin.isTTY) process.stdin.setRawMode(true);
        exitCode = await carry(context, target, { kind: 'console' });
      }),
    );
  program.command('proxy <target> <port>', { hidden: true }).action((target: string, port: string) =>
    run(async context => {
      exitCode = await carry(context, target, { kind: 'tcp', port: Number(port) });
    }),
  );
  program
    .command('service')
    .description('run the workspace service')
    .requiredOption('--config <file>', 'site file')
    .action((options: { config: string }) =>
      run(async () => (await loadService()).runService(options.config)),
    );
  for (const command of program.commands)
    command
      .option('--json', 'one JSON document on standard output')
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (cause) {
    if (cause instanceof CommanderError) {
      if (cause.exitCode === 0) return 0;
      const message = cause.message.replace(/^error: /, '');
      return reportFailure(
        new WspError('usage', message === '(outputHelp)' ? 'no command given' : message, {
          hint: 'wsp --help',
        }),
        json(),
        env,
      );
    }
    return reportFailure(cause, json(), env);
  }
}

function addSiteCommands(
  program: Command,
  run: (work: (context: CommandContext) => Promise<void>) => Promise<void>,
): void {
  program
    .command('slots')
    .description('nodes held through the batch scheduler')
    .action(() =>
      run(async context => {
        const slots = await context.client().listSlots();
        const rows = slots.map(slot => [
          slot.id,
          slot.state,
          slot.workspace ?? '-',
          slot.lrmJobId ?? '-',
          `${slot.nodes.length}/${slot.nodesWanted}`,
          slot.reason?.message ?? slot.lrmReason ?? '',
        ]);
        context.answer({ slots }, table(['SLOT', 'STATE', 'WORKSPACE', 'JOB', 'NODES', 'WHY'], rows));
      }),
    );
  program
    .command('nodes')
    .description('nodes of the live slots')
    .action(() =>
      run(async context => {
        const nodes = await context.client().listNodes();
        const rows = nodes.map(node => [
          node.name,
          node.state,
          node.connected ? 'yes' : 'no',
          node.address ?? '-',
          node.vms.join(' '),
        ]);
        context.answer({ nodes }, table(['NODE', 'STATE', 'CONNECTED', 'ADDRESS', 'VMS'], rows));
      }),
    );
  program
    .command('images')
    .description("the site's images")
    .action(() =>
      run(async context => {
        const images = await context.client().listImages();
        const rows = images.map(image => [
          image.name,
          image.boot,
          `${Math.ceil(image.sizeBytes / 1_048_576)}M`,
          image.description,
        ]);
        context.answer({ images }, table(['IMAGE', 'BOOT', 'SIZE', 'WHAT'], rows));
      }),
    );
}

process.exit(await main(process.argv.slice(2), process.env));
