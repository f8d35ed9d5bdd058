import { describe, expect, it } from 'vitest';
import { LeaseBench, must, startedAt } from '../../test/support/lease.ts';
import { workspaceView } from '../service/api/views.ts';
import type { Decision } from './decision.ts';

const hourMs = 3_600_000;
const typesOf = ({ events }: Decision): readonly string[] => events.map(({ type }) => type);
const suspended = (bench: LeaseBench, more: object = {}): Decision =>
  bench.observed({ state: 'suspended', reason: 'for a job of higher priority', ...more });
const shown = (bench: LeaseBench) => workspaceView(bench.state, bench.workspace);

describe('site S3, pbs 3, site G2: a job that the LRM suspends', () => {
  it('is told once, with since when; its workspace and VMs are suspended, and go on', () => {
    const bench = new LeaseBench().running(2);
    const since = bench.now;
    const told = suspended(bench);
    expect(typesOf(told)).toEqual(['slot.lrm', 'slot.suspended', 'workspace.suspended']);
    expect(typesOf(suspended(bench))).toEqual([]);
    expect(shown(bench)).toMatchObject({
      state: 'suspended',
      reason: { code: 'suspended' },
      slot: { suspendedSince: new Date(since).toISOString() },
      vms: [{ state: 'suspended' }, { state: 'suspended' }],
    });
    expect(bench.slot.state).toBe('ready');
    bench.now += 60_000;
    expect(typesOf(bench.observed({}))).toEqual(
      expect.arrayContaining(['slot.resumed', 'workspace.resumed']),
    );
    expect(shown(bench)).toMatchObject({
      state: 'running',
      vms: [{ state: 'running' }, { state: 'running' }],
    });
  });

  it('is not taken as lost while its pilots are silent, nor for as long again once it goes on', () => {
    const bench = new LeaseBench().running(1);
    suspended(bench);
    bench.step({
      type: 'pilot.connected',
      slotId: bench.slotId,
      node: 'n0',
      address: '10.0.0.1',
      vms: [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }],
    });
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
    bench.after(10 * hourMs);
    expect(bench.workspace.state).toBe('running');
    bench.observed({});
    bench.after(299_999);
    expect(bench.workspace.state).toBe('running');
    bench.after(1);
    expect(bench.workspace).toMatchObject({ state: 'ending', reason: { code: 'pilot_lost' } });
  });

  it('has its deployment go on for as long as was left of it', () => {
    const bench = new LeaseBench().reserved(1);
    suspended(bench);
    bench.after(hourMs);
    bench.observed({});
    expect(bench.workspace.deployDeadlineAt).toBe(bench.now + bench.state.settings.deployTimeoutMs);
    bench.after(bench.state.settings.deployTimeoutMs - 1);
    expect(bench.workspace.state).toBe('deploying');
  });

  it('counts as stood still only what is of the lease, which began meanwhile', () => {
    const bench = new LeaseBench().reserved(1);
    suspended(bench);
    bench.now += hourMs;
    // Said before it was stopped, and heard only now.
    bench.vm(0, 'running');
    bench.now += 60_000;
    bench.observed({});
    expect(bench.workspace).toMatchObject({ state: 'running', suspendedMs: 60_000 });
  });

  it('has its lease stand still, and given back as far as the job lasts, also when that is told later', () => {
    const bench = new LeaseBench();
    bench.create(1, { durationMs: hourMs });
    bench.submitted();
    bench.node('n0', 'reserved');
    const jobEndsAt = bench.now + hourMs + 120_000;
    bench.observed({ endsAt: jobEndsAt });
    bench.vm(0, 'running');
    const endsAt = must(bench.workspace.endsAt);
    expect(endsAt).toBe(bench.now + hourMs);
    suspended(bench, { endsAt: jobEndsAt });
    bench.after(2 * hourMs);
    expect(bench.workspace.state).toBe('running');
    bench.observed({ endsAt: jobEndsAt });
    // The LRM has not moved the job's end yet: guests have their time to shut down.
    expect(bench.workspace.endsAt).toBe(bench.now + 10_000);
    const told = bench.observed({ endsAt: jobEndsAt + 2 * hourMs });
    expect(typesOf(told)).toContain('workspace.lengthened');
    expect(bench.workspace.endsAt).toBe(endsAt + 2 * hourMs);
    bench.observed({ endsAt: jobEndsAt + 9 * hourMs });
    expect(bench.workspace.endsAt).toBe(endsAt + 2 * hourMs);
  });

  it('waits for no pilot and for no VM until it goes on', () => {
    const reserving = new LeaseBench();
    reserving.create(2);
    reserving.submitted();
    reserving.node('n0', 'reserved');
    suspended(reserving);
    reserving.after(hourMs);
    expect(reserving.slot.state).toBe('reserving');
    reserving.observed({});
    expect(reserving.slot.deadlineAt).toBe(reserving.now + 60_000);

    const deploying = new LeaseBench().reserved(1);
    suspended(deploying);
    deploying.after(hourMs);
    expect([deploying.workspace.state, shown(deploying).state]).toEqual(['deploying', 'suspended']);
    deploying.observed({});
    deploying.after(120_000);
    expect(deploying.workspace.reason?.code).toBe('deploy_timeout');
  });

  it('is cancelled at once when its workspace is destroyed: nobody there can obey', () => {
    const bench = new LeaseBench().running(1);
    suspended(bench);
    const destroyed = bench.destroy();
    expect(bench.effectsOf(destroyed, 'lrm.cancel')).toHaveLength(1);
    bench.observed({ state: 'cancelled' });
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'destroyed' });
    expect(bench.slot.state).toBe('released');
  });

  it('is suspended no more when it is over, nor is what comes after it', () => {
    const bench = new LeaseBench().running(1, { requeue: true });
    suspended(bench);
    bench.observed({ state: 'preempted' });
    expect(bench.slot).toMatchObject({ state: 'failed', suspendedSince: null });
    const { slot } = bench;
    bench.after(0);
    expect(bench.workspace.state).toBe('requested');
    expect(shown(bench).state).toBe('requested');
    expect(slot.lrmTrouble).toBeNull();
  });

  it('does not hold back the latest start that its workspace was given', () => {
    const startBy = new Date(startedAt + 60_000).toISOString();
    const bench = new LeaseBench().reserved(1, { startBy });
    suspended(bench);
    bench.after(59_999);
    expect(bench.workspace.state).toBe('deploying');
    bench.after(1);
    expect(bench.workspace.reason?.code).toBe('start_by_missed');
  });

  it('takes no orders but that', () => {
    const bench = new LeaseBench().running(1);
    suspended(bench);
    const order = { workspaceId: bench.ws, by: 'ann' } as const;
    const operate = { operation: 'pause', target: undefined, graceMs: undefined } as const;
    expect(bench.refusal({ type: 'operate', ...order, ...operate }).message).toContain(
      'suspended by the batch scheduler since',
    );
    expect(bench.refusal({ type: 'extend', ...order, durationMs: 1_000 }).code).toBe('conflict');
  });

  it('is left where the site says so, and started anew for who asks for it', () => {
    const bench = new LeaseBench({ suspended: 'leave' }).running(1, { requeue: true });
    expect(bench.effectsOf(suspended(bench), 'lrm.cancel')).toHaveLength(1);
    expect(bench.workspace).toMatchObject({ cause: 'preempted', reason: { code: 'suspended' } });
    bench.observed({ state: 'cancelled' });
    bench.after(0);
    expect(bench.workspace).toMatchObject({ state: 'requested', requeues: 1 });
  });
});

