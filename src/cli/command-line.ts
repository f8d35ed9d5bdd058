import { Command } from 'commander';
import { print } from '../platform/printing.ts';
import { version } from '../platform/version.ts';
import { addAccessCommands } from './commands/access.ts';
import { addAccountCommands } from './commands/accounts.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addLeaseCommands } from './commands/leases.ts';
import { addNodeCommands } from './commands/nodes.ts';
import { addOperationCommands } from './commands/operations.ts';
import { addSiteCommands } from './commands/site.ts';
import { addWebhookCommands } from './commands/webhooks.ts';
import { addWorkspaceCommands } from './commands/workspaces.ts';
import type { CommandContext, Run } from './program.ts';
import { loadHelperPolicy, loadIngest, loadService } from './programs.ts';
import { cliSettings } from './settings.ts';

/** Every command with its flags. `run` carries one out. docs/cli.md says the same in more words; a test compares them. */
export function commandLine(run: Run): Command {
  const program = new Command('wsp');
  program
    .description('lease virtual machines and virtual clusters from a batch scheduler')
    .version(version, '-V, --version', 'print the version')
    .option('--json', 'one JSON document on standard output, errors too')
    .helpCommand(false)
    .addHelpText('after', onNodes);
  addLeaseCommands(program, run);
  addWorkspaceCommands(program, run);
  addOperationCommands(program, run);
  addSiteCommands(program, run);
  addNodeCommands(program, run);
  addAccessCommands(program, run);
  addAccountCommands(program, run);
  addWebhookCommands(program, run);
  addDoctorCommand(program, run);
  program
    .command('service')
    .description('run the workspace service')
    .requiredOption('--config <file>', 'site file')
    .action((options: { config: string }) =>
      run(async () => (await loadService()).runService(options.config)),
    );
  program
    .command('helper-policy')
    .description('print what the helper may be asked on the nodes of a site: for install-helper --policy')
    .requiredOption('--config <file>', 'site file')
    .option('--pool <name>', 'of the nodes of this pool only')
    .action((options: PolicyOptions) => run(context => printPolicy(context, options)));
  program
    .command('ingest')
    .description('carry the messages of a pilot that came over ssh to the service; pilots run it')
    .action(() => run(ingest));
  const commands = program.commands.flatMap(command => [command, ...command.commands]);
  for (const command of commands) command.option('--json', 'one JSON document on standard output');
  for (const command of [program, ...commands])
    command.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: print });
  return program;
}

interface PolicyOptions {
  readonly config: string;
  readonly pool?: string;
}

/** The policy is a document for a program: the same with --json and without. */
async function printPolicy(context: CommandContext, { config, pool }: PolicyOptions): Promise<void> {
  const policy = (await loadHelperPolicy()).helperPolicyOfFile(config, pool);
  context.answer(policy, JSON.stringify(policy, null, 2));
}

async function ingest({ env }: CommandContext): Promise<void> {
  const { url, ca = null } = cliSettings(env);
  await (await loadIngest()).runIngest({ url, ca }, env);
}

/** `bin/wsp` hands these to the programs of nodes. */
const onNodes = `
On a node:
  agent                          make it a static node, on which workspaces run without a batch scheduler
  kill-all                       end every VM there and undo every change, with no service
  pilot, helper                  started by the batch scheduler and by the pilot`;
