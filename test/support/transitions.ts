/**
 * The steps that an entity's state may take, as ARCHITECTURE has them: written down once more, apart from
 * the product's tables (src/lease/transitions.ts), so that a step that is missing there, or is too
 * much, is noticed.
 */
export const designedSteps: readonly string[] = [
  ...steps('slot', {
    requested: 'queued reserving releasing failed',
    queued: 'reserving releasing failed',
    reserving: 'ready preempting releasing failed',
    ready: 'preempting releasing failed',
    preempting: 'releasing',
    releasing: 'released',
  }),
  ...steps('vm', {
    pending: 'propagating starting running stopping terminated failed',
    propagating: 'starting running stopping terminated failed',
    starting: 'running stopping terminated failed',
    running: 'paused rebooting stopping stopped terminated failed',
    paused: 'running rebooting stopping stopped terminated failed',
    rebooting: 'running stopping stopped terminated failed',
    stopping: 'stopped terminated failed',
    stopped: 'starting running stopping terminated failed',
  }),
  ...steps('workspace', {
    pending: 'requested ended',
    requested: 'queued deploying ending',
    queued: 'deploying ending',
    deploying: 'running ending',
    running: 'ending',
    ending: 'ended requested',
  }),
];

function steps(entity: string, table: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(table).flatMap(([from, next]) =>
    next.split(' ').map(to => `${entity} ${from} → ${to}`),
  );
}
