import type { GroupRequest, WorkspaceRequest } from '../../src/protocol/cluster.ts';
import type { Dice } from './dice.ts';

/** A request as users make them, some of them more than there is. `now`: milliseconds since the epoch. */
export function randomRequest(dice: Dice, now: number): WorkspaceRequest {
  if (dice.chance(0.3)) return modestRequest(dice);
  const groups = Array.from({ length: dice.int(1, 2) }, (_, index) => randomGroup(dice, `g${index}`));
  const durationMs = dice.pick([1_000, 5_000, 60_000, 300_000, 900_000]);
  return {
    groups,
    durationMs,
    ...(dice.chance(0.3) ? { name: 'shared' } : {}),
    ...(dice.chance(0.1) ? { keepPartial: true } : {}),
    ...(dice.chance(0.3) ? { requeue: true } : {}),
    ...heal(dice),
    ...(dice.chance(0.1) ? { pending: true } : {}),
    ...(dice.chance(0.1)
      ? { startBy: new Date(now + dice.pick([1_000, 20_000, 600_000])).toISOString() }
      : {}),
  };
}

/** One that most sites can do, and that lasts for long enough to have something done to it. */
function modestRequest(dice: Dice): WorkspaceRequest {
  const group = { name: 'g0', image: 'mini', count: 1, memoryMiB: dice.pick([64, 512]), cpus: 1 };
  return { groups: [group], durationMs: dice.pick([60_000, 120_000]), ...heal(dice) };
}

function heal(dice: Dice): Pick<WorkspaceRequest, 'heal'> {
  return dice.chance(0.3) ? { heal: 'replace' } : {};
}

function randomGroup(dice: Dice, name: string): GroupRequest {
  return {
    name,
    image: dice.chance(0.03) ? 'unknown' : 'mini',
    count: dice.chance(0.03) ? 40 : dice.int(1, 2),
    memoryMiB: dice.pick([64, 512, 4_096]),
    cpus: dice.int(1, 2),
    ...(dice.chance(0.3) ? { networks: ['public', 'private'] } : {}),
  };
}
