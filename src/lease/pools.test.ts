import { describe, expect, it } from 'vitest';
import { LeaseBench, must, settings, startedAt } from '../../test/support/lease.ts';
import type { Pool } from './settings.ts';

const size = must(settings.site);
const free = (count: number) => Array.from({ length: count }, () => ({ memoryMiB: 1_024, cpus: 2 }));
/** Two nodes of our own, 1 GiB each. */
const own: Pool = {
  name: 'own',
  policy: { kind: 'exact' },
  reaches: ['private'],
  memory: settings.memory,
  site: { ...size, nodes: 2, memoryMiBPerNode: 1_024, cpusPerNode: 2, free: free(2) },
};
const batch: Pool = { ...own, name: 'batch', reaches: null, site: size };

const bench = (...pools: readonly Pool[]): LeaseBench => new LeaseBench({ pools });
const group = (count: number, memoryMiB = 256, networks = ['private']) => ({
  name: 'node',
  image: 'mini',
  count,
  memoryMiB,
  cpus: 1,
  networks,
});

describe('a site with several pools', () => {
  it('asks the first that could carry it and has room now', () => {
    const site = bench(own, batch);
    site.step(site.createInput({ groups: [group(2)] }));
    expect(site.slot.pool).toBe('own');
  });

  it('counts what has been asked for and has not begun as taken', () => {
    const site = bench(own, batch);
    site.step(site.createInput({ groups: [group(1, 900)] }));
    site.step({
      ...site.createInput({ name: 'two', groups: [group(2)] }),
      workspaceId: 'ws-b',
      slotId: 'slot-b',
    });
    expect(site.maps.slots.get('slot-b')?.pool).toBe('batch');
  });

  it('counts what waits for its pilots as taken until its job runs: then the LRM has counted it', () => {
    const site = bench(own, batch);
    site.step(site.createInput({ groups: [group(1, 900)] }));
    site.submitted();
    const jobs = (state: 'waiting' | 'running') => {
      const untold = { reason: null, outlook: null, estimatedStartAt: null, endsAt: null, draining: null };
      const job = { jobId: '7', slotId: site.slotId, nodes: [], ...untold, state };
      site.step({ type: 'lrm.observed', pool: 'own', takenAt: site.now, jobs: [job] });
    };
    const poolOfNext = (letter: string) => {
      const input = site.createInput({ name: letter, groups: [group(2)] }, letter);
      site.step(input);
      return site.maps.slots.get(input.slotId)?.pool;
    };
    jobs('waiting');
    expect(poolOfNext('b')).toBe('batch');
    jobs('running');
    expect(poolOfNext('c')).toBe('own');
  });

  it('does not count as taken what has been asked for of another pool', () => {
    const site = bench(own, batch);
    site.step(site.createInput({ groups: [group(2, 900)], pools: ['batch'] }));
    site.step({
      ...site.createInput({ name: 'two', groups: [group(2)] }),
      workspaceId: 'ws-b',
      slotId: 'slot-b',
    });
    expect(site.maps.slots.get('slot-b')?.pool).toBe('own');
  });

  it.each([
    ['too many nodes', [group(3)]],
    ['too much memory', [group(1, 2_000)]],
    ['a network that it does not reach', [group(1, 256, ['public'])]],
  ])('leaves out a pool for %s', (_what, groups) => {
    const site = bench(own, batch);
    site.step(site.createInput({ groups }));
    expect(site.slot.pool).toBe('batch');
  });

  it('lets the request choose, and set the order', () => {
    const one = bench(own, batch);
    one.step(one.createInput({ groups: [group(1)], pools: ['batch', 'own'] }));
    expect(one.slot.pool).toBe('batch');
    const other = bench(batch, own);
    other.step(other.createInput({ groups: [group(1)], pools: ['own'] }));
    expect(other.slot.pool).toBe('own');
  });

  it('waits in the first possible pool when none has room', () => {
    const full = { ...own, site: { ...must(own.site), free: free(0) } };
    const site = bench(full);
    site.step(site.createInput({ groups: [group(1)] }));
    expect(site.slot.pool).toBe('own');
  });

  it('says of every pool why it cannot carry it', () => {
    const site = bench(own, batch);
    const refusal = site.refusal(site.createInput({ groups: [group(20)] }));
    expect(refusal).toMatchObject({ code: 'exceeds_site' });
    expect(refusal.message).toMatch(
      /^no pool can host this workspace: own: 20 VMs .* 2 nodes; batch: 20 VMs .* 16 nodes$/,
    );
  });

  it('asks each pool for what its own VMM and pilot take', () => {
    const none = { vmm: { fixedMiB: 0, perCpuMiB: 0, guestShare: 0 }, pilotMiB: 10 };
    const site = bench({ ...own, memory: none }, batch);
    site.step(site.createInput({ groups: [group(1)], pools: ['own'] }));
    expect(site.slot).toMatchObject({ pool: 'own', memoryMiBPerNode: 266 });
    const other = bench({ ...own, memory: none }, batch);
    other.step(other.createInput({ groups: [group(1)], pools: ['batch'] }));
    expect(other.slot).toMatchObject({ pool: 'batch', memoryMiBPerNode: 320 });
  });

  it('refuses a pool that is not there', () => {
    const site = bench(own);
    const refusal = site.refusal(site.createInput({ groups: [group(1)], pools: ['gpu'] }));
    expect(refusal).toMatchObject({ code: 'pool_unknown', hint: 'it has: own' });
  });

  it("does not judge a slot by another pool's list of jobs", () => {
    const site = bench(own, batch);
    site.step(site.createInput({ groups: [group(1)] }));
    site.submitted();
    site.now = startedAt + 60_000;
    site.step({ type: 'lrm.observed', pool: 'batch', takenAt: site.now, jobs: [] });
    expect(site.slot.state).toBe('queued');
    site.step({ type: 'lrm.observed', pool: 'own', takenAt: site.now, jobs: [] });
    expect(site.slot.state).toBe('failed');
  });
});