it('report D: a VM whose node is not heard is unreachable, since when', () => {
  const bench = new LeaseBench().running(1);
  bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }]);
  expect(shown(bench).vms).toMatchObject([{ state: 'running', unheardSince: null }]);
  bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
  const unheardSince = new Date(bench.now).toISOString();
  expect(shown(bench).vms).toMatchObject([{ state: 'unreachable', unheardSince }]);
});

describe('report D: a pilot whose node has closed its connection without its farewell', () => {
  const hungUp = (bench: LeaseBench): void => {
    bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }]);
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0', hungUp: true });
  };

  it('is taken as dead within 20 s', () => {
    const bench = new LeaseBench().running(1);
    hungUp(bench);
    bench.after(15_000);
    expect(bench.workspace).toMatchObject({
      state: 'ending',
      cause: 'failed',
      reason: {
        code: 'pilot_lost',
        message:
          'the service has heard nothing from the pilot on n0 (its node has closed the connection) for 15s',
      },
    });
  });

  it('is taken as dead no later than one that is only silent', () => {
    const bench = new LeaseBench({ pilotSilenceMs: 5_000 }).running(1);
    hungUp(bench);
    bench.after(5_000);
    expect(bench.workspace.reason?.code).toBe('pilot_lost');
  });

  it('but not when it comes back, and has all of the time again when the service was away', () => {
    const bench = new LeaseBench().running(1);
    hungUp(bench);
    bench.after(10_000);
    bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }]);
    bench.after(60_000);
    expect(bench.workspace.state).toBe('running');
    hungUp(bench);
    bench.now += 1_000;
    bench.step({ type: 'service.started' });
    bench.after(60_000);
    expect(bench.workspace.state).toBe('running');
  });
});

