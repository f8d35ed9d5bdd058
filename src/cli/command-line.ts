import { print } from '../platform/printing.ts';
import { version } from '../platform/version.ts';
import { addAccessCommands } from './commands/access.ts';
import { addAccountCommands, addAdministrationCommands } from './commands/accounts.ts';
import { addBackupCommand } from './commands/backup.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addLeaseCommands } from './commands/leases.ts';
import { addNodeCommands } from './commands/nodes.ts';
import { addOperationCommands } from './commands/operations.ts';
import { addSiteCommands } from './commands/site.ts';
import { addWebhookCommands } from './commands/webhooks.ts';
import { addWorkspaceCommands } from './commands/workspaces.ts';
import { loadHelperPolicy, loadIngest, loadService } from './programs.ts';
import { cliSettings } from './settings.ts';
import { WspCommand } from './command.ts';
import type { CommandContext, Run } from './program.ts';

/** Every command with its flags, in the words of docs/cli.md: a test compares them. */
export function commandLine(run: Run): WspCommand {
  const program = new WspCommand(run, 'wsp');
  program
    .description('Leases virtual machines and virtual clusters from a batch scheduler.')
    .version(version, '-V, --version', 'print the version')
    .option('--json', jsonWords)
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .addHelpText('after', onNodes);
  program.commandsGroup('Lease:');
  addLeaseCommands(program);
  addWorkspaceCommands(program);
  program.commandsGroup('Reach a VM:');
  addAccessCommands(program);
  program.commandsGroup('Give orders to VMs:');
  addOperationCommands(program);
  program.commandsGroup('Look at the site and at yourself:');
  addSiteCommands(program);
  addAccountCommands(program);
  addDoctorCommand(program);
  program.commandsGroup('Be told what happens:');
  addWebhookCommands(program);
  program.commandsGroup('Run a site:');
  addNodeCommands(program);
  addAdministrationCommands(program);
  addServiceCommands(program);
  addBackupCommand(program);
  const commands = program.commands.flatMap(command => [command, ...command.commands]);
  for (const command of commands) command.option('--json', jsonWords);
  for (const command of [program, ...commands])
    command.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: print });
  return program;
}

const jsonWords = 'print one JSON document on standard output, also when the command fails';

/** The service itself, and what goes with it. */
function addServiceCommands(program: WspCommand): void {
  program
    .command('service')
    .summary('run the workspace service')
    .description(
      'Runs the workspace service until SIGTERM or SIGINT. Its log goes to standard error, one JSON object a line.',
    )
    .requiredOption('--config <file>', 'the site file')
    .examples('wsp service --config /etc/workspace-pilot/site.yaml')
    .does(async (_context, options: { config: string }) => (await loadService()).runService(options.config));
  program
    .command('helper-policy')
    .summary("print the policy of the nodes' helper, for install-helper --policy")
    .description(
      "Prints the policy that a site's nodes need: what the helper may be asked there. scripts/install-helper --policy installs it.",
    )
    .requiredOption('--config <file>', 'the site file')
    .option('--pool <name>', "only the networks that this pool's nodes reach (default: all of the site's)")
    .examples('wsp helper-policy --config /etc/workspace-pilot/site.yaml > policy.json')
    .does(printPolicy);
  program
    .command('ingest')
    .summary('carry the messages of a pilot that came over ssh (pilots run it)')
    .description(
      'Carries the messages of a pilot that came over ssh to the service, on standard input and output, until either side ends. Pilots run it.',
    )
    .does(ingest);
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
  agent                          make this host a static node, on which workspaces run without a batch scheduler
  kill-all                       end every VM of this node and undo every change, without the service
  pilot, helper                  the batch scheduler starts the pilot, and the pilot starts the helper

Try: wsp doctor, then wsp types, then wsp create --image mini --wait`;
