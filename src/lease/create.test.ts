import { describe, expect, it } from 'vitest';
import { LeaseBench, settings } from '../../test/support/lease.ts';
import type { GroupRequest, WorkspaceRequest } from '../protocol/cluster.ts';

const group: GroupRequest = { name: 'node', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 };

function refusalOf(request: WorkspaceRequest): { code: string; message: string; hint?: string } {
  return new LeaseBench().refusal(new LeaseBench().createInput(request));
}

describe('create', () => {
  it('accepts an ensemble whole: names, addresses, defaults, a slot that fits, and a job to submit', () => {
    const bench = new LeaseBench();
    const decision = bench.step(
      bench.createInput({
        groups: [
          { ...group, name: 'head', memoryMiB: 512, networks: ['public', 'private'], roles: ['ce'] },
          { ...group, name: 'worker', image: 'plain', count: 2, cpus: 2 },
        ],
        durationMs: 600_000,
      }),
    );
    expect(bench.vms.map(vm => [vm.name, vm.context, vm.nics.map(nic => nic.address)])).toEqual([
      ['head-0', 'pending', ['192.0.2.10', '10.90.0.1']],
      ['worker-0', 'none', ['10.90.0.2']],
      ['worker-1', 'none', ['10.90.0.3']],
    ]);
    expect(bench.workspace).toMatchObject({ name: bench.ws, state: 'requested', durationMs: 600_000 });
    expect(bench.workspace.groups[1]).toMatchObject({ networks: ['private'], roles: [] });
    expect(bench.slot).toMatchObject({
      state: 'requested',
      nodesWanted: 3,
      memoryMiBPerNode: 576,
      cpusPerNode: 2,
    });
    expect(decision.effects).toEqual([
      { kind: 'lrm.submit', key: `submit:${bench.slotId}`, slotId: bench.slotId },
    ]);
    expect(decision.events.map(({ type }) => type)).toEqual(['workspace.requested', 'slot.requested']);
  });

  it('takes the default duration, and no network when the site has no default', () => {
    const bench = new LeaseBench({ defaultNetwork: null });
    bench.create(1);
    expect(bench.workspace.durationMs).toBe(settings.defaultDurationMs);
    expect(bench.vms[0]?.nics).toEqual([]);
  });

  it.each<[string, WorkspaceRequest, string, RegExp]>([
    [
      'too little memory for its image',
      { groups: [{ ...group, memoryMiB: 16 }] },
      'invalid_request',
      /needs at least 32 MiB/,
    ],
    ['unknown image', { groups: [{ ...group, image: 'bsd' }] }, 'image_unknown', /no image bsd/],
    ['unknown network', { groups: [{ ...group, networks: ['dmz'] }] }, 'network_unknown', /no network dmz/],
    ['too many VMs', { groups: [{ ...group, count: 17 }] }, 'exceeds_site', /17 VMs .* 16 nodes/],
    [
      'too much memory with the overhead',
      { groups: [{ ...group, memoryMiB: 8_150 }] },
      'exceeds_site',
      /8214 MiB .* 8192 MiB/,
    ],
    ['too many processors', { groups: [{ ...group, cpus: 5 }] }, 'exceeds_site', /5 processors .* has 4/],
    [
      'too long for the service',
      { groups: [group], durationMs: 25 * 3_600_000 },
      'exceeds_site',
      /at most 1d; 1d1h/,
    ],
    [
      'report 10: a group with the name of another one’s VM',
      {
        groups: [
          { ...group, name: 'v' },
          { ...group, name: 'v-0' },
        ],
      },
      'invalid_request',
      /group v-0 has the name of a VM of group v: /,
    ],
    ...['1/2/2027', '-5', '2027-02-30T00:00:00Z', '2027-01-01T00:00:00', '2027-01-01T25:00:00Z'].map(
      (startBy): [string, WorkspaceRequest, string, RegExp] => [
        `report 10: startBy ${startBy}`,
        { groups: [group], startBy },
        'invalid_request',
        /is not a time that exists/,
      ],
    ),
    ['two groups of one name', { groups: [group, group] }, 'invalid_request', /two groups/],
    [
      'a name too long for its VMs',
      { groups: [{ ...group, name: 'a'.repeat(30) }] },
      'invalid_request',
      /too long/,
    ],
    [
      'more addresses than the pool has',
      { groups: [{ ...group, count: 11, networks: ['public'] }] },
      'addresses_exhausted',
      /public .* \(10 in all\)/,
    ],
  ])('refuses %s', (_what, request, code, message) => {
    const refusal = refusalOf(request);
    expect(refusal.code).toBe(code);
    expect(refusal.message).toMatch(message);
  });

  it('says what the site has instead', () => {
    expect(refusalOf({ groups: [{ ...group, image: 'bsd' }] }).hint).toBe('it has: mini, plain');
  });

  it('original defect 9, the walltime is the duration, so that its end looks like a preemption: the walltime is padded', () => {
    const bench = new LeaseBench();
    bench.create(1, { durationMs: 600_000 });
    // A minute to start, and a minute in which guests shut down and nodes are restored before the LRM's own end.
    expect(bench.slot.walltimeMs).toBeGreaterThanOrEqual(600_000 + 60_000);
  });

  it('refuses what is longer than the longest job', () => {
    const site = settings.site && { ...settings.site, maxWalltimeMs: 3_600_000 };
    const bench = new LeaseBench({ site });
    const input = bench.createInput({ groups: [group], durationMs: 3_600_001 });
    expect(bench.refusal(input)).toMatchObject({ code: 'exceeds_site' });
    bench.create(1, { durationMs: 3_600_000 });
    expect(bench.slot.walltimeMs).toBe(3_600_000);
  });

  it('refuses nothing for its size before the LRM has answered', () => {
    const bench = new LeaseBench({ site: null });
    bench.create(150);
    expect(bench.slot.nodesWanted).toBe(150);
  });

  it("refuses a name among its owner's live workspaces only", () => {
    const bench = new LeaseBench();
    bench.create(1, { name: 'mine' });
    const again = { name: 'mine', groups: [group] };
    expect(bench.refusal(bench.createInput(again, 'b'))).toMatchObject({ code: 'conflict' });
    bench.step(bench.createInput(again, 'c', 'bob'));
    bench.destroy();
    bench.step(bench.createInput(again, 'b'));
  });
});

