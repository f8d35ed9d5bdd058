import type { Order } from '../../src/protocol/orders.ts';
import type { ServiceMessage } from '../../src/protocol/pilot.ts';

/**
 * Where a process of the simulated world can be made to die: each moment between doing a thing and telling of it, or telling and doing. One name a point,
 * `<who dies> <when>`; the simulation counts at which of them somebody has died, and is not content with fewer than all.
 *
 *   service   before and after each call that makes something durable or asks the LRM, and each kind of message to a pilot
 *   pilot     before a notification is journaled, between journal and network, after it is on its way
 *   on nodes  at each step of what reserve, start, stop and release do: the pilot, the helper, both, or the node itself
 */

/** Calls of the store and the LRM. */
const serviceCalls = ['commit', 'submit', 'cancel', 'list', 'extend'] as const;

/** What the service says to pilots: commands by their kind. Streams are no part of the simulation. */
const said: Readonly<
  Record<Exclude<ServiceMessage['type'], 'command' | 'open-stream'> | Order['kind'], true>
> = {
  welcome: true,
  ack: true,
  dismiss: true,
  'start-vm': true,
  'stop-vm': true,
  'operate-vm': true,
  'tell-guest': true,
  'set-peers': true,
  'job-end': true,
  release: true,
};
const serviceWords = Object.keys(said) as (keyof typeof said)[];

/** Notifications: of the node, and of a VM. */
const notifications = [
  ...(['reserving', 'reserved', 'preempting', 'releasing', 'released', 'failed'] as const).map(
    state => `node ${state}` as const,
  ),
  ...(
    [
      'propagating',
      'starting',
      'running',
      'paused',
      'rebooting',
      'stopping',
      'stopped',
      'terminated',
      'failed',
    ] as const
  ).map(state => `vm ${state}` as const),
] as const;

/** Who can die on a node: `both` are the pilot and its helper at once; `node`: its power is gone. */
export type Victim = 'pilot' | 'helper' | 'both' | 'node';
const anybody = ['pilot', 'helper', 'both', 'node'] as const;
const withoutHelper = ['pilot', 'node'] as const;

/** What control does on a node, step by step, as `src/control` does it; and who can die there. */
const nodeSteps = {
  'reserving: begun': withoutHelper,
  'reserving: helper started': anybody,
  'starting: files made': anybody,
  'starting: interface attached': anybody,
  'starting: VMM started': anybody,
  'running: VMM recorded': anybody,
  'running: guest reported': anybody,
  'stopping: guest told': anybody,
  'stopping: VMM gone': anybody,
  'stopping: interfaces detached': anybody,
  'releasing: begun': anybody,
  'releasing: all VMs off': anybody,
  'releasing: half undone': anybody,
  'releasing: undone': withoutHelper,
} as const satisfies Readonly<Record<string, readonly Victim[]>>;

/** A step of what control does. */
export type NodeStep = keyof typeof nodeSteps;

/** Who could die at a step. */
export const victimsAt = (step: NodeStep): readonly Victim[] => nodeSteps[step];

const aroundCalls = [...serviceCalls, ...serviceWords].flatMap(
  what => [`service before ${what}`, `service after ${what}`] as const,
);
const aroundNotifications = notifications.flatMap(
  what =>
    [
      `pilot before journal: ${what}`,
      `pilot before sending: ${what}`,
      `pilot after sending: ${what}`,
    ] as const,
);
const aroundOthers = (['hello', 'command-ack'] as const).flatMap(
  what => [`pilot before sending: ${what}`, `pilot after sending: ${what}`] as const,
);
const onNodes = (Object.keys(nodeSteps) as NodeStep[]).flatMap(step =>
  victimsAt(step).map(victim => `${victim} at ${step}` as const),
);

/** A moment at which somebody can die. */
export type CrashPoint =
  | (typeof aroundCalls)[number]
  | (typeof aroundNotifications)[number]
  | (typeof aroundOthers)[number]
  | (typeof onNodes)[number];

/** All of them. */
export const crashPoints: readonly CrashPoint[] = [
  ...aroundCalls,
  ...aroundNotifications,
  ...aroundOthers,
  ...onNodes,
];
const known: ReadonlySet<string> = new Set(crashPoints);

/** Whether a name is one of the table: what is asked about is made from the names of calls and messages. */
export const isCrashPoint = (name: string): name is CrashPoint => known.has(name);
