import { readFileSync } from 'node:fs';
import { systemProcesses } from '../../platform/process.ts';
import type { AgentErrand, AgentErrandResult } from '../../protocol/agent.ts';
import { WspError } from '../../protocol/errors.ts';
import { namePattern, nodeNamePattern } from '../../protocol/ids.ts';
import { parseMemoryMiB } from '../../protocol/units.ts';
import type { WspCommand } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { nodeToolsFile } from '../programs.ts';
import { cliSettings } from '../settings.ts';
import { usageError } from '../values.ts';

/** Longer than the node itself takes at most: joining, or ending an agent with its pilots. */
const errandDeadlineMs = 240_000;
const hostPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]*$/;
const programPattern = /^[A-Za-z0-9_./+-]+$/;

interface SshOptions {
  readonly directory: string;
  readonly login?: string;
  readonly nodeProgram: string;
  readonly sshOption: readonly string[];
}

interface AddOptions extends SshOptions {
  readonly pool: string;
  readonly secretFile: string;
  readonly service?: string;
  readonly name?: string;
  readonly memory?: string;
  readonly cpus?: string;
}

/** Adds `wsp nodes`, which lists them, and its `add` and `remove` of static nodes over ssh. */
export function addNodeCommands(program: WspCommand): void {
  const command = program
    .command('nodes')
    .summary('list nodes; add or remove static nodes')
    .description(
      'Lists the nodes of the live slots, and static nodes that are in no slot. Its subcommands make a host a static node, or end that.',
    )
    .does(nodes);
  overSsh(command.command('add').argument('<host>', 'the host, as ssh knows it'))
    .summary('make a host a static node')
    .description(
      'Makes a host a static node: installs the agent there over ssh and starts it. The command ends when the agent has joined, or says why it has not.',
    )
    .requiredOption('--pool <name>', 'the pool of static nodes that the host joins')
    .requiredOption('--secret-file <file>', "the pool's join secret (its joinSecretFile), on this host")
    .option(
      '--service <url>',
      'the URL by which the node reaches the service (default: the URL that this command uses)',
    )
    .option('--name <node>', "the node's name (default: its host name)")
    .option('--memory <size>', 'how much memory VMs may have there (default: three quarters)')
    .option('--cpus <n>', 'how many processors VMs may have there (default: all)')
    .examples('wsp nodes add n17 --pool static --secret-file join-secret --login vmuser')
    .does(add);
  overSsh(command.command('remove').argument('<host>', 'the host, as ssh knows it'))
    .summary('make a host no longer a static node')
    .description(
      'Ends the agent on a static node over ssh and removes it. VMs there are shut down, and their workspaces end.',
    )
    .does(remove);
}

function overSsh(command: WspCommand): WspCommand {
  return command
    .option('-l, --login <user>', "the user to log in as, whom VMs run as (default: ssh's own choice)")
    .option('--directory <dir>', "the agent's directory in that user's home", '.workspace-pilot-agent')
    .option('--node-program <program>', 'the name or path of Node.js there', 'node')
    .option(
      '-o, --ssh-option <option>',
      'an option for ssh, such as Port=2222; repeatable',
      (option: string, before: readonly string[]) => [...before, option],
      [],
    );
}

async function nodes(context: CommandContext): Promise<void> {
  context.list('nodes', await context.client().listNodes(), {
    NODE: node => node.name,
    POOL: node => node.pool,
    STATE: node => node.state,
    SLOT: node => node.slot,
    CONNECTED: node => (node.connected ? 'yes' : 'no'),
    ADDRESS: node => node.address,
    VMS: node => node.vms.join(' '),
  });
}

async function add(context: CommandContext, host: string, options: AddOptions): Promise<void> {
  const { pool, name, memory, cpus } = options;
  const { url, ca = null } = cliSettings(context.env);
  const service = options.service ?? url;
  if (!/^https?:\/\/[^/?#\s]+\/?$/.test(service))
    throw usage(
      `a node cannot reach the service at ${service}: say a URL such as --service http://head.site:8080`,
    );
  if (!new RegExp(namePattern).test(pool)) throw usage(`${pool} cannot be the name of a pool`);
  if (name !== undefined && !new RegExp(nodeNamePattern).test(name))
    throw usage(`${name} cannot be the name of a node`);
  if (memory !== undefined && parseMemoryMiB(memory) === undefined)
    throw usage(`${memory} is not a size such as 16G`);
  if (cpus !== undefined && !/^[1-9][0-9]{0,4}$/.test(cpus))
    throw usage(`${cpus} is not a number of processors`);
  const given = { '--node': name, '--memory': memory, '--cpus': cpus };
  const more = Object.entries(given).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
  const program = readFileSync(nodeToolsFile(), 'utf8');
  const result = await sendErrand(host, options, program, {
    kind: 'add',
    directory: options.directory,
    program,
    secret: readSecret(options.secretFile),
    ca,
    args: ['--service', service, '--pool', pool, ...more],
  });
  context.answer({ host, pool, pid: result.pid }, `${host} has joined pool ${pool}\n`);
}

async function remove(context: CommandContext, host: string, options: SshOptions): Promise<void> {
  const program = readFileSync(nodeToolsFile(), 'utf8');
  const { pid } = await sendErrand(host, options, program, { kind: 'remove', directory: options.directory });
  context.answer(
    { host, pid },
    pid === null ? `no agent was running on ${host}\n` : `${host} is no longer a static node\n`,
  );
}

/**
 * Runs our one file on the host, handed over on ssh's standard input with the errand in front, so that the secret is in no argument. The remote command is what
 * a shell there reads: its one word from outside has been checked.
 */
async function sendErrand(
  host: string,
  { login, nodeProgram, sshOption }: SshOptions,
  program: string,
  errand: AgentErrand,
): Promise<Extract<AgentErrandResult, { done: true }>> {
  if (!hostPattern.test(host)) throw usage(`${host} cannot be the name of a host`);
  if (!programPattern.test(nodeProgram))
    throw usage(`--node-program ${nodeProgram} is not a program's name or path`);
  const options = ['BatchMode=yes', ...sshOption].flatMap(option => ['-o', option]);
  const as = login === undefined ? [] : ['-l', login];
  const text = `globalThis.wspAgentErrand=${JSON.stringify(errand)};\n${program}`;
  const { code, stdout, stderr } = await systemProcesses
    .run(['ssh', ...options, ...as, '--', host, `${nodeProgram} -`], {
      deadlineMs: errandDeadlineMs,
      input: text,
    })
    .catch((cause: unknown) => {
      throw new WspError('failed', `ssh to ${host}: ${(cause as Error).message}`, { cause });
    });
  const result = resultIn(stdout);
  if (result?.done) return result;
  const why = result?.why ?? (stderr.trim() || `it ended with code ${code}`);
  throw new WspError('failed', `${host}: ${why}`, {
    hint: result
      ? 'on the host: wsp doctor --node tells what else is missing'
      : `try: ssh ${host} ${nodeProgram} --version`,
  });
}

/** What the node says, in the last line: a shell's start files may have printed more. */
function resultIn(stdout: string): AgentErrandResult | undefined {
  try {
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as AgentErrandResult;
  } catch {
    return undefined;
  }
}

function readSecret(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw usage(`the join secret cannot be read: ${(cause as Error).message}`);
  }
}

function usage(message: string): WspError {
  return usageError(message, 'wsp nodes add --help');
}
