import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { WorkspaceView } from '../../protocol/api.ts';
import type { WorkspaceRequest } from '../../protocol/cluster.ts';
import { WspError } from '../../protocol/errors.ts';
import { parseDurationMs, parseMemoryMiB } from '../../protocol/units.ts';
import { eventText, story, table, timelineText, workspaceText } from '../output.ts';
import type { CommandContext, Run } from '../program.ts';
import { loadClusterFile } from '../programs.ts';
import { userPublicKey } from '../ssh.ts';

interface CreateOptions {
  readonly file?: string;
  readonly image?: string;
  readonly count: string;
  readonly memory: string;
  readonly cpus: string;
  readonly duration?: string;
  readonly name?: string;
  readonly network?: string[];
  readonly sshKey?: string[];
  readonly userData?: string;
  readonly wait?: boolean;
  readonly timeout: string;
}

/** Adds the commands on workspaces: create, ls, show, events, timeline, destroy. */
export function addWorkspaceCommands(program: Command, run: Run): void {
  const repeat = (value: string, earlier: string[] = []): string[] => [...earlier, value];
  program
    .command('create')
    .description('lease a virtual cluster from a cluster file, or VMs of one image')
    .option('-f, --file <file>', 'cluster file (YAML)')
    .option('--image <image>', 'image of the VMs, instead of a file')
    .option('--count <n>', 'how many VMs', '1')
    .option('--memory <size>', 'memory of each', '256M')
    .option('--cpus <n>', 'processors of each', '1')
    .option('--duration <time>', 'length of the lease, as 1h or 90m')
    .option('--name <name>', "the workspace's name")
    .option('--network <name>', 'a network, in the order of the interfaces; repeatable', repeat)
    .option('--ssh-key <file>', 'a public key that may log in, beside your own; repeatable', repeat)
    .option('--user-data <file>', 'handed to the guests as it is')
    .option('--wait', 'until every VM runs and is set up')
    .option('--timeout <time>', 'how long to wait', '5m')
    .action((options: CreateOptions) => run(context => create(context, options)));
  program
    .command('ls')
    .description('list workspaces')
    .option('--all', 'also those that have ended')
    .action((options: { all?: boolean }) => run(context => list(context, options.all ?? false)));
  program
    .command('show <workspace>')
    .description('what it is doing, and why')
    .action((name: string) =>
      run(async context => {
        const workspace = await context.client().getWorkspace(name);
        context.answer(workspace, workspaceText(workspace));
      }),
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

async function create(context: CommandContext, options: CreateOptions): Promise<void> {
  const timeoutMs = duration(options.timeout, '--timeout');
  const request = await requestOf(context, options);
  const created = await context.client().createWorkspace(request);
  if (!options.wait) {
    context.answer(created, `${created.name} (${created.id}) is ${created.state}. ${story(created)}\n`);
    return;
  }
  const progress = progressLines();
  const ready = await context
    .client()
    .waitForWorkspace(created.id, isReady, { timeoutMs, onWorkspace: progress.show })
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

/** Runs, and every guest has said how its set-up went. */
function isReady(workspace: WorkspaceView): boolean {
  return workspace.state === 'running' && workspace.vms.every(vm => vm.context !== 'pending');
}

async function requestOf(context: CommandContext, options: CreateOptions): Promise<WorkspaceRequest> {
  if ((options.file === undefined) === (options.image === undefined)) {
    throw new WspError('usage', 'create takes either -f FILE or --image IMAGE', {
      hint: 'wsp create --help',
    });
  }
  const keys = [
    await userPublicKey(context.env),
    ...(options.sshKey ?? []).map(path => readText(path).trim()),
  ];
  const base =
    options.file === undefined ? oneGroup(options) : (await loadClusterFile()).readClusterFile(options.file);
  return {
    ...base,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.duration === undefined ? {} : { durationMs: duration(options.duration, '--duration') }),
    sshKeys: [...(base.sshKeys ?? []), ...keys],
  };
}

function oneGroup(options: CreateOptions): WorkspaceRequest {
  const memoryMiB = parseMemoryMiB(options.memory);
  if (memoryMiB === undefined)
    throw new WspError('usage', `--memory ${options.memory} is not a size: say 256M or 4G`);
  return {
    groups: [
      {
        name: 'vm',
        image: options.image ?? '',
        count: whole(options.count, '--count'),
        memoryMiB,
        cpus: whole(options.cpus, '--cpus'),
        ...(options.network === undefined ? {} : { networks: options.network }),
        ...(options.userData === undefined ? {} : { userData: readText(options.userData) }),
      },
    ],
  };
}

async function list(context: CommandContext, all: boolean): Promise<void> {
  const workspaces = await context.client().listWorkspaces({ all });
  const rows = workspaces.map(each => [
    each.name,
    each.id,
    each.state,
    String(each.vms.length),
    each.endsAt ?? '-',
    each.reason?.message ?? each.slot?.lrmReason ?? '',
  ]);
  context.answer({ workspaces }, table(['NAME', 'ID', 'STATE', 'VMS', 'ENDS', 'WHY'], rows));
}

async function events(
  context: CommandContext,
  workspace: string | undefined,
  follow: boolean,
): Promise<void> {
  const all: unknown[] = [];
  for (let after = 0; ; ) {
    const page = await context.client().events({
      after,
      ...(workspace === undefined ? {} : { workspace }),
      ...(follow ? { waitMs: 25_000 } : {}),
    });
    for (const event of page.events) {
      if (follow || !context.json) context.answer(event, `${eventText(event)}\n`);
      else all.push(event);
    }
    if (!follow && page.events.length === 0) break;
    after = page.next;
  }
  if (context.json && !follow) context.answer({ events: all }, '');
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
        workspaces.map(each => context.client().waitForWorkspace(each.id, isGone, { timeoutMs })),
      )
    : workspaces;
  const lines = finished.map(
    each => `${each.name} (${each.id}): ${story(each)}${isGone(each) ? ' Its nodes are given back.' : ''}\n`,
  );
  context.answer({ workspaces: finished }, lines.join(''));
}

/** Ended, and its nodes are job nodes again. */
function isGone(workspace: WorkspaceView): boolean {
  return (
    workspace.state === 'ended' &&
    (workspace.slot === null || workspace.slot.state === 'released' || workspace.slot.state === 'failed')
  );
}

/** One line for each VM, rewritten in place; nothing when standard error is no terminal. */
function progressLines(): { show(workspace: WorkspaceView): void } {
  let height = 0;
  return {
    show(workspace) {
      if (!process.stderr.isTTY) return;
      const lines = [
        `${workspace.name}: ${story(workspace)}`,
        ...workspace.vms.map(
          vm =>
            `  ${vm.name.padEnd(20)} ${vm.state.padEnd(12)} ${vm.context === 'none' ? '' : `context ${vm.context}`}`,
        ),
      ];
      process.stderr.write(
        `${height > 0 ? `\x1b[${height}A` : ''}${lines.map(line => `\x1b[2K${line.slice(0, process.stderr.columns)}\n`).join('')}`,
      );
      height = lines.length;
    },
  };
}

function duration(text: string, flag: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === undefined)
    throw new WspError('usage', `${flag} ${text} is not a duration: say 90s, 1h or 1h30m`);
  return durationMs;
}

function whole(text: string, flag: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text))
    throw new WspError('usage', `${flag} ${text} is not a whole number of at least 1`);
  return Number(text);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WspError(
      'usage',
      `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
}
