import { Option } from 'commander';
import { systemClock } from '../../platform/clock.ts';
import type { WorkspaceView } from '../../protocol/api.ts';
import {
  type GroupRequest,
  type HealPolicy,
  healPolicies,
  type WorkspaceRequest,
} from '../../protocol/cluster.ts';
import { type ErrorCode, WspError } from '../../protocol/errors.ts';
import { given } from '../../protocol/given.ts';
import { formatDuration } from '../../protocol/units.ts';
import { readUserData } from '../../client/files.ts';
import { type WspCommand, workspaceWords } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { progressLines, workspaceText } from '../output.ts';
import { describeWorkspace } from '../describe.ts';
import { loadClusterFile } from '../programs.ts';
import { readPublicKeys } from '../public-keys.ts';
import { userPublicKey } from '../user-key.ts';
import { duration, fromFile, memory, moment, repeat, usageError, whole } from '../values.ts';

interface GroupOptions {
  readonly file?: string;
  readonly image?: string;
  readonly group: string;
  readonly count: string;
  readonly memory: string;
  readonly cpus: string;
  readonly network?: string[];
  readonly userData?: string;
}

interface CreateOptions extends GroupOptions {
  readonly duration?: string;
  readonly name?: string;
  readonly project?: string;
  readonly sshKey?: string[];
  readonly startBy?: string;
  readonly keepPartial?: boolean;
  readonly requeue?: boolean;
  readonly heal?: HealPolicy;
  readonly pool?: string[];
  readonly pending?: boolean;
  readonly clientToken?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
  readonly timeout: string;
}

/** The flags that say which VMs. */
function withGroupOptions(command: WspCommand): WspCommand {
  return command
    .option(
      '-f, --file <file>',
      'the cluster file (YAML) that describes the VMs; give either this or --image',
    )
    .option('--image <image>', 'the image of the VMs; give either this or --file')
    .option('--group <name>', 'the name of the group of VMs: they are called <name>-0, <name>-1, …', 'vm')
    .option('--count <n>', 'how many VMs', '1')
    .option('--memory <size>', 'the memory of each VM, such as 512M or 4G', '256M')
    .option('--cpus <n>', 'the processors of each VM', '1')
    .option(
      '--network <name>',
      "a network of the VMs; repeatable, in the order of the VM's interfaces (default: the site's default network)",
      repeat,
    )
    .option(
      '--user-data <file>',
      'a file that is handed to the guests byte for byte: a script, cloud-config, or gzip; at most 65536 bytes',
    );
}

/** Adds the commands that bring a workspace about: create, add, launch, extend. */
export function addLeaseCommands(program: WspCommand): void {
  const command = program
    .command('create')
    .summary('lease VMs of one image, or a virtual cluster that a file describes')
    .description(
      'Leases VMs of one image (--image), or a virtual cluster that a cluster file describes (--file). Your own public key, which wsp makes at its first use, may log into every VM as root.',
    );
  withTermOptions(withGroupOptions(command));
  command
    .option('--pending', 'only put the workspace together: wsp add adds groups, wsp launch starts it')
    .option(
      '--client-token <token>',
      'a word that you make up: the same request with the same token always means the same workspace, so you can repeat it safely; another request with that token is refused',
    )
    .option(
      '--dry-run',
      'create nothing; only say whether the request would be accepted, and what would be asked of the batch scheduler',
    )
    .option('--wait', setUpWords)
    .option('--timeout <time>', timeoutWords, '5m')
    .examples(
      'wsp create --image mini --memory 512M --duration 2h --wait',
      'wsp create -f cluster.yaml --wait --timeout 1h',
      'wsp create -f cluster.yaml --dry-run',
    )
    .does(create);
  addPendingCommands(program);
  program
    .command('extend')
    .argument('<workspace>', workspaceWords)
    .argument('<time>', 'how much longer, such as 30m')
    .summary('make a running lease longer')
    .description(
      'Makes a running lease longer. If its batch job would end too soon, the batch scheduler is asked to let the job run longer; where that is refused, the message says what would work.',
    )
    .examples('wsp extend osg 30m')
    .does(async (context, name: string, time: string) => {
      const workspace = await context.client().extendWorkspace(name, duration(time, '<time>'));
      context.answer(workspace, `${workspace.name} (${workspace.id}): ${describeWorkspace(workspace)}\n`);
    });
}

