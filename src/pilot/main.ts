import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { startHelper } from '../control/helper/client.ts';
import { notePilot, removeOldSlots } from '../control/node/old-slots.ts';
import { type SlotDirectory, slotDirectory, takeSlotDirectory } from '../control/node/slot-directory.ts';
import { vmmKind } from '../control/vmm/index.ts';
import type { WorkspaceControl } from '../control/control.ts';
import { type ControlParts, SlotControl, refusedControl } from '../control/workspace-control.ts';
import { startChild } from '../platform/children.ts';
import { systemClock } from '../platform/clock.ts';
import { errorFields, jsonLog, type Log, pacedLines } from '../platform/log.ts';
import { patientClock } from '../platform/patient-clock.ts';
import { linesOn, linesTo } from '../platform/log-file.ts';
import { version } from '../platform/version.ts';
import { checkAssignment, jobEndFrom, nodeNameFrom } from './assignment.ts';
import { fileJournal, memoryJournal } from './journal.ts';
import { misused, runProgram, takeGlobal } from './program.ts';
import { PilotSession } from './session.ts';
import { transportOf } from './transports.ts';
import type { SlotAssignment } from '../protocol/pilot.ts';

/** The program that travels with each job, behind its assignment; by hand it takes a file. */
async function main(): Promise<number> {
  const assignment = takeGlobal('wspAssignment');
  if (assignment !== undefined) return runPilot(assignment);
  const [command, option, path] = process.argv.slice(2);
  if (command !== 'pilot' || option !== '--assignment' || path === undefined)
    return misused('pilot takes --assignment FILE (the batch scheduler starts pilots by itself)');
  return runPilot(JSON.parse(readFileSync(path, 'utf8')));
}

/** Guests, or a service that is away, may cause many lines: 8 MiB at first, then 5 MiB a day. */
const bytesOfLog = { perSecond: 64, burst: 8 * 1_048_576 };

async function runPilot(value: unknown): Promise<number> {
  const assignment = checkAssignment(value);
  const node = nodeNameFrom(assignment, process.env);
  const directory = slotDirectory(assignment.node.workDir, node, assignment.slotId);
  // Without a place of its own the pilot still says so to the service, and writes nothing.
  const noPlace = takeSlotDirectory(directory);
  if (!noPlace) await notePilot(directory.path, process.pid);
  // The scheduler may suspend the job: what was due meanwhile is no sign of a dead service.
  const clock = patientClock(systemClock);
  const lines = pacedLines(clock, bytesOfLog, noPlace ? linesOn(2) : linesTo(directory.pilotLog));
  const log = jsonLog(clock, lines, { slotId: assignment.slotId, node });
  const session = new PilotSession({
    assignment,
    node,
    jobEndsAt: jobEndFrom(assignment, process.env, clock.now()),
    clock,
    log,
    journal: noPlace ? memoryJournal() : fileJournal(directory.notificationJournal),
    transport: transportOf(assignment, node, { clock, log, startChild }),
    makeControl: report =>
      noPlace ? refusedControl(noPlace) : controlOf(assignment, { node, directory, clock, log, report }),
    version,
  });
  // Whatever warning the LRM has (Slurm: TERM; Grid Engine: USR1, USR2), and a terminal's INT when tried by hand.
  for (const signal of ['SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const)
    process.on(signal, () => session.preempt(signal));
  log.info('pilot started', { pid: process.pid });
  // Beside everything else: no lease waits for it.
  if (!noPlace) void tidyNode(assignment, directory, log, clock.now());
  return session.run();
}

/** What control works with that is the same for each of a pilot's. */
type ControlBasis = Pick<ControlParts, 'node' | 'directory' | 'clock' | 'log' | 'report'>;

function controlOf(
  { node: settings, slotId, memoryMiB, cpus, networks }: SlotAssignment,
  basis: ControlBasis,
): WorkspaceControl {
  const { node, directory, clock, log } = basis;
  return new SlotControl({
    ...basis,
    slotId,
    settings,
    memoryMiB,
    cpus,
    networks,
    vmm: vmmKind(settings.vmm).create(settings.vmm, directory.path, { clock, log }),
    startHelper: () => startHelper({ argv: settings.helper, node, slotId, clock, log }),
  });
}

/** Removes what ended slots have left on the node. Never rejects. */
async function tidyNode(
  { slotId, node: { keepLogs } }: SlotAssignment,
  { path }: SlotDirectory,
  log: Log,
  now: number,
): Promise<void> {
  try {
    const removed = await removeOldSlots(dirname(path), slotId, keepLogs, now);
    if (removed.length > 0) log.info('removed what ended slots had left', { slots: removed });
  } catch (cause) {
    log.warn('what ended slots have left cannot be removed', errorFields(cause));
  }
}

runProgram(main);