describe('what is left open in a request', () => {
  it('is as it is for most: not partial, not requeued, ended by a lost VM, of no project', () => {
    const bench = new LeaseBench();
    bench.create(1);
    expect(bench.workspace).toMatchObject({
      project: null,
      pools: [],
      keepPartial: false,
      requeue: false,
      requeues: 0,
      heal: 'fail',
      clientToken: null,
      requestDigest: null,
      startBy: null,
    });
    expect(bench.slot).toMatchObject({ warm: false, owner: 'ann', workspaceIds: [bench.ws], jobNodes: [] });
  });

  it('does not make it another request’s workspace', () => {
    const bench = new LeaseBench();
    const request = { groups: [group] };
    for (const letter of ['a', 'b']) bench.step(bench.createInput(request, letter));
    bench.step(bench.createInput({ ...request, clientToken: 't1' }, 'c'));
    bench.step(bench.createInput({ ...request, clientToken: 't2' }, 'd'));
    expect(bench.maps.workspaces.size).toBe(4);
  });

  it('is in the history of one that waits for its launch, as is its growth', () => {
    const bench = new LeaseBench();
    const pending = bench.step(bench.createInput({ groups: [], pending: true }));
    const add = { type: 'add', workspaceId: bench.ws, by: 'ann', groups: [group] } as const;
    expect([...pending.events, ...bench.step(add).events]).toMatchObject([
      { type: 'workspace.pending', workspaceId: bench.ws, slotId: null },
      { type: 'workspace.grown', workspaceId: bench.ws },
    ]);
    expect(bench.destroy().events).toMatchObject([
      { type: 'workspace.ended', workspaceId: bench.ws, reason: { code: 'destroyed' } },
    ]);
  });
});
