import { type Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../../platform/clock.ts';
import type { EventView, VmView, WorkspaceView } from '../../protocol/api.ts';
import { printed } from '../../platform/printing.ts';
import { WspError } from '../../protocol/errors.ts';
import { type WorkspaceState, workspaceStates } from '../../protocol/states.ts';
import { eventText, table, timelineText, workspaceText } from '../output.ts';
import { story } from '../story.ts';
import type { CommandContext, Run } from '../program.ts';
import { duration, past } from '../values.ts';

/** Adds the commands on workspaces that are there: ls, show, events, timeline, destroy. */
export function addWorkspaceCommands(program: Command, run: Run): void {
  addListCommand(program, run);
  program
    .command('show <workspace>')
    .description('what it is doing, and why')
    .option('--errors', 'only the VMs that are in error')
    .action((name: string, options: { errors?: boolean }) =>
      run(async context => {
        const found = await context.client().getWorkspace(name);
        const workspace = options.errors ? { ...found, vms: found.vms.filter(isInError) } : found;
        context.answer(workspace, workspaceText(workspace));
      }),
    );
  program
    .command('wait <workspace>')
    .description('until all of its VMs reach a state, or one is in error')
    .addOption(
      new Option('--for <state>', 'running: also set up; ended: the workspace itself')
        .choices([...waitStates])
        .default('running'),
    )
    .option('--timeout <time>', 'how long to wait', '5m')
    .action((name: string, options: { for: WaitState; timeout: string }) =>
      run(context => waitUntil(context, name, options.for, duration(options.timeout, '--timeout'))),
    );
  program
    .command('events [workspace]')
    .description('its history, or the whole site’s')
    .option('-f, --follow', 'go on as it happens; with --json one event a line')
    .action((name: string | undefined, options: { follow?: boolean }) =>
      run(context => events(context, name, options.follow ?? false)),
    );
  program
    .command('timeline <workspace>')
    .description('where the time went, hop by hop')
    .action((name: string) =>
      run(async context => {
        const timeline = await context.client().timeline(name);
        context.answer(timeline, timelineText(timeline));
      }),
    );
  program
    .command('destroy <workspaces...>')
    .description('end leases now')
    .option('--wait', 'until the nodes are given back')
    .option('--timeout <time>', 'how long to wait', '2m')
    .action((names: string[], options: { wait?: boolean; timeout: string }) =>
      run(context => destroy(context, names, options)),
    );
}

function addListCommand(program: Command, run: Run): void {
  program
    .command('ls')
    .description('list workspaces')
    .option('--all', 'also those that have ended')
    .addOption(
      new Option('--state <state>', 'only those in this state; repeatable')
        .choices(workspaceStates)
        .argParser(repeat),
    )
    .option('--owner <user>', 'only theirs; operators see everybody’s')
    .option('--name <name>', 'only those of this name')
    .option('--since <time>', 'only those made since: 7d (ago), or a time as 2026-11-01T00:00:00Z')
    .action((options: ListOptions) => run(context => list(context, options)));
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
  const workspace = await context.client().waitForWorkspace(name, until, { timeoutMs, tell: story });
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
  const workspaces = await context.client().listWorkspaces({
    ...same,
    ...(state === undefined ? {} : { states: state }),
    ...(since === undefined ? {} : { since: past(since, '--since', systemClock.now()) }),
  });
  const rows = workspaces.map(each => [
    each.name,
    each.id,
    each.state,
    String(each.vms.length),
    each.endsAt ?? '-',
    each.reason?.message ?? each.slot?.lrmTrouble?.message ?? each.slot?.lrmReason ?? '',
  ]);
  context.answer({ workspaces }, table(['NAME', 'ID', 'STATE', 'VMS', 'ENDS', 'WHY'], rows));
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
          context.client().waitForWorkspace(each.id, isGone, { timeoutMs, tell: story }),
        ),
      )
    : workspaces;
  const lines = finished.map(each => `${each.name} (${each.id}): ${story(each)}${whatOfNodes(each)}\n`);
  context.answer({ workspaces: finished }, lines.join(''));
}

/** Ended, and its nodes are job nodes again, or kept for other workspaces. */
function isGone({ state, slot }: WorkspaceView): boolean {
  return state === 'ended' && (slot === null || isOver(slot.state) || slot.state === 'ready');
}

const isOver = (state: string): boolean => state === 'released' || state === 'failed';

function whatOfNodes(workspace: WorkspaceView): string {
  if (!isGone(workspace)) return '';
  return workspace.slot?.state === 'ready' ? ' Its slot is kept.' : ' Its nodes are given back.';
}
