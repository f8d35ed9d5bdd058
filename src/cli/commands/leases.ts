import { type Command, Option } from 'commander';
import { systemClock } from '../../platform/clock.ts';
import type { DryRunView, WorkspaceView } from '../../protocol/api.ts';
import {
  type GroupRequest,
  type HealPolicy,
  healPolicies,
  type WorkspaceRequest,
} from '../../protocol/cluster.ts';
import { type ErrorCode, WspError } from '../../protocol/errors.ts';
import { formatDuration } from '../../protocol/units.ts';
import { readUserData } from '../../client/files.ts';
import { progressLines, workspaceText } from '../output.ts';
import { story } from '../story.ts';
import type { CommandContext, Run } from '../program.ts';
import { loadClusterFile } from '../programs.ts';
import { readPublicKeys } from '../public-keys.ts';
import { userPublicKey } from '../ssh.ts';
import { duration, fromFile, memory, moment, whole } from '../values.ts';

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
  readonly pool?: readonly string[];
  readonly pending?: boolean;
  readonly clientToken?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
  readonly timeout: string;
}

const repeat = (value: string, earlier: string[] = []): string[] => [...earlier, value];

/** The flags that say which VMs. */
function withGroupOptions(command: Command): Command {
  return command
    .option('-f, --file <file>', 'cluster file (YAML)')
    .option('--image <image>', 'image of the VMs, instead of a file')
    .option('--group <name>', 'name of the group: its VMs are <name>-0, <name>-1, …', 'vm')
    .option('--count <n>', 'how many VMs', '1')
    .option('--memory <size>', 'memory of each', '256M')
    .option('--cpus <n>', 'processors of each', '1')
    .option('--network <name>', 'a network, in the order of the interfaces; repeatable', repeat)
    .option('--user-data <file>', 'handed to the guests as it is');
}

/** Adds the commands that bring a workspace about: create, add, launch, extend. */
export function addLeaseCommands(program: Command, run: Run): void {
  withGroupOptions(
    program.command('create').description('lease a virtual cluster from a cluster file, or VMs of one image'),
  )
    .option('--duration <time>', 'length of the lease, as 1h or 90m')
    .option('--name <name>', "the workspace's name")
    .option('--project <name>', 'the project that is charged; your first one')
    .option('--pool <name>', 'whose nodes it may have, the best first; repeatable', repeat)
    .option(
      '--ssh-key <file>',
      'public keys that may log in, beside your own, one a line; repeatable',
      repeat,
    )
    .option(
      '--start-by <time>',
      'give up unless all VMs run by then: 30m from now, or a time as 2026-11-23T14:00:00Z',
    )
    .option('--keep-partial', 'run with the VMs that come up; else all run, or none does')
    .option('--requeue', 'start it anew when the batch scheduler takes its nodes back; else it ends then')
    .addOption(
      new Option('--heal <policy>', 'when a VM is lost: end (fail), or start another in its place').choices(
        healPolicies,
      ),
    )
    .option('--pending', 'wait for wsp launch; groups can be added until then')
    .option(
      '--client-token <token>',
      'made up by you: the same request with the same token is the same workspace',
    )
    .option('--dry-run', 'only say whether it would be accepted, and what would be asked for')
    .option('--wait', 'until every VM runs and is set up')
    .option('--timeout <time>', 'how long to wait', '5m')
    .action((options: CreateOptions) => run(context => create(context, options)));
  withGroupOptions(
    program.command('add <workspace>').description('add groups to a pending workspace'),
  ).action((name: string, options: GroupOptions) => run(context => add(context, name, options)));
  program
    .command('launch <workspace>')
    .description('place and deploy a pending workspace as a whole')
    .option('--wait', 'until every VM runs and is set up')
    .option('--timeout <time>', 'how long to wait', '5m')
    .action((name: string, options: { wait?: boolean; timeout: string }) =>
      run(async context => {
        const timeoutMs = duration(options.timeout, '--timeout');
        await answerWhenUp(context, await context.client().launchWorkspace(name), options.wait, timeoutMs);
      }),
    );
  program
    .command('extend <workspace> <time>')
    .description('make a running lease longer by so much, as 30m')
    .action((name: string, time: string) =>
      run(async context => {
        const workspace = await context.client().extendWorkspace(name, duration(time, '<time>'));
        context.answer(workspace, `${workspace.name} (${workspace.id}): ${story(workspace)}\n`);
      }),
    );
}

