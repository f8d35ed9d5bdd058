import { pause, systemClock } from '../platform/clock.ts';
import { print, printed } from '../platform/printing.ts';
import type { VmView, WorkspaceView } from '../protocol/api.ts';
import { targetsOf } from '../protocol/cluster.ts';
import { WspError } from '../protocol/errors.ts';
import { Meter } from './meter.ts';
import { table } from './output.ts';
import type { CommandContext } from './program.ts';
import { untilSignal } from './until-signal.ts';
import { usageError } from './values.ts';

/** Each VM is a stream of its own, and a user may have 128 at a time. */
const mostVms = 100;
/** VMs whose statistics come later than the others' are shown with what they had; at first, nothing. */
const roundMs = 2_000;
const firstRoundMs = 10_000;

interface Watched {
  readonly vm: VmView;
  readonly meter: Meter;
}

/**
 * Prints what VMs use, once a second, `rounds` times or until Ctrl-C. `targetText`: W, W/GROUP or
 * W/VM. Throws `WspError`: `usage` (too many VMs), `not_found`, `conflict` (none of them runs), and
 * what the service says of a VM.
 */
export async function top(context: CommandContext, targetText: string, rounds: number): Promise<void> {
  const [name = '', target] = targetText.split('/', 2);
  const workspace = await context.client().getWorkspace(name);
  const vms = watchable(workspace, target);
  const ended = untilSignal();
  const watched: Watched[] = [];
  try {
    for (const vm of vms) {
      const stream = await context.client().openStream(workspace.id, vm.name, { kind: 'statistics' });
      watched.push({ vm, meter: new Meter(stream) });
    }
    for (let round = 0; round < rounds; round += 1) {
      const next = nextOfAll(watched, round === 0 ? firstRoundMs : roundMs);
      const isOver = await Promise.race([ended.reached.then(() => true), next.then(() => false)]);
      if (isOver || watched.every(({ meter }) => meter.ended)) return;
      show(context, workspace, watched);
      await printed();
    }
  } finally {
    ended.forget();
    for (const { meter } of watched) meter.stop();
  }
}

function watchable(workspace: WorkspaceView, target: string | undefined): readonly VmView[] {
  const meant = targetsOf(workspace.vms, target);
  if (meant.length === 0)
    throw new WspError('not_found', `workspace ${workspace.name} has no VM and no group ${target ?? ''}`, {
      hint: `wsp show ${workspace.name}`,
    });
  const there = meant.filter(({ state }) => state === 'running' || state === 'paused');
  if (there.length === 0)
    throw new WspError('conflict', `no VM of ${workspace.name} is running that could be watched`, {
      hint: `wsp show ${workspace.name} says which state they are in, and why`,
    });
  if (there.length > mostVms)
    throw usageError(
      `${there.length} VMs are more than can be watched at once (${mostVms})`,
      `name a group of them: wsp top ${workspace.name}/GROUP`,
    );
  return there;
}

/** Resolves when every VM has something new, or when waiting for the slowest would hold up the others. */
async function nextOfAll(watched: readonly Watched[], mostMs: number): Promise<void> {
  const all = Promise.all(watched.map(({ meter }) => meter.next()));
  await Promise.race([all, pause(systemClock, mostMs)]);
}

function show(context: CommandContext, workspace: WorkspaceView, watched: readonly Watched[]): void {
  const rows = watched.map(({ vm, meter }) => ({ vm: vm.name, node: vm.node, use: meter.use ?? null }));
  const text = table(rows, {
    VM: row => row.vm,
    NODE: row => row.node,
    CPU: ({ use }) => use && `${use.cpuPercent}%`,
    MEMORY: ({ use }) => use && bytes(use.memoryBytes),
    'DISK READ': ({ use }) => use && `${bytes(use.diskReadBytesPerSecond)}/s`,
    'DISK WRITTEN': ({ use }) => use && `${bytes(use.diskWrittenBytesPerSecond)}/s`,
    'NET RECEIVED': ({ use }) => use && `${bytes(use.networkReceivedBytesPerSecond)}/s`,
    'NET SENT': ({ use }) => use && `${bytes(use.networkSentBytesPerSecond)}/s`,
  });
  // On a terminal each round takes the place of the one before.
  const clear = process.stdout.isTTY && !context.json ? '\x1b[H\x1b[2J' : '';
  if (clear !== '') print(clear);
  context.answer({ workspace: workspace.id, vms: rows }, text);
}

/** `1.5M`, of 1,024 each. */
function bytes(count: number): string {
  const units = ['B', 'K', 'M', 'G', 'T'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10));
  const value = count / 1_024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)}${units[power]}`;
}