const setUpWords = 'return when every VM runs and every guest that reports its set-up has reported it';
const timeoutWords = 'how long to wait; the workspace goes on without you after that';

/** The flags that say on what terms. */
function withTermOptions(command: WspCommand): WspCommand {
  return command
    .option('--duration <time>', "the length of the lease, such as 1h or 90m (default: the site's)")
    .option('--name <name>', 'the name of the workspace, unique among your live ones (default: its id)')
    .option(
      '--project <name>',
      'the project that is charged beside you: one that you are in (default: your first)',
    )
    .option(
      '--pool <name>',
      "a pool whose nodes the workspace may have; repeatable, the best first (default: all pools, in the site's order)",
      repeat,
    )
    .option(
      '--ssh-key <file>',
      'a file of public keys, one a line, that may log in beside your own; repeatable',
      repeat,
    )
    .option(
      '--start-by <time>',
      'give up unless all VMs run by then: 30m (from now), or a time such as 2026-11-23T14:00:00Z',
    )
    .option('--keep-partial', 'run with the VMs that come up (default: all VMs run, or none does)')
    .option(
      '--requeue',
      'start the workspace anew in a new slot, at most three times, when the batch scheduler takes its nodes back (default: it ends then)',
    )
    .addOption(
      new Option(
        '--heal <policy>',
        'what happens when a VM is lost while the workspace runs: fail, which is the default, ends the workspace; replace starts another VM in its place, at most three times',
      ).choices(healPolicies),
    );
}

/** The commands on workspaces that are not launched yet. */
function addPendingCommands(program: WspCommand): void {
  withGroupOptions(
    program
      .command('add')
      .argument('<workspace>', workspaceWords)
      .summary('add VMs to a workspace that is not launched yet')
      .description(
        'Adds groups of VMs to a workspace that was created with --pending and is not launched yet.',
      ),
  )
    .examples('wsp add grown --group worker --image mini --count 4')
    .does(add);
  program
    .command('launch')
    .argument('<workspace>', workspaceWords)
    .summary('start a workspace that was created with --pending')
    .description(
      'Starts a workspace that was created with --pending: all of its groups are placed together, once. It does no harm to launch a workspace again.',
    )
    .option('--wait', setUpWords)
    .option('--timeout <time>', timeoutWords, '5m')
    .does(async (context, name: string, options: { wait?: boolean; timeout: string }) => {
      const timeoutMs = duration(options.timeout, '--timeout');
      await answerWhenUp(context, await context.client().launchWorkspace(name), options.wait, timeoutMs);
    });
}

async function create(context: CommandContext, options: CreateOptions): Promise<void> {
  const timeoutMs = duration(options.timeout, '--timeout');
  const request = await requestOf(context, options);
  if (options.dryRun) return tryOut(context, request);
  if (request.pending && options.wait)
    throw usageError(
      '--wait cannot be used with --pending, because nothing starts yet: use it with wsp launch',
    );
  const created = await context.client().createWorkspace(request);
  await answerWhenUp(context, created, options.wait, timeoutMs);
}

async function tryOut(context: CommandContext, request: WorkspaceRequest): Promise<void> {
  const trial = await context.client().tryWorkspace(request);
  const { refusal, slot } = trial;
  if (refusal) throw new WspError(refusal.code as ErrorCode, refusal.message, { hint: refusal.hint });
  const text = slot?.held
    ? `the request would be accepted, in slot ${slot.held}, which is held already`
    : slot
      ? `the request would be accepted: one batch job of ${slot.nodes} nodes, each with ${slot.memoryMiBPerNode} MiB and ${slot.cpusPerNode} processors, for ${formatDuration(slot.walltimeMs)}`
      : 'the request would be accepted';
  const doubt = trial.doubt === null ? '' : `; but not at this moment: ${trial.doubt}`;
  context.answer(trial, `${text}${doubt}\n`);
}