async function create(context: CommandContext, options: CreateOptions): Promise<void> {
  const timeoutMs = duration(options.timeout, '--timeout');
  const request = await requestOf(context, options);
  if (options.dryRun) return tryOut(context, request);
  if (request.pending && options.wait)
    throw new WspError('usage', '--wait has nothing to wait for with --pending: use it with wsp launch');
  const created = await context.client().createWorkspace(request);
  await answerWhenUp(context, created, options.wait, timeoutMs);
}

async function tryOut(context: CommandContext, request: WorkspaceRequest): Promise<void> {
  const trial = await context.client().tryWorkspace(request);
  if (trial.refusal) throw refusalError(trial.refusal);
  const { slot } = trial;
  const text = slot?.held
    ? `would be accepted, in slot ${slot.held}, which is held already`
    : slot
      ? `would be accepted: one batch job of ${slot.nodes} nodes, each with ${slot.memoryMiBPerNode} MiB and ${slot.cpusPerNode} processors, for ${formatDuration(slot.walltimeMs)}`
      : 'would be accepted';
  const doubt = trial.doubt === null ? '' : `; not just now: ${trial.doubt}`;
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
    context.answer(created, `${created.name} (${created.id}) is ${created.state}. ${story(created)}\n`);
    return;
  }
  const progress = progressLines();
  const ready = await context
    .client()
    .waitForWorkspace(created.id, isReady, { timeoutMs, onWorkspace: progress.show, tell: story })
    .catch((cause: unknown) => {
      if (!(cause instanceof WspError) || cause.code !== 'timeout') throw cause;
      throw new WspError('timeout', cause.message, {
        hint: `it goes on without you: wsp show ${created.id}; to give it up: wsp destroy ${created.id}`,
        cause,
      });
    });
  if (!isReady(ready)) {
    throw new WspError(
      'failed',
      `workspace ${ready.name} (${ready.id}) did not come up: ${ready.reason?.message ?? ready.state}`,
    );
  }
  const broken = ready.vms.find(vm => vm.context === 'error');
  if (broken)
    throw new WspError(
      'failed',
      `VM ${broken.name} runs, but is not set up: ${broken.reason?.message ?? 'it does not say why'}`,
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
    `${workspace.name} (${workspace.id}) has the groups ${known}. ${story(workspace)}\n`,
  );
}

async function requestOf(context: CommandContext, options: CreateOptions): Promise<WorkspaceRequest> {
  const isEmpty = options.pending === true && options.file === undefined && options.image === undefined;
  const base: WorkspaceRequest = isEmpty ? { groups: [] } : await groupsOf(options);
  const keys = [await userPublicKey(context.env), ...(options.sshKey ?? []).flatMap(readPublicKeys)];
  const { name, project, clientToken, startBy } = options;
  return {
    ...base,
    ...(name === undefined ? {} : { name }),
    ...(project === undefined ? {} : { project }),
    ...(options.duration === undefined ? {} : { durationMs: duration(options.duration, '--duration') }),
    ...(startBy === undefined ? {} : { startBy: moment(startBy, '--start-by', systemClock.now()) }),
    ...(options.keepPartial ? { keepPartial: true } : {}),
    ...(options.requeue ? { requeue: true } : {}),
    ...(options.heal === undefined ? {} : { heal: options.heal }),
    ...(options.pool === undefined ? {} : { pools: [...options.pool] }),
    ...(options.pending ? { pending: true } : {}),
    ...(clientToken === undefined ? {} : { clientToken }),
    sshKeys: [...(base.sshKeys ?? []), ...keys],
  };
}

async function groupsOf(options: GroupOptions): Promise<WorkspaceRequest> {
  if ((options.file === undefined) === (options.image === undefined)) {
    throw new WspError('usage', 'which VMs: say either -f FILE or --image IMAGE', {
      hint: 'wsp help create',
    });
  }
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
    ...(options.network === undefined ? {} : { networks: options.network }),
    ...(options.userData === undefined
      ? {}
      : { userData: fromFile('--user-data', options.userData, readUserData) }),
  };
}

function refusalError({ code, message, hint }: NonNullable<DryRunView['refusal']>): WspError {
  return new WspError(code as ErrorCode, message, hint === undefined ? {} : { hint });
}
