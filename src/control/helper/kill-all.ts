import { existsSync, readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { systemClock } from '../../platform/clock.ts';
import { systemProcesses } from '../../platform/process.ts';
import { nodeNamePattern, slotIdPattern } from '../../protocol/ids.ts';
import { Bridges } from './bridges.ts';
import { helperDirectory, undoJournal } from './journal.ts';
import { withNodeLock } from './node-lock.ts';
import { undoSlot } from './slot-undo.ts';
import { RootTools } from './tools.ts';

/** Default place of the helper's state on a node. */
export const defaultStateDir = '/run/workspace-pilot';

/**
 * `wsp kill-all [--state-dir D] [--node N] [--slot S] [--json]` (paper §3.2): destroys every VM and undoes every journaled change on this node, with no service and no
 * network. Safe at any moment and twice at once. Resolves with the exit code: 0 only when the node is a job node again.
 */
export async function runKillAll(args: readonly string[]): Promise<number> {
  let values: { 'state-dir'?: string; node?: string; slot?: string; json?: boolean };
  try {
    const text = { type: 'string' } as const;
    values = parseArgs({
      args: [...args],
      options: { 'state-dir': text, node: text, slot: text, json: { type: 'boolean' } },
    }).values;
  } catch (cause) {
    process.stderr.write(`wsp kill-all: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    return 2;
  }
  const node = values.node ?? hostname().split('.')[0] ?? '';
  const stateDir = values['state-dir'] ?? defaultStateDir;
  if (
    !new RegExp(nodeNamePattern).test(node) ||
    !stateDir.startsWith('/') ||
    (values.slot && !new RegExp(slotIdPattern).test(values.slot))
  ) {
    process.stderr.write(
      'wsp kill-all: --node takes a node name, --state-dir an absolute path, --slot a slot id\n',
    );
    return 2;
  }
  const report = await killAll(stateDir, node, values.slot);
  const left = report.filter(slot => slot.left !== null);
  if (values.json) process.stdout.write(`${JSON.stringify({ node, slots: report })}\n`);
  else {
    for (const slot of report) process.stdout.write(`${slot.slotId}: ${slot.left ?? 'undone'}\n`);
    process.stdout.write(
      left.length === 0
        ? `${node} is a job node again (${report.length} slots undone)\n`
        : `${node} is NOT restored\n`,
    );
  }
  return left.length === 0 ? 0 : 1;
}

interface SlotReport {
  readonly slotId: string;
  /** What could not be undone; null when all was. */
  readonly left: string | null;
}

async function killAll(stateDir: string, node: string, only: string | undefined): Promise<SlotReport[]> {
  const at = helperDirectory(stateDir, node);
  if (!existsSync(at.slots)) return [];
  const tools = new RootTools(systemClock, systemProcesses);
  const bridges = new Bridges(at.bridges, tools);
  try {
    return await withNodeLock(systemClock, at.node, async () => {
      const report: SlotReport[] = [];
      for (const slotId of readdirSync(at.slots).filter(name => only === undefined || name === only)) {
        const left = await undoSlot(undoJournal(at.slots, slotId), bridges, tools).then(
          () => null,
          (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)),
        );
        report.push({ slotId, left });
      }
      return report;
    });
  } catch (cause) {
    return [{ slotId: only ?? 'all', left: cause instanceof Error ? cause.message : String(cause) }];
  }
}
