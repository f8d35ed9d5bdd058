import { afterAll, describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/service/store/sqlite.ts';
import { Tally } from './coverage.ts';
import { deeds } from './faults.ts';
import { type LifeReport, live } from './life.ts';

/** `SEED=n` runs one life alone and prints its trace; `SEEDS=n` runs so many. */
const one = process.env['SEED'];
const seeds = one === undefined ? Number(process.env['SEEDS'] ?? 1_000) : 1;
const first = Number(one ?? 0);
const atOnce = 100;

function lifeOf(seed: number): Promise<LifeReport> {
  return live(seed, openSqliteStore({ directory: ':memory:' }));
}

/** What a reader needs of a life that went wrong: its seed, what broke, and all that led to it. */
function story(report: LifeReport): string {
  return [`SEED=${report.seed}: ${report.failure}`, ...report.trace].join('\n');
}

describe('simulated lives', () => {
  const tally = new Tally();

  afterAll(() => console.log(tally.lines().join('\n')));

  for (let from = first; from < first + seeds; from += atOnce) {
    const upTo = Math.min(from + atOnce, first + seeds);
    it(`hold all seven invariants at every step: seeds ${from} to ${upTo - 1}`, async () => {
      for (let seed = from; seed < upTo; seed++) {
        const report = await lifeOf(seed);
        tally.add(report);
        if (one !== undefined) console.log(story(report));
        expect(report.failure === undefined ? '' : story(report)).toBe('');
      }
    });
  }

  /** Seeds that have found a bug once, beyond the first thousand (docs/reliability.md). */
  it.each([4_472, 8_986])('hold them in a life that once did not: seed %d', async seed => {
    const report = await lifeOf(seed);
    expect(report.failure === undefined ? '' : story(report)).toBe('');
  });

  it.skipIf(seeds < 1_000)('go through every state and every way to end', () => {
    const wanted = [
      ...deeds.map(deed => `deed ${deed}`),
      'slot used again',
      'warm slot used',
      'slot.idle',
      'workspace.running',
      'workspace.shortened',
      'slot.preempting',
      'slot.released',
      'slot.failed',
      'vm.failed',
      'node.failed',
      'node.disconnected',
      'expired:expired',
      'destroyed:destroyed',
      'destroyed:guest_shutdown',
      'preempted:lrm_signal',
      'cancelled:lrm_cancelled',
      'failed:vmm_exited',
      'failed:reserve_timeout',
      'failed:deploy_timeout',
      'failed:lrm_refused',
      'refused:exceeds_site',
      'refused:conflict',
    ];
    const { history, ends, faults } = tally.counts;
    expect(wanted.filter(what => !history.has(what) && !ends.has(what) && !faults.has(what))).toEqual([]);
  });

  it('take no step that the tables do not have', () => expect(tally.illegal()).toEqual([]));

  it.skipIf(seeds < 1_000)('take every transition, and die at every crash point', () => {
    expect(tally.missing()).toEqual([]);
  });

  it('are repeated exactly from their seed', async () => {
    const [once, again] = [await lifeOf(first), await lifeOf(first)];
    expect(once.trace.length).toBeGreaterThan(0);
    expect(again).toEqual(once);
  });
});
