import { describe, expect, it } from 'vitest';
import { LeaseBench, startedAt } from '../../test/support/lease.ts';
import { nextDeadlineAt } from './decide.ts';

const hour = 3_600_000;
const minute = 60_000;
const extend = (bench: LeaseBench, durationMs: number) =>
  ({ type: 'extend', workspaceId: bench.ws, by: 'ann', durationMs }) as const;

/** A lease of an hour in a job that lasts `jobMs`. */
function leased(jobMs: number, endNoticesMs: readonly number[] = []): LeaseBench {
  const bench = new LeaseBench({ endNoticesMs }).reserved(2);
  bench.observed({ endsAt: startedAt + jobMs });
  bench.vm(0, 'running');
  bench.vm(1, 'running');
  return bench;
}

describe('extending a lease', () => {
  it('puts its end off when the slot lasts, and says who did it', () => {
    const bench = leased(3 * hour);
    bench.step(extend(bench, hour));
    expect(bench.workspace).toMatchObject({ endsAt: startedAt + 2 * hour, durationMs: 2 * hour });
    expect(bench.events.at(-1)).toMatchObject({
      type: 'workspace.extended',
      reason: { code: 'extended', message: expect.stringContaining('by ann by 1h') as string },
    });
    bench.atDeadline();
    expect(bench.now).toBe(startedAt + 2 * hour - 10_000);
    expect(bench.workspace.state).toBe('ending');
  });

  it('is refused when the job ends before, and says what would work; that works', () => {
    const bench = leased(hour + 15 * minute);
    const refusal = bench.refusal(extend(bench, hour));
    expect(refusal).toMatchObject({ code: 'conflict' });
    // Of the quarter of an hour, 42 s are the pilots' own.
    expect(refusal.hint).toBe('it can be extended by 14m18s at most');
    expect(bench.refusal(extend(bench, 14 * minute + 18_001))).toMatchObject({ code: 'conflict' });
    bench.step(extend(bench, 14 * minute + 18_000));
    expect(bench.refusal(extend(bench, 1_000)).hint).toBe('lease another workspace for the time after it');
  });

  it('advises no more than there is, though the job ends within a second', () => {
    const bench = leased(hour + 15 * minute + 500);
    expect(bench.refusal(extend(bench, hour)).hint).toBe('it can be extended by 14m18s at most');
    bench.step(extend(bench, 14 * minute + 18_000));
  });

  it('is refused beyond the longest lease of the site', () => {
    const bench = leased(40 * hour);
    expect(bench.refusal(extend(bench, 23 * hour + 1_000))).toMatchObject({
      code: 'exceeds_site',
      message: expect.stringMatching(/longest is (24h|1d)/) as string,
    });
    bench.step(extend(bench, 23 * hour));
  });

  it('is refused for a workspace that does not run, and for none', () => {
    const bench = new LeaseBench();
    bench.create(1);
    expect(bench.refusal(extend(bench, hour))).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('is requested') as string,
    });
    expect(bench.refusal({ ...extend(bench, hour), workspaceId: 'ws-zzzzzzzzzz' })).toMatchObject({
      code: 'not_found',
    });
  });
});