describe('the history of a suspension', () => {
  it.each([
    [null, 'the batch scheduler has suspended the job'],
    ['for another', 'the batch scheduler has suspended the job: for another'],
  ])(
    'has the LRM’s words, if it has any (%s), and for how long, for slot and workspace',
    (words, message) => {
      const bench = new LeaseBench().running(1);
      const about = { slotId: bench.slotId, workspaceId: bench.ws };
      const begun = { ...about, reason: { code: 'suspended', message } };
      const { events } = suspended(bench, { reason: words });
      expect(events.slice(-2)).toMatchObject([
        { type: 'slot.suspended', ...begun },
        { type: 'workspace.suspended', ...begun },
      ]);
      bench.now += 90_000;
      const reason = { code: 'resumed', message: 'the batch scheduler lets the job run on, after 1m30s' };
      const told = bench.observed({}).events.filter(({ type }) => type.endsWith('.resumed'));
      expect(told).toMatchObject([
        { type: 'slot.resumed', ...about, reason },
        { type: 'workspace.resumed', ...about, reason },
      ]);
    },
  );
});

describe('a job that is suspended on its way out', () => {
  it('is cancelled: nobody is there to obey', () => {
    const releasing = new LeaseBench().running(1);
    releasing.destroy();
    releasing.vm(0, 'terminated');
    expect(releasing.slot.state).toBe('releasing');
    expect(releasing.effectsOf(suspended(releasing), 'lrm.cancel')).toHaveLength(1);
    const preempting = new LeaseBench().running(1);
    preempting.node('n0', 'preempting');
    expect(preempting.slot.state).toBe('preempting');
    expect(preempting.effectsOf(suspended(preempting), 'lrm.cancel')).toHaveLength(1);
  });

  it('where the site leaves has no VM ordered, and no time to wait for one', () => {
    const bench = new LeaseBench({ suspended: 'leave' }).running(1);
    const decision = suspended(bench);
    expect(bench.ordersOf(decision, 'stop-vm')).toEqual([]);
    expect(bench.workspace).toMatchObject({ state: 'ending', endingDeadlineAt: bench.now + 2_000 });
    expect(bench.slot).toMatchObject({ state: 'releasing', reason: { code: 'suspended' } });
  });
});

it('a job that goes on leaves as they were deadlines that there were not, pilots that were heard, and a lease that has not begun', () => {
  const bench = new LeaseBench().running(2);
  for (const index of [0, 1])
    bench.connect(`n${index}`, [{ vmId: must(bench.vms[index]).id, state: 'running', context: 'ok' }]);
  bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
  suspended(bench);
  bench.now += 60_000;
  bench.observed({});
  expect(bench.slot.nodes).toMatchObject([{ silentSince: bench.now }, { silentSince: null }]);
  expect(bench.workspace).toMatchObject({
    deployDeadlineAt: null,
    endingDeadlineAt: null,
    suspendedMs: 60_000,
  });
  expect(bench.slot.deadlineAt).toBeNull();
  const deploying = new LeaseBench().reserved(1);
  suspended(deploying);
  deploying.now += 60_000;
  deploying.observed({});
  expect(deploying.workspace.suspendedMs).toBe(0);
});