describe('a lease that its job is too short for', () => {
  it('would be extended if the job lasted until then, and is when it does', () => {
    const site = new LeaseBench().running(1);
    const { endsAt } = site.workspace;
    site.observed({ endsAt: must(endsAt) + 60_000 });
    const input = { type: 'extend', workspaceId: site.ws, by: 'ann', durationMs: 3_600_000 } as const;
    const { ifJobLasts } = site.refusal(input);
    expect(ifJobLasts).toMatchObject({ slotId: site.slotId, jobId: '7' });
    const jobEndsAt = must(ifJobLasts).until;
    const { effects } = site.step({ type: 'lrm.extended', slotId: site.slotId, jobEndsAt });
    // Its pilots must not leave in time for the old end.
    expect(effects).toMatchObject([{ kind: 'pilot', order: { kind: 'job-end', endsAt: jobEndsAt } }]);
    site.step(input);
    expect(site.workspace.endsAt).toBe(must(endsAt) + 3_600_000);
  });
});

describe('the room that a pool has', () => {
  const sized = (...nodes: readonly (readonly [memoryMiB: number, cpus: number])[]): Pool => ({
    ...own,
    site: { ...must(own.site), nodes: 3, free: nodes.map(([memoryMiB, cpus]) => ({ memoryMiB, cpus })) },
  });
  const poolOf = (site: LeaseBench, groups: ReturnType<typeof group>[], letter = 'a'): string | undefined => {
    const input = site.createInput({ name: letter, groups }, letter);
    site.step(input);
    return site.maps.slots.get(input.slotId)?.pool;
  };

  it.each([
    ['just enough memory and processors', [[320, 1]], 'own'],
    ['a MiB too little', [[319, 1]], 'batch'],
    ['no processor', [[1_000, 0]], 'batch'],
    [
      'room on another node',
      [
        [319, 1],
        [320, 1],
      ],
      'own',
    ],
  ] as const)('is %s', (_what, nodes, pool) => {
    expect(poolOf(bench(sized(...nodes), batch), [group(1)])).toBe(pool);
  });

  it('is less by the processors and the memory of what waits there', () => {
    const site = bench(sized([1_000, 2]), batch);
    expect(['a', 'b', 'c'].map(letter => poolOf(site, [group(1)], letter))).toEqual(['own', 'own', 'batch']);
    const narrow = bench(sized([700, 8]), batch);
    expect(['a', 'b', 'c'].map(letter => poolOf(narrow, [group(1)], letter))).toEqual([
      'own',
      'own',
      'batch',
    ]);
  });

  it('is that of the pool which is asked for, in the order of the request', () => {
    const full = { ...own, name: 'full', site: { ...must(own.site), free: free(0) } };
    const site = bench(full, own);
    site.step(site.createInput({ groups: [group(1)] }));
    expect(site.slot.pool).toBe('own');
  });

  it('is not more by what runs', () => {
    const site = bench(sized([320, 1]), batch);
    site.maps.slots.clear();
    expect(poolOf(site, [group(1)])).toBe('own');
    site.maps.slots.set(site.slotId, { ...site.slot, state: 'ready' });
    expect(poolOf(site, [group(1)], 'b')).toBe('own');
  });
});

it('a pool out of reach is refused with what it reaches, and a site without any with that', () => {
  const alone = bench(own);
  const request = { groups: [group(1, 256, ['public'])] };
  expect(alone.refusal(alone.createInput(request))).toEqual({
    code: 'exceeds_site',
    message: 'group node: the nodes of pool own do not reach network public',
    hint: 'they reach: private',
  });
  const none = bench({ ...own, reaches: [] });
  expect(none.refusal(none.createInput(request)).hint).toBe('they reach: no network');
  const site = bench();
  expect(site.refusal(site.createInput({ groups: [group(1)] }))).toMatchObject({ code: 'exceeds_site' });
});
