import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../test/support/lease.ts';
import type { ObservedJob } from './model.ts';

/**
 * A lease whose pilot was sent a signal and has left; its workspace has ended, the job's end is not
 * known.
 */
function signalled(more: object = {}): LeaseBench {
  const bench = new LeaseBench().running(1, more);
  const reason = { code: 'lrm_signal', message: 'the batch scheduler sent SIGTERM to the pilot' };
  bench.notify('n0', { kind: 'node', state: 'preempting', reason });
  bench.node('n0', 'releasing');
  bench.node('n0', 'released');
  return bench;
}

describe('site S9: how the job ended corrects what its pilots made of a signal', () => {
  it.each<[ObservedJob['state'], string | null, object]>([
    ['cancelled', null, { cause: 'cancelled', reason: { code: 'lrm_cancelled' } }],
    ['timeout', null, { cause: 'expired', reason: { code: 'walltime' } }],
    [
      'node-failed',
      'node n3: power supply',
      {
        cause: 'failed',
        reason: {
          code: 'lrm_node-failed',
          message: 'job 7 has lost a node: node n3: power supply',
        },
      },
    ],
    ['preempted', null, { cause: 'preempted', reason: { code: 'lrm_signal' } }],
    ['completed', null, { cause: 'preempted', reason: { code: 'lrm_signal' } }],
  ])('when it was %s', (state, reason, end) => {
    const bench = signalled();
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted' });
    const { events } = bench.observed({ state, reason });
    expect(bench.workspace).toMatchObject({ state: 'ended', ...end });
    const corrected = events.filter(({ type }) => type === 'workspace.end-known');
    expect(corrected).toHaveLength(state === 'preempted' || state === 'completed' ? 0 : 1);
  });

  it('a lost node is told of although its pilot was only silent', () => {
    const bench = new LeaseBench().running(1);
    bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }]);
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
    bench.observed({ state: 'node-failed', reason: 'n0 does not respond' });
    expect(bench.workspace).toMatchObject({ cause: 'failed' });
    expect(bench.workspace.reason?.message).toContain('n0 does not respond');
  });

  it('a workspace that asks for it is started anew after a lost node, not after a deletion', () => {
    const lost = signalled({ requeue: true });
    lost.observed({ state: 'node-failed' });
    lost.after(0);
    expect(lost.workspace.state).toBe('requested');
    const deleted = signalled({ requeue: true });
    deleted.observed({ state: 'cancelled' });
    deleted.after(0);
    expect(deleted.workspace).toMatchObject({ state: 'ended', cause: 'cancelled' });
  });
});

describe('site S4: what we have cancelled ourselves is nobody’s deed', () => {
  it('a job that is put back into the queue, held, is cancelled at once, and its workspace started anew', () => {
    const bench = signalled({ requeue: true });
    const held = bench.observed({ state: 'waiting', reason: 'held by an administrator' });
    expect(bench.effectsOf(held, 'lrm.cancel')).toHaveLength(1);
    expect(bench.slot.cancelOrdered).toBe(true);
    const { events } = bench.observed({ state: 'cancelled', reason: 'cancelled by 1000' });
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'slot.lrm',
        reason: { code: 'cancelled', message: 'this service has cancelled it' },
      }),
    );
    bench.after(0);
    expect(bench.workspace).toMatchObject({ state: 'requested', requeues: 1 });
  });

  it('but one that was ending already when we cancelled it', () => {
    const bench = signalled({ requeue: true });
    bench.observed({ state: 'ending' });
    bench.after(60_000);
    bench.after(60_000);
    bench.observed({ state: 'cancelled' });
    bench.after(0);
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'cancelled' });
  });
});

describe('what the job’s end says of a workspace', () => {
  it('is told in the history, with the reason, and has it end at once', () => {
    const bench = new LeaseBench().running(1);
    bench.node('n0', 'preempting');
    const { events } = bench.observed({ state: 'cancelled' });
    const reason = { code: 'lrm_cancelled', message: 'job 7 was cancelled' };
    expect(events.find(({ type }) => type === 'workspace.end-known')).toMatchObject({
      workspaceId: bench.ws,
      slotId: bench.slotId,
      reason,
    });
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'cancelled', reason });
  });

  it('of one whose lease would have expired later: it is over now', () => {
    const bench = new LeaseBench().running(1);
    bench.observed({ endsAt: bench.now + 3_600_000 });
    bench.node('n0', 'preempting');
    bench.observed({ state: 'timeout', endsAt: bench.now + 3_600_000 });
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'expired', endingDeadlineAt: null });
  });

  it('is known also when it has failed for a silent pilot, and was preempted', () => {
    const bench = new LeaseBench().running(1);
    bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }]);
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
    bench.atDeadline();
    expect(bench.workspace).toMatchObject({ cause: 'failed', reason: { code: 'pilot_lost' } });
    bench.observed({ state: 'preempted' });
    expect(bench.workspace).toMatchObject({ cause: 'preempted', reason: { code: 'lrm_preempted' } });
  });

  it('is nothing to one that was meant to end, or that is elsewhere by now', () => {
    const destroyed = new LeaseBench().running(1);
    destroyed.destroy();
    destroyed.observed({ state: 'preempted' });
    expect(destroyed.workspace).toMatchObject({ cause: 'destroyed', reason: { code: 'destroyed' } });
    const failed = new LeaseBench().running(1);
    failed.vm(0, 'failed', { reason: { code: 'vmm_exited', message: 'killed' } });
    failed.observed({ state: 'node-failed' });
    expect(failed.workspace).toMatchObject({ cause: 'failed', reason: { code: 'vmm_exited' } });
  });
});
