import { describe, expect, it } from 'vitest';
import { LeaseBench, startedAt } from '../../test/support/lease.ts';

describe('the moment of the walltime’s end', () => {
  it.each([
    [42_000, 'expired', 'walltime'],
    [42_001, 'preempted', 'node_left'],
  ] as const)(
    '%d ms before the job’s end a pilot that leaves ends the lease as %s',
    (leftMs, cause, code) => {
      const bench = new LeaseBench().running(1);
      bench.observed({ endsAt: startedAt + 600_000 });
      bench.now = startedAt + 600_000 - leftMs;
      bench.node('n0', 'releasing');
      expect(bench.workspace).toMatchObject({ cause, reason: { code } });
    },
  );

  it('ends as preempted what has not begun', () => {
    const bench = new LeaseBench().reserved(1);
    bench.observed({ endsAt: bench.now + 1_000 });
    bench.node('n0', 'releasing');
    expect(bench.workspace).toMatchObject({ cause: 'preempted', reason: { code: 'walltime' } });
  });
});
