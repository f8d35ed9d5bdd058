import { existsSync, readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../platform/clock.ts';
import { print } from '../../platform/printing.ts';
import { systemProcesses } from '../../platform/process.ts';
import { nodeNamePattern, slotIdPattern } from '../../protocol/ids.ts';
import { forgetCaller } from './ambient.ts';
import { Bridges } from './bridges.ts';
import { removeEmptyCgroups } from './cgroups.ts';
import { defaultDiskDir } from './disk-records.ts';
import { type HelperDirectory, helperDirectory, slotsOn, undoJournal } from './journal.ts';
import { markedLinks, ownLinks, ownTables, removeUnjournaled } from './leftovers.ts';
import { endStuckHolder, withNodeLock } from './node-lock.ts';
import { requireRootsAlone } from './root-directory.ts';
import type { SlotKey } from './slot-key.ts';
import { forgottenSlots, removeForgotten, undoSlot } from './slot-undo.ts';
import { RootTools } from './tools.ts';
import { messageOf } from '../../platform/message-of.ts';

/** Default place of the helper's state on a node. */
export const defaultStateDir = '/run/workspace-pilot-helper';

type KillAllOptions = ReturnType<typeof optionsFrom>;

/** What `--json` prints. */
export interface KillAllReport {
  readonly node: string;
  /** Slots whose every change is undone now, and interfaces of ours that no journal named. */
  readonly undone: string[];
  /** What is still there, a sentence each. Empty: the node is a job node again. */
  readonly left: string[];
}

/**
 * `wsp kill-all [--state-dir D] [--disk-dir D] [--node N] [--slot S] [--json]` (paper §3.2): destroys every VM and undoes every journaled change on this node, with no
 * service. Safe at any moment, beside a live helper (which then finds its journal gone and ends) and twice at once. Resolves with the exit code: 0 only
 * when the node is a job node again, 1 when something is left, 2 for bad arguments.
 */
export async function runKillAll(args: readonly string[]): Promise<number> {
  forgetCaller();
  let options: KillAllOptions;
  try {
    options = optionsFrom(args);
  } catch (cause) {
    process.stderr.write(`wsp kill-all: ${messageOf(cause)}\n`);
    return 2;
  }
  const report = await killAll(options);
  print(options.json ? `${JSON.stringify(report)}\n` : asText(report, options.slot));
  return report.left.length === 0 ? 0 : 1;
}

/**
 * No `node`: this host's name. A `slot`: only that one, and nothing is said of the rest of the
 * node. Throws an error that says what is wrong with the arguments.
 */
function optionsFrom(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { 'state-dir': text, 'disk-dir': text, node: text, slot: text, json: { type: 'boolean' } },
  });
  const { node, slot, json } = values;
  const stateDir = values['state-dir'] ?? defaultStateDir;
  const diskDir = values['disk-dir'] ?? defaultDiskDir;
  if (!stateDir.startsWith('/')) throw new Error('--state-dir takes an absolute path');
  if (!diskDir.startsWith('/')) throw new Error('--disk-dir takes an absolute path');
  if (node !== undefined && !new RegExp(nodeNamePattern).test(node))
    throw new Error('--node takes a node name');
  if (slot !== undefined && !new RegExp(slotIdPattern).test(slot)) throw new Error('--slot takes a slot id');
  if (process.getuid?.() === 0) {
    requireRootsAlone('--state-dir', stateDir);
    requireRootsAlone('--disk-dir', diskDir);
  }
  return { stateDir, diskDir, node, slot, json };
}

/** The host's name, short or whole, whichever the LRM has used. */
function nodeHere(directories: readonly string[]): string {
  const whole = hostname();
  return directories.some(directory => existsSync(join(directory, whole)))
    ? whole
    : (whole.split('.')[0] ?? whole);
}

async function killAll(options: KillAllOptions): Promise<KillAllReport> {
  const { stateDir, diskDir, slot } = options;
  const node = options.node ?? nodeHere([stateDir, diskDir]);
  const report: KillAllReport = { node, undone: [], left: [] };
  try {
    if (process.getuid?.() !== 0) throw new Error('run this as root; nothing was checked');
    const at = helperDirectory(stateDir, diskDir, node);
    const tools = new RootTools(systemClock, systemProcesses);
    // After a power loss there are only the records; of a lost state directory, only interfaces.
    if (existsSync(at.node) || at.records.all().length > 0 || (await markedLinks(at, tools)).length > 0) {
      await endStuckHolder(at, systemClock);
      await undoSlots(at, tools, slot, report);
    } else if (options.node === undefined) report.left.push(...otherNodes(stateDir, node));
    if (slot === undefined) {
      report.left.push(...(await unjournaled(tools)));
      removeEmptyCgroups();
    }
  } catch (cause) {
    report.left.push(messageOf(cause));
  }
  return report;
}

async function undoSlots(
  at: HelperDirectory,
  tools: RootTools,
  only: string | undefined,
  report: KillAllReport,
): Promise<void> {
  const bridges = new Bridges(at, tools);
  const isMeant = ({ slotId }: SlotKey): boolean => only === undefined || slotId === only;
  for (const key of slotsOn(at).filter(isMeant)) {
    try {
      await undoSlot(undoJournal(at, key), { at, bridges, tools });
      report.undone.push(key.slotId);
    } catch (cause) {
      report.left.push(`${key.slotId}: ${messageOf(cause)}`);
    }
  }
  const forgotten = await withNodeLock(at, () => forgottenSlots(at));
  const meant = forgotten.filter(({ key }) => isMeant(key));
  const { undone, left } = await removeForgotten(at, tools, meant);
  report.undone.push(...undone);
  report.left.push(...left);
  if (only === undefined) await withNodeLock(at, () => removeLost(at, bridges, tools, report));
}

/** What belongs to slots whose journal somebody has deleted. */
async function removeLost(
  at: HelperDirectory,
  bridges: Bridges,
  tools: RootTools,
  report: KillAllReport,
): Promise<void> {
  for (const name of bridges.names()) {
    const orphans = bridges.members(name).filter(({ slot }) => !existsSync(join(at.slots, slot)));
    const taps = orphans.map(({ tap }) => tap);
    await bridges.leave(name, taps);
  }
  // A slot that is left keeps what it has on the node.
  if (report.left.length > 0) return;
  report.undone.push(...(await removeUnjournaled(at, tools)).map(name => `interface ${name}`));
}

/** On a cluster's node only one node's state is there, but the LRM may call it otherwise than the host is called. */
function otherNodes(stateDir: string, node: string): string[] {
  if (!existsSync(stateDir)) return [];
  const others = readdirSync(stateDir).filter(name => existsSync(join(stateDir, name, 'lock')));
  return others.length === 0
    ? []
    : [`${stateDir} knows no node ${node}, but ${others.join(', ')}: use --node`];
}

/** What has our names and is in no journal here: not removed, but not passed over either. */
async function unjournaled(tools: RootTools): Promise<string[]> {
  return [...ownLinks().map(link => `interface ${link}`), ...(await ownTables(tools))].map(
    what => `${what} is there, but in no journal under this state directory`,
  );
}

function asText({ node, undone, left }: KillAllReport, slot: string | undefined): string {
  const lines = [...undone.map(slotId => `${slotId}: undone`), ...left.map(what => `left: ${what}`)];
  const restored =
    slot === undefined ? `${node} is a job node again` : `nothing of ${slot} is left on ${node}`;
  return `${[...lines, left.length === 0 ? restored : `${node} is NOT restored`].join('\n')}\n`;
}
