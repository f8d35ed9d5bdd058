import { describe, expect, it } from 'vitest';
import { LeaseBench, startedAt } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';

const group = { name: 'node', image: 'mini', count: 2, memoryMiB: 256, cpus: 1 };

describe('a client token', () => {
  it('makes the same request the same workspace, however often it comes', () => {
    const bench = new LeaseBench();
    const request = { groups: [group], clientToken: 'once' };
    bench.step(bench.createInput(request));
    expect(isEmpty(bench.step(bench.createInput(request, 'b')))).toBe(true);
    expect(bench.state.workspaces.size).toBe(1);
    bench.destroy();
    bench.step({ type: 'lrm.submitted', slotId: bench.slotId, jobId: '7' });
    bench.observed(undefined);
    expect(bench.workspace.state).toBe('ended');
    expect(isEmpty(bench.step(bench.createInput(request, 'b')))).toBe(true);
  });

  it('with another request is a conflict, and another user’s token is another token', () => {
    const bench = new LeaseBench();
    bench.step(bench.createInput({ groups: [group], clientToken: 'once' }));
    const other = { groups: [{ ...group, count: 1 }], clientToken: 'once' };
    expect(bench.refusal(bench.createInput(other, 'b'))).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(bench.ws) as string,
    });
    bench.step(bench.createInput(other, 'b', 'bob'));
    expect(bench.state.workspaces.size).toBe(2);
  });
});

describe('a latest start', () => {
  const startBy = new Date(startedAt + 60_000).toISOString();

  it('gives up a workspace that waits for the LRM, and says what it waited for', () => {
    const bench = new LeaseBench();
    bench.create(1, { startBy });
    bench.submitted();
    bench.observed({ state: 'waiting', reason: 'jobs of higher priority start before it' });
    bench.atDeadline();
    expect(bench.now).toBe(startedAt + 60_000);
    expect(bench.workspace).toMatchObject({
      cause: 'cancelled',
      reason: {
        code: 'start_by_missed',
        message: `it did not run by ${startBy}: jobs of higher priority start before it`,
      },
    });
    expect(bench.slot.state).toBe('releasing');
  });

  it('gives up a workspace whose VMs are still starting', () => {
    const bench = new LeaseBench().reserved(2, { startBy });
    bench.vm(0, 'running');
    bench.after(60_000);
    expect(bench.workspace).toMatchObject({ state: 'ending', reason: { code: 'start_by_missed' } });
  });

  it('means nothing any more once the lease has begun', () => {
    const bench = new LeaseBench().running(2, { startBy });
    bench.after(60_000);
    expect(bench.workspace.state).toBe('running');
  });

  it('that is over already, or no time at all, is refused', () => {
    const bench = new LeaseBench();
    for (const [bad, why] of [
      [new Date(startedAt).toISOString(), /has already passed/],
      ['2026-13-45T99:00:00Z', /not a time that exists/],
    ] as const)
      expect(bench.refusal(bench.createInput({ groups: [group], startBy: bad }))).toMatchObject({
        code: 'invalid_request',
        message: expect.stringMatching(why) as string,
      });
  });
});

describe('an ensemble that may be partial', () => {
  const keepPartial = true;
  const failed = { reason: { code: 'vmm_start_failed', message: 'QEMU has died' } };

  it('runs with what is left when a VM fails', () => {
    const bench = new LeaseBench().reserved(3, { keepPartial });
    bench.vm(0, 'running');
    bench.vm(1, 'failed', failed);
    expect(bench.workspace.state).toBe('deploying');
    bench.vm(2, 'running');
    expect(bench.workspace.state).toBe('running');
    bench.vm(2, 'failed', failed);
    expect(bench.workspace.state).toBe('running');
    bench.vm(0, 'failed', failed);
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'failed' });
    expect(bench.workspace.reason?.message).toMatch(/no VM is left; node-0 on node n0 failed: QEMU has died/);
  });

  it('gives up at its deadline what is still on its way, and begins with the rest', () => {
    const bench = new LeaseBench().reserved(2, { keepPartial });
    bench.vm(0, 'running');
    const late = bench.atDeadline();
    expect(bench.ordersOf(late, 'stop-vm')).toMatchObject([{ vmId: bench.vms[1]?.id }]);
    expect(bench.workspace.state).toBe('deploying');
    bench.vm(1, 'terminated');
    expect(bench.workspace.state).toBe('running');
  });

  it('fails when nothing of it runs', () => {
    const bench = new LeaseBench().reserved(2, { keepPartial });
    bench.atDeadline();
    expect(bench.workspace).toMatchObject({ state: 'ending', reason: { code: 'deploy_timeout' } });
  });
});

describe('the end of an ensemble that may be partial', () => {
  const keepPartial = true;

  it('is its guests’ own when they have shut themselves down', () => {
    const bench = new LeaseBench().running(2, { keepPartial });
    bench.vm(0, 'terminated');
    expect(bench.workspace.state).toBe('running');
    bench.vm(1, 'terminated');
    expect(bench.workspace).toMatchObject({
      state: 'ended',
      cause: 'destroyed',
      reason: { code: 'guest_shutdown' },
    });
  });

  it('is that of the VM that failed, when one did', () => {
    const bench = new LeaseBench().running(2, { keepPartial });
    bench.vm(1, 'failed', { reason: { code: 'vmm_exited', message: 'killed' } });
    bench.vm(0, 'terminated');
    expect(bench.workspace).toMatchObject({
      state: 'ended',
      cause: 'failed',
      reason: { code: 'vmm_exited' },
    });
    expect(bench.workspace.reason?.message).toContain('node-1 on node n1 failed: killed');
  });
});

it('a VM that ended early has failed its ensemble; a VM that failed without a word is said to have', () => {
  const early = new LeaseBench().reserved(2);
  early.vm(0, 'terminated');
  expect(early.workspace).toMatchObject({ cause: 'failed', reason: { code: 'vm_ended_early' } });
  const bench = new LeaseBench().running(1);
  bench.vm(0, 'failed');
  const reason = { code: 'vm_failed', message: 'its node gave no reason' };
  expect(bench.vms).toMatchObject([{ state: 'failed', reason }]);
  expect(bench.workspace.reason?.code).toBe('vm_failed');
});
