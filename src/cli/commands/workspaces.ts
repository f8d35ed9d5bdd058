import { InvalidArgumentError, Option } from 'commander';
import type { EventView, VmView, WorkspaceView } from '../../protocol/api.ts';
import { printed } from '../../platform/printing.ts';
import { WspError } from '../../protocol/errors.ts';
import { given } from '../../protocol/given.ts';
import { type WorkspaceState, workspaceStates } from '../../protocol/states.ts';
import { targetWords, type WspCommand, workspaceWords } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { eventText, timelineText, workspaceText } from '../output.ts';
import { describeWorkspace } from '../describe.ts';
import { top } from '../top.ts';
import { duration, past, whole } from '../values.ts';

/** Adds the commands on workspaces that are there: ls, show, events, timeline, destroy. */
export function addWorkspaceCommands(program: WspCommand): void {
  addListCommand(program);
  program
    .command('show')
    .argument('<workspace>', workspaceWords)
    .summary('show what a workspace is doing, why, and what comes next')
    .description(
      'Shows what a workspace is doing, why, and what comes next. While it waits in the queue, this is what the batch scheduler says.',
    )
    .option('--errors', 'show only the VMs that are in error: failed, or not set up')
    .does(async (context, name: string, options: { errors?: boolean }) => {
      const found = await context.client().getWorkspace(name);
      const workspace = options.errors ? { ...found, vms: found.vms.filter(isInError) } : found;
      context.answer(workspace, workspaceText(workspace));
    });
  addWaitCommand(program);
  addHistoryCommands(program);
  program
    .command('top')
    .argument('<target>', targetWords)
    .summary('watch what VMs use: processor, memory, disks, network')
    .description(
      'Shows what VMs use, once a second until Ctrl-C: processor (100% is one processor), memory of the VMM, and what disks and networks carry in a second. Nothing is measured while nobody looks.',
    )
    .option('--count <n>', 'stop after so many times')
    .examples('wsp top osg', 'wsp top osg/worker --count 1 --json')
    .does((context, target: string, { count }: { count?: string }) =>
      top(context, target, count === undefined ? Number.POSITIVE_INFINITY : whole(count, '--count')),
    );
  program
    .command('destroy')
    .argument('<workspaces...>', 'ids or names of workspaces')
    .summary('end leases now')
    .description(
      'Ends leases now: guests are told to shut down, and the nodes are given back. It does no harm to destroy a workspace that has ended already. The workspaces are ended one after the other; the command stops at the first that cannot be ended.',
    )
    .option('--wait', 'return when the nodes are given back')
    .option('--timeout <time>', 'how long to wait', '2m')
    .does(destroy);
}

function addWaitCommand(program: WspCommand): void {
  program
    .command('wait')
    .argument('<workspace>', workspaceWords)
    .summary('wait until all VMs of a workspace are in a state')
    .description(
      'Waits until all VMs of a workspace are in a state. It fails as soon as one of them is in error.',
    )
    .addOption(
      new Option(
        '--for <state>',
        'the state to wait for; running means that the guests have set themselves up too, and ended is about the workspace itself',
      )
        .choices([...waitStates])
        .default('running'),
    )
    .option('--timeout <time>', 'how long to wait', '5m')
    .does((context, name: string, options: { for: WaitState; timeout: string }) =>
      waitUntil(context, name, options.for, duration(options.timeout, '--timeout')),
    );
}

function addHistoryCommands(program: WspCommand): void {
  program
    .command('events')
    .argument('[workspace]', workspaceWords)
    .summary('show what happened to a workspace, or to all that you may see')
    .description('Shows what happened to a workspace, or to all that you may see, oldest first.')
    .option(
      '-f, --follow',
      'go on and show events as they happen, until you interrupt it; with --json one event a line',
    )
    .examples('wsp events osg', 'wsp events -f --json')
    .does((context, name: string | undefined, options: { follow?: boolean }) =>
      events(context, name, options.follow ?? false),
    );
  program
    .command('timeline')
    .argument('<workspace>', workspaceWords)
    .summary('show how long each step of a lease took')
    .description('Shows how long each step of a lease took, from the request to the end of its job.')
    .does(async (context, name: string) => {
      const timeline = await context.client().timeline(name);
      context.answer(timeline, timelineText(timeline));
    });
}

function addListCommand(program: WspCommand): void {
  program
    .command('ls')
    .summary('list workspaces')
    .description('Lists the workspaces that you may see and that have not ended.')
    .option('--all', 'list also workspaces that have ended')
    .addOption(
      new Option('--state <state>', 'list only workspaces in this state; repeatable')
        .choices(workspaceStates)
        .argParser(repeat),
    )
    .option(
      '--owner <user>',
      'list only workspaces of this user (default: all that you may see; operators may see those of all users)',
    )
    .option('--name <name>', 'list only workspaces of this name')
    .option(
      '--since <time>',
      'list only workspaces created since then: 7d (ago), or a time such as 2026-11-01T00:00:00Z',
    )
    .examples('wsp ls', 'wsp ls --all --since 7d')
    .does(list);
}