describe('notices of the end', () => {
  const notices = [10 * minute, minute];
  const given = (bench: LeaseBench): string[] =>
    bench.events
      .filter(({ type }) => type === 'workspace.ends-soon')
      .map(({ reason }) => reason?.message ?? '');

  it('are given in time, each once, to the owner and to every guest that is up', () => {
    const bench = leased(3 * hour, notices);
    bench.vm(1, 'terminated');
    const first = bench.atDeadline();
    expect(bench.now).toBe(startedAt + 50 * minute);
    expect(bench.ordersOf(first, 'tell-guest')).toMatchObject([
      { vmId: bench.vms[0]?.id, node: 'n0', message: expect.stringContaining('ends in 10m') as string },
    ]);
    expect(bench.step({ type: 'clock', slotId: 'slot-new' }).events).toEqual([]);
    bench.atDeadline();
    expect(bench.now).toBe(startedAt + 59 * minute);
    expect(given(bench)).toHaveLength(2);
    bench.atDeadline();
    expect(bench.workspace.state).toBe('ending');
  });

  it('are not given for a lease that is shorter', () => {
    const bench = new LeaseBench({ endNoticesMs: notices }).running(1, { durationMs: 5 * minute });
    bench.atDeadline();
    expect(bench.now).toBe(startedAt + 4 * minute);
    expect(given(bench)).toEqual([expect.stringContaining('ends in 1m')]);
  });

  it('are given again for the new end of a lease that was extended', () => {
    const bench = leased(3 * hour, notices);
    bench.atDeadline();
    bench.step(extend(bench, hour));
    expect(nextDeadlineAt(bench.state)).toBe(startedAt + 110 * minute);
    bench.atDeadline();
    expect(given(bench)).toHaveLength(2);
  });

  it('that came due while nobody was there are given as one: the last', () => {
    const bench = leased(3 * hour, notices);
    bench.after(59 * minute + 30_000);
    expect(given(bench)).toEqual([expect.stringContaining('ends in 1m')]);
    expect(bench.workspace.noticesGivenMs).toEqual(notices);
  });
});

describe('notices that have been given', () => {
  const notices = [10 * minute, minute];

  it('stay given when the lease is put off by less than they were early', () => {
    const bench = leased(3 * hour, notices);
    bench.after(50 * minute);
    bench.after(9 * minute);
    expect(bench.workspace.noticesGivenMs).toEqual(notices);
    bench.step(extend(bench, 5 * minute));
    // The end is in 6 minutes now.
    expect(bench.workspace.noticesGivenMs).toEqual([10 * minute]);
    expect(nextDeadlineAt(bench.state)).toBe(startedAt + 64 * minute);
  });

  it('are ahead again, those that are due at this moment not', () => {
    const bench = leased(3 * hour, notices);
    bench.after(50 * minute);
    bench.after(9 * minute);
    bench.step(extend(bench, 9 * minute));
    expect(bench.workspace.noticesGivenMs).toEqual([10 * minute]);
  });

  it('are so, too, when the lease is given its time back', () => {
    const bench = leased(3 * hour, notices);
    bench.observed({ endsAt: startedAt + 20 * minute });
    bench.after(10 * minute);
    expect(bench.workspace.noticesGivenMs).toEqual([10 * minute]);
    bench.observed({ endsAt: startedAt + 22 * minute });
    expect(bench.workspace.noticesGivenMs).toEqual([]);
    bench.after(2 * minute);
    expect(bench.workspace.noticesGivenMs).toEqual([10 * minute]);
    bench.observed({ endsAt: startedAt + 3 * hour });
    expect(bench.workspace.noticesGivenMs).toEqual([]);
  });

  it('are told to guests under the time of the notice', () => {
    const bench = leased(3 * hour, notices);
    const { effects } = bench.after(59 * minute);
    const at = startedAt + 59 * minute;
    expect(effects.map(({ key }) => key)).toEqual(bench.vms.map(({ id }) => `tell:${id}:${at}`));
    expect(bench.events.at(-1)).toMatchObject({ workspaceId: bench.ws, reason: { code: 'ends_soon' } });
  });

  it('are none for a lease that is just as long', () => {
    const bench = new LeaseBench({ endNoticesMs: [10 * minute] }).running(1, { durationMs: 10 * minute });
    expect(nextDeadlineAt(bench.state)).toBe(startedAt + 10 * minute - 10_000);
  });

  it('are not told to a guest that is not there', () => {
    const bench = leased(3 * hour, notices);
    bench.vm(0, 'stopped');
    expect(bench.ordersOf(bench.after(50 * minute), 'tell-guest')).toMatchObject([{ node: 'n1' }]);
  });
});

it('a lease that ends, or has ended, is not extended', () => {
  const bench = leased(3 * hour);
  bench.destroy();
  expect(bench.refusal(extend(bench, minute)).code).toBe('conflict');
  const deploying = new LeaseBench().reserved(1);
  expect(deploying.refusal(extend(deploying, minute)).code).toBe('conflict');
});
