import type { Command } from 'commander';
import type { WorkspaceView } from '../../protocol/api.ts';
import { targetsOf, type VmOperation, vmOperations } from '../../protocol/cluster.ts';
import { WspError } from '../../protocol/errors.ts';
import type { VmState } from '../../protocol/states.ts';
import { vmTable } from '../output.ts';
import type { CommandContext, Run } from '../program.ts';
import { story } from '../story.ts';
import { duration } from '../values.ts';

const says: Readonly<Record<Exclude<VmOperation, 'destroy'>, string>> = {
  start: 'start VMs that were shut down',
  shutdown: 'shut VMs down; their disks and addresses stay, for wsp start',
  pause: 'let VMs stand still',
  resume: 'let paused VMs go on',
  reboot: 'shut VMs down and start them again',
};
/** What a VM is when the operation has come about. */
const done: Readonly<Record<VmOperation, VmState>> = {
  start: 'running',
  shutdown: 'stopped',
  pause: 'paused',
  resume: 'running',
  reboot: 'running',
  destroy: 'terminated',
};

interface Options {
  readonly grace?: string;
  readonly wait?: boolean;
  readonly timeout: string;
}

/** Adds the commands on VMs that are leased: start, shutdown, pause, resume, reboot, kill. A target is W, W/GROUP or W/VM. */
export function addOperationCommands(program: Command, run: Run): void {
  for (const operation of vmOperations) {
    const isKill = operation === 'destroy';
    const command = program
      .command(isKill ? 'kill <target>' : `${operation} <target>`)
      .description(isKill ? 'destroy VMs for good; the others go on' : says[operation]);
    if (operation === 'shutdown' || operation === 'reboot')
      command.option('--grace <time>', 'how long guests get to shut down; what the site gives');
    command
      .option('--wait', 'until it has come about')
      .option('--timeout <time>', 'how long to wait', '2m')
      .action((target: string, options: Options) =>
        run(context => operate(context, operation, target, options)),
      );
  }
}

async function operate(
  context: CommandContext,
  operation: VmOperation,
  targetText: string,
  options: Options,
): Promise<void> {
  const timeoutMs = duration(options.timeout, '--timeout');
  const [name = '', target] = targetText.split('/', 2);
  const client = context.client();
  // Events of before do not count for the wait of a reboot, which ends in the state in which it begins.
  const { id } = await client.getWorkspace(name);
  const ordered = await client.operateVms(id, {
    operation,
    ...(target === undefined ? {} : { target }),
    ...(options.grace === undefined ? {} : { graceMs: duration(options.grace, '--grace') }),
  });
  const workspace = options.wait ? await waitFor(context, ordered, operation, target, timeoutMs) : ordered;
  context.answer(workspace, vmTable(workspace));
}

async function waitFor(
  context: CommandContext,
  ordered: WorkspaceView,
  operation: VmOperation,
  target: string | undefined,
  timeoutMs: number,
): Promise<WorkspaceView> {
  const meant = targetsOf(ordered.vms, target).map(vm => vm.id);
  /** What each VM has said since its last order: the order itself is the first word. */
  const said = new Map<string, string[]>();
  const isDone = (workspace: WorkspaceView): boolean =>
    workspace.state !== 'running' ||
    targetsOf(workspace.vms, target).every(
      vm =>
        vm.state === done[operation] &&
        // A guest that was started is there when it has set itself up.
        (vm.state !== 'running' || vm.context !== 'pending') &&
        (operation !== 'reboot' || said.get(vm.id)?.includes('vm.rebooting')),
    );
  const workspace = await context.client().waitForWorkspace(ordered.id, isDone, {
    timeoutMs,
    tell: story,
    onEvent: ({ type, vm }) => {
      if (vm === null || !meant.includes(vm)) return;
      if (type === 'vm.ordered') said.set(vm, []);
      else said.get(vm)?.push(type);
      if (type === 'vm.operation-failed')
        throw new WspError('failed', `VM ${vm} did not ${operation}: wsp events ${ordered.id} says why`);
    },
  });
  // A guest that was told to go on says no more of its set-up; one that was started does.
  const starts = operation === 'start' || operation === 'reboot';
  const other = targetsOf(workspace.vms, target).find(
    vm => vm.state !== done[operation] || (starts && vm.context === 'error'),
  );
  if (other && operation !== 'destroy')
    throw new WspError(
      'failed',
      `VM ${other.name} is ${other.state}: ${other.reason?.message ?? workspace.reason?.message ?? 'it does not say why'}`,
    );
  return workspace;
}