/** Answers at once, or (`wait`) when the workspace is up. */
async function answerWhenUp(
  context: CommandContext,
  created: WorkspaceView,
  wait: boolean | undefined,
  timeoutMs: number,
): Promise<void> {
  if (wait !== true) {
    context.answer(
      created,
      `${created.name} (${created.id}) is ${created.state}. ${describeWorkspace(created)}\n`,
    );
    return;
  }
  const ready = await context
    .client()
    .waitForWorkspace(created.id, isReady, {
      timeoutMs,
      onWorkspace: progressLines(),
      tell: describeWorkspace,
    })
    .catch((cause: unknown) => {
      if (!(cause instanceof WspError) || cause.code !== 'timeout') throw cause;
      throw new WspError('timeout', cause.message, {
        hint: `the workspace goes on without you: wsp show ${created.id} shows it, wsp destroy ${created.id} gives it up`,
        cause,
      });
    });
  if (!isReady(ready)) {
    throw new WspError(
      'failed',
      `workspace ${ready.name} (${ready.id}) did not start: ${ready.reason?.message ?? ready.state}`,
    );
  }
  const broken = ready.vms.find(vm => vm.context === 'error');
  if (broken)
    throw new WspError(
      'failed',
      `VM ${broken.name} runs, but its guest could not set itself up: ${broken.reason?.message ?? 'it does not say why'}`,
    );
  context.answer(ready, workspaceText(ready));
}

/** Runs, and every guest that is there has said how its set-up went. */
function isReady({ state, vms }: WorkspaceView): boolean {
  const waitedFor = vms.filter(vm => vm.state !== 'failed' && vm.state !== 'terminated');
  return state === 'running' && waitedFor.every(vm => vm.context !== 'pending');
}

async function add(context: CommandContext, name: string, options: GroupOptions): Promise<void> {
  const { groups } = await groupsOf(options);
  const workspace = await context.client().addGroups(name, groups);
  const known = workspace.groups.map(group => `${group.name} (${group.count})`).join(', ');
  context.answer(
    workspace,
    `${workspace.name} (${workspace.id}) has the groups ${known}. ${describeWorkspace(workspace)}\n`,
  );
}

async function requestOf(context: CommandContext, options: CreateOptions): Promise<WorkspaceRequest> {
  const isEmpty = options.pending === true && options.file === undefined && options.image === undefined;
  const base: WorkspaceRequest = isEmpty ? { groups: [] } : await groupsOf(options);
  const keys = [await userPublicKey(context.env), ...(options.sshKey ?? []).flatMap(readPublicKeys)];
  const { name, project, keepPartial, requeue, heal, pool, pending, clientToken, startBy } = options;
  return {
    ...base,
    ...given({ name, project, keepPartial, requeue, heal, pools: pool, pending, clientToken }),
    ...(options.duration === undefined ? {} : { durationMs: duration(options.duration, '--duration') }),
    ...(startBy === undefined ? {} : { startBy: moment(startBy, '--start-by') }),
    sshKeys: [...(base.sshKeys ?? []), ...keys],
  };
}

async function groupsOf(options: GroupOptions): Promise<WorkspaceRequest> {
  if ((options.file === undefined) === (options.image === undefined))
    throw usageError(
      'say which VMs you want: either -f FILE or --image IMAGE',
      'wsp create --help shows examples',
    );
  if (options.file === undefined) return { groups: [oneGroup(options)] };
  return (await loadClusterFile()).readClusterFile(options.file, systemClock.now());
}

function oneGroup(options: GroupOptions): GroupRequest {
  return {
    name: options.group,
    image: options.image ?? '',
    count: whole(options.count, '--count'),
    memoryMiB: memory(options.memory, '--memory'),
    cpus: whole(options.cpus, '--cpus'),
    ...given({ networks: options.network }),
    ...(options.userData === undefined
      ? {}
      : { userData: fromFile('--user-data', options.userData, readUserData) }),
  };
}