/** Commander's own check of choices is lost with a parser. */
function repeat(text: string, earlier: readonly WorkspaceState[] = []): readonly WorkspaceState[] {
  const state = workspaceStates.find(each => each === text);
  if (state === undefined) throw new InvalidArgumentError(`say one of ${workspaceStates.join(', ')}.`);
  return [...earlier, state];
}

const waitStates = ['running', 'paused', 'stopped', 'terminated', 'ended'] as const;
type WaitState = (typeof waitStates)[number];

const isInError = (vm: VmView): boolean => vm.state === 'failed' || vm.context === 'error';

const isSetUp = ({ context }: VmView): boolean => context === 'ok' || context === 'none';

function hasReached(workspace: WorkspaceView, state: WaitState): boolean {
  if (state === 'ended') return workspace.state === 'ended';
  return (
    workspace.vms.length > 0 &&
    workspace.vms.every(vm => vm.state === state && (state !== 'running' || isSetUp(vm)))
  );
}

/** The report comes when all have reached the state, or, as a failure, when one is in error (paper §2: group reports). */
async function waitUntil(
  context: CommandContext,
  name: string,
  state: WaitState,
  timeoutMs: number,
): Promise<void> {
  const until = (each: WorkspaceView): boolean =>
    hasReached(each, state) || each.vms.some(isInError) || each.state === 'ended';
  const workspace = await context
    .client()
    .waitForWorkspace(name, until, { timeoutMs, tell: describeWorkspace });
  if (hasReached(workspace, state)) return context.answer(workspace, workspaceText(workspace));
  const bad = workspace.vms.find(isInError);
  const why = bad
    ? `VM ${bad.name} is ${bad.state}: ${bad.reason?.message ?? 'it does not say why'}`
    : `workspace ${workspace.name} has ended: ${workspace.reason?.message ?? workspace.cause}`;
  throw new WspError('failed', why);
}

interface ListOptions {
  readonly all?: boolean;
  readonly state?: readonly WorkspaceState[];
  readonly owner?: string;
  readonly name?: string;
  readonly since?: string;
}

async function list(context: CommandContext, { state, since, ...same }: ListOptions): Promise<void> {
  const query = { ...same, ...given({ states: state, since: past(since, '--since') }) };
  context.list('workspaces', await context.client().listWorkspaces(query), {
    NAME: each => each.name,
    ID: each => each.id,
    STATE: each => each.state,
    VMS: each => each.vms.length,
    ENDS: each => each.endsAt,
    WHY: ({ reason, slot }) => reason?.message ?? slot?.lrmTrouble?.message ?? slot?.lrmReason ?? '',
  });
}

async function events(
  context: CommandContext,
  workspace: string | undefined,
  follow: boolean,
): Promise<void> {
  // A name may come to mean a newer workspace while we follow; the id does not.
  const query =
    workspace === undefined ? {} : { workspace: (await context.client().getWorkspace(workspace)).id };
  if (follow)
    for await (const event of context.client().follow(query)) {
      context.answer(event, `${eventText(event)}\n`);
      // At the reader's pace, and only for as long as there is one.
      await printed();
    }
  const all: EventView[] = [];
  for (let after = 0; ; ) {
    const page = await context.client().events({ after, ...query });
    all.push(...page.events);
    if (page.events.length === 0) break;
    after = page.next;
  }
  context.answer({ events: all }, all.map(event => `${eventText(event)}\n`).join(''));
}

async function destroy(
  context: CommandContext,
  names: readonly string[],
  options: { wait?: boolean; timeout: string },
): Promise<void> {
  const timeoutMs = duration(options.timeout, '--timeout');
  const workspaces: WorkspaceView[] = [];
  for (const name of names) workspaces.push(await context.client().destroyWorkspace(name));
  const finished = options.wait
    ? await Promise.all(
        workspaces.map(each =>
          context.client().waitForWorkspace(each.id, isGone, { timeoutMs, tell: describeWorkspace }),
        ),
      )
    : workspaces;
  const lines = finished.map(
    each => `${each.name} (${each.id}): ${describeWorkspace(each)}${whatOfNodes(each)}\n`,
  );
  context.answer({ workspaces: finished }, lines.join(''));
}

/** Ended, and its nodes are job nodes again, or kept for other workspaces. */
function isGone({ state, slot }: WorkspaceView): boolean {
  return state === 'ended' && (slot === null || ['released', 'failed', 'ready'].includes(slot.state));
}

function whatOfNodes(workspace: WorkspaceView): string {
  if (!isGone(workspace)) return '';
  return workspace.slot?.state === 'ready' ? ' Its slot is kept.' : ' Its nodes are given back.';
}
