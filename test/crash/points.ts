import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EventView } from '../../src/protocol/api.ts';
import type { TestSite } from '../support/site.ts';

/**
 * The crash points: who is killed with SIGKILL, and at which moment of a lease's life. A moment is seen from outside, in what the product itself writes
 * (events, the pilot's log, the helper's journal), so nothing in the product is there for the test's sake.
 */
export type Victim = 'service' | 'pilot' | 'helper' | 'pilot and helper' | 'node';

/** When in a lease's life a point is: while it comes up, while it runs, or after its destruction was ordered. */
export type Phase = 'start' | 'running' | 'end';

/** What of a lease can be seen while it lives. */
export interface Sight {
  readonly site: TestSite;
  /** The node on which pilots and helpers are killed. */
  readonly node: string;
  readonly slotId: () => string | undefined;
  readonly events: () => readonly EventView[];
}

export interface Moment {
  readonly name: string;
  readonly phase: Phase;
  readonly isReached: (sight: Sight) => boolean;
}

export interface CrashPoint {
  readonly victim: Victim;
  readonly moment: Moment;
  /** In the choice that `make test` runs. */
  readonly chosen: boolean;
}

const event =
  (type: string, count = 1) =>
  ({ events }: Sight): boolean =>
    events().filter(each => each.type === type).length >= count;

/** A line in the pilot's log on the node. */
const pilotLog =
  (text: string) =>
  ({ site, node, slotId }: Sight): boolean =>
    read(join(site.workDir, node, slotId() ?? '-', 'pilot.log')).includes(text);

/** An entry of that kind in the helper's journal on the node. */
const journaled =
  (kind: string) =>
  ({ site, node, slotId }: Sight): boolean =>
    directoriesOf(join(site.helperStateDir, node, 'slots'), `${slotId() ?? '-'}.`).some(path =>
      read(join(path, 'undo.jsonl')).includes(`"${kind}"`),
    );

/** QEMU runs on the node and its guest boots. */
const guestBoots = ({ site, node, slotId }: Sight): boolean => {
  const vms = join(site.workDir, node, slotId() ?? '-', 'vms');
  return list(vms).some(vm => read(join(vms, vm, 'console.log')) !== '');
};

const moments = {
  accepted: { name: 'create accepted', phase: 'start', isReached: () => true },
  submitted: { name: 'job submitted', phase: 'start', isReached: event('slot.queued') },
  pilotStarted: { name: 'pilot started', phase: 'start', isReached: pilotLog('pilot started') },
  firstConnected: { name: 'first pilot connected', phase: 'start', isReached: event('node.connected') },
  nodeReserved: { name: 'node reserved', phase: 'start', isReached: pilotLog('node reserved') },
  slotReady: { name: 'slot ready', phase: 'start', isReached: event('slot.ready') },
  startOrdered: { name: 'VM ordered to start', phase: 'start', isReached: pilotLog('"start-vm"') },
  propagating: { name: 'image propagating', phase: 'start', isReached: event('vm.propagating') },
  nicMade: { name: 'VM’s interface journaled', phase: 'start', isReached: journaled('nic') },
  vmmJournaled: { name: 'VMM’s process journaled', phase: 'start', isReached: journaled('process') },
  guestBoots: { name: 'guest boots', phase: 'start', isReached: guestBoots },
  firstContext: { name: 'first context ok', phase: 'start', isReached: event('vm.context.ok') },
  running: { name: 'running', phase: 'running', isReached: () => true },
  destroyOrdered: { name: 'destroy accepted', phase: 'end', isReached: () => true },
  stopping: { name: 'guest told to shut down', phase: 'end', isReached: event('vm.stopping') },
  firstTerminated: { name: 'first guest off', phase: 'end', isReached: event('vm.terminated') },
  releasing: { name: 'pilot releases', phase: 'end', isReached: pilotLog('"releasing"') },
  firstReleased: { name: 'first node released', phase: 'end', isReached: event('node.released') },
} as const satisfies Readonly<Record<string, Moment>>;

const at = (
  victim: Victim,
  names: readonly (keyof typeof moments)[],
  chosen: readonly (keyof typeof moments)[] = [],
): CrashPoint[] => names.map(name => ({ victim, moment: moments[name], chosen: chosen.includes(name) }));

export const crashPoints: readonly CrashPoint[] = [
  ...at(
    'service',
    [
      'accepted',
      'submitted',
      'firstConnected',
      'slotReady',
      'propagating',
      'firstContext',
      'running',
      'destroyOrdered',
      'stopping',
      'firstReleased',
    ],
    ['submitted', 'stopping'],
  ),
  ...at(
    'pilot',
    ['pilotStarted', 'nodeReserved', 'startOrdered', 'guestBoots', 'running', 'stopping', 'releasing'],
    ['guestBoots'],
  ),
  ...at(
    'helper',
    ['nodeReserved', 'nicMade', 'vmmJournaled', 'running', 'stopping', 'firstTerminated'],
    ['nicMade'],
  ),
  ...at('pilot and helper', ['nodeReserved', 'nicMade', 'running', 'releasing'], ['running']),
  ...at('node', ['pilotStarted', 'nodeReserved', 'guestBoots', 'running', 'stopping'], []),
];

/** What a directory has that begins so; nothing while it is not there. */
function directoriesOf(path: string, start: string): readonly string[] {
  try {
    return readdirSync(path)
      .filter(name => name.startsWith(start))
      .map(name => join(path, name));
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // not there yet, or no more
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
