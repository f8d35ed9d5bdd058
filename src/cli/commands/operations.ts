import type { WorkspaceView } from '../../protocol/api.ts';
import { targetsOf, type VmOperation, vmOperations } from '../../protocol/cluster.ts';
import { WspError } from '../../protocol/errors.ts';
import type { VmState } from '../../protocol/states.ts';
import { type WspCommand, targetWords } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { vmTable } from '../output.ts';
import { describeWorkspace } from '../describe.ts';
import { duration } from '../values.ts';

/** What an operation does, in a line and in whole sentences, and the state of a VM after it. */
const says: Readonly<Record<VmOperation, readonly [summary: string, description: string, end: VmState]>> = {
  start: [
    'start VMs that wsp shutdown has stopped',
    'Starts VMs that wsp shutdown has stopped, on their nodes and with their disks.',
    'running',
  ],
  shutdown: [
    'shut VMs down; wsp start starts them again',
    'Shuts VMs down. A guest that does not shut down in time is switched off. Disks, addresses and the lease stay, so that wsp start can start the VMs again.',
    'stopped',
  ],
  pause: [
    'pause VMs, with all that they have in memory',
    'Pauses VMs: they stand still, with all that they have in memory, until wsp resume.',
    'paused',
  ],
  resume: ['let paused VMs go on', 'Lets paused VMs go on where they were.', 'running'],
  reboot: ['shut VMs down and start them again', 'Shuts VMs down and starts them again.', 'running'],
  destroy: [
    'destroy VMs for good; the others go on',
    'Destroys VMs for good, at once; the others go on. The lease ends with the last VM.',
    'terminated',
  ],
};
const allOrNone = 'If one of the VMs cannot follow the order in its present state, none of them gets it.';

interface Options {
  readonly grace?: string;
  readonly wait?: boolean;
  readonly timeout: string;
}

/** Adds the commands on VMs that are leased: start, shutdown, pause, resume, reboot, kill. A target is W, W/GROUP or W/VM. */
export function addOperationCommands(program: WspCommand): void {
  for (const operation of vmOperations) {
    const name = operation === 'destroy' ? 'kill' : operation;
    const [summary, description] = says[operation];
    const command = program
      .command(name)
      .argument('<target>', targetWords)
      .summary(summary)
      .description(`${description} ${allOrNone}`);
    if (operation === 'shutdown' || operation === 'reboot')
      command.option('--grace <time>', 'how long guests get to shut down (default: what the site gives)');
    command
      .examples(`wsp ${name} osg/worker --wait`, `wsp ${name} osg/ce-0`)
      .option('--wait', 'wait until the operation has completed')
      .option('--timeout <time>', 'how long to wait', '2m')
      .does((context, target: string, options: Options) => operate(context, operation, target, options));
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
  const [, , end] = says[operation];
  const meant = targetsOf(ordered.vms, target).map(vm => vm.id);
  /** What each VM has said since its last order: the order itself is the first word. */
  const said = new Map<string, string[]>();
  const isDone = (workspace: WorkspaceView): boolean =>
    workspace.state !== 'running' ||
    targetsOf(workspace.vms, target).every(
      vm =>
        vm.state === end &&
        // A guest that was started is there when it has set itself up.
        (vm.state !== 'running' || vm.context !== 'pending') &&
        (operation !== 'reboot' || said.get(vm.id)?.includes('vm.rebooting')),
    );
  const workspace = await context.client().waitForWorkspace(ordered.id, isDone, {
    timeoutMs,
    tell: describeWorkspace,
    onEvent: ({ type, vm }) => {
      if (vm === null || !meant.includes(vm)) return;
      if (type === 'vm.ordered') said.set(vm, []);
      else said.get(vm)?.push(type);
      if (type === 'vm.operation-failed')
        throw new WspError('failed', `VM ${vm} did not ${operation}; wsp events ${ordered.id} says why`);
    },
  });
  // A guest that was told to go on says no more of its set-up; one that was started does.
  const starts = operation === 'start' || operation === 'reboot';
  const other = targetsOf(workspace.vms, target).find(
    vm => vm.state !== end || (starts && vm.context === 'error'),
  );
  if (other && operation !== 'destroy')
    throw new WspError(
      'failed',
      `VM ${other.name} is ${other.state}: ${other.reason?.message ?? workspace.reason?.message ?? 'it does not say why'}`,
    );
  return workspace;
}
