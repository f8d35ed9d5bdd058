import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineBench, must } from '../../../test/support/engine.ts';
import { LrmError } from '../../lrm/lrm.ts';

describe('the LRM reconciler', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = await new EngineBench().start();
  });
  afterEach(() => bench.close());

  /** How often the LRM is asked while so much time passes. */
  const listsDuring = async (ms: number): Promise<number> => {
    const before = bench.lrm.lists;
    await bench.advance(ms);
    return bench.lrm.lists - before;
  };

  it('asks once at the start, then not at all while there is no slot', async () => {
    await bench.advance(1_000);
    expect(bench.lrm.lists).toBe(1);
    expect(await listsDuring(3_600_000)).toBe(0);
  });

  it('asks every second while something waits', async () => {
    await bench.create();
    await bench.advance(5_000);
    expect(await listsDuring(10_000)).toBe(10);
  });

  it('asks rarely while all is quiet', async () => {
    await bench.running();
    await bench.advance(60_000);
    expect(await listsDuring(150_000)).toBe(10);
  });

  it('asks every second while a pilot is not heard: its job may end a while after it', async () => {
    const { pilots } = await bench.running();
    await bench.advance(60_000);
    must(pilots[0]).session.closed();
    await bench.advance(5_000);
    expect(await listsDuring(10_000)).toBe(10);
  });

  it('asks soon, then less soon, when nodes are given back', async () => {
    const { workspace, pilots } = await bench.running();
    bench.lrm.change('1', { state: 'running' }, false);
    await bench.advance(120_000);
    await bench.engine.workspaces.destroy(workspace.id, 'ann');
    must(pilots[0]).vm(must(workspace.vmIds[0]), 'terminated');
    await bench.settle();
    expect(bench.slot(workspace.slotId).state).toBe('releasing');
    expect(await listsDuring(1_000)).toBe(4);
    expect(await listsDuring(5_000)).toBe(5);
    must(pilots[0]).notify({ kind: 'node', state: 'released' });
    must(pilots[0]).session.closed();
    bench.lrm.change('1', { state: 'completed' }, false);
    await bench.advance(100);
    expect(bench.slot(workspace.slotId).state).toBe('released');
  });

  it('tells what the LRM says of a waiting job', async () => {
    const { slotId } = await bench.create();
    bench.lrm.change('1', { reason: 'JobHeldUser', estimatedStartAt: 1_800_000_000_000 }, false);
    await bench.advance(1_000);
    expect(bench.slot(slotId)).toMatchObject({
      lrmState: 'waiting',
      lrmReason: 'JobHeldUser',
      estimatedStartAt: 1_800_000_000_000,
    });
  });

  it('acts on a signal of the LRM at once', async () => {
    const { workspace } = await bench.running();
    // Not at the very moment of a round.
    await bench.advance(120_500);
    bench.lrm.change('1', { state: 'cancelled', reason: 'by root' });
    await bench.advance(0);
    expect(bench.workspace(workspace.id)).toMatchObject({
      state: 'ended',
      cause: 'cancelled',
      reason: { code: 'lrm_cancelled' },
    });
  });

  it('never has two queries at a time, and asks again for a signal that came during one', async () => {
    await bench.create();
    const answers: (() => void)[] = [];
    let asked = 0;
    bench.lrm.list = () => {
      asked += 1;
      return new Promise(resolve => answers.push(() => resolve(bench.lrm.jobs)));
    };
    await bench.advance(5_000);
    expect(asked).toBe(1);
    bench.lrm.change('1', {});
    await bench.advance(5_000);
    expect(asked).toBe(1);
    answers.pop()?.();
    await bench.advance(100);
    expect(asked).toBe(2);
  });

  it('leaves everything as it is when the LRM is down, says so once, and asks more and more rarely', async () => {
    const { workspace } = await bench.running();
    bench.lrm.down = new LrmError('unavailable', 'down');
    expect(await listsDuring(600_000)).toBeLessThan(40);
    expect(bench.workspace(workspace.id).state).toBe('running');
    expect(bench.logged.filter(({ level }) => level === 'error')).toHaveLength(1);
    bench.lrm.down = undefined;
    await bench.advance(30_000);
    expect(bench.logged.filter(({ message }) => message.includes('answers again'))).toHaveLength(1);
  });

  it('site S1: does not believe an empty list where jobs should be, until it has been said for a minute', async () => {
    const { workspace } = await bench.running();
    const jobs = bench.lrm.jobs.splice(0);
    await bench.advance(55_000);
    expect(bench.workspace(workspace.id).state).toBe('running');
    bench.lrm.jobs.push(...jobs);
    await bench.advance(120_000);
    expect(bench.workspace(workspace.id).state).toBe('running');
    bench.lrm.jobs.splice(0);
    await bench.advance(150_000);
    expect(bench.workspace(workspace.id)).toMatchObject({ state: 'ended', reason: { code: 'lrm_lost' } });
  });

  it('site S1: believes it when the minute is over, not at the next look after that', async () => {
    const { workspace } = await bench.running();
    // Seen at a signal: from the shortest pause on.
    bench.lrm.change('1', {});
    bench.lrm.jobs.splice(0);
    await bench.advance(59_000);
    expect(bench.workspace(workspace.id).state).toBe('running');
    await bench.advance(2_000);
    expect(bench.workspace(workspace.id).state).toBe('ended');
  });

  it('site S1: believes the empty list of an embedded LRM at once: its jobs died with the service', async () => {
    const { workspace } = await bench.running();
    bench.lrm.embedded = true;
    bench.lrm.jobs.splice(0);
    await bench.advance(55_000);
    expect(bench.workspace(workspace.id)).toMatchObject({ state: 'ended', reason: { code: 'lrm_lost' } });
  });

  it('site S1: believes an empty list at once when the only job was told to end', async () => {
    const { workspace, pilots } = await bench.running();
    await bench.engine.workspaces.destroy(workspace.id, 'ann');
    must(pilots[0]).vm(must(workspace.vmIds[0]), 'terminated');
    await bench.settle();
    bench.lrm.jobs.splice(0);
    await bench.advance(1_000);
    expect(bench.slot(workspace.slotId).state).toBe('released');
  });

  it('lets jobs of other services be, and has those cancelled that no slot wants', async () => {
    const { workspace } = await bench.running();
    bench.lrm.jobs.push(
      { jobId: '90', jobName: 'wsp-slot-zzzzzzzzzz', state: 'running', nodes: [] },
      { jobId: '91', jobName: 'wsp-something', state: 'running', nodes: [] },
      { jobId: '92', jobName: `wsp-${workspace.slotId}`, state: 'waiting', nodes: [] },
    );
    await bench.advance(60_000);
    expect(bench.lrm.cancelled).toEqual(['92']);
    expect(bench.workspace(workspace.id).state).toBe('running');
  });
});

describe('what the LRM can give', () => {
  it('is asked at the start and every few minutes, and limits what is accepted', async () => {
    const bench = new EngineBench();
    try {
      await bench.start();
      await expect(bench.create(17)).rejects.toMatchObject({ code: 'exceeds_site' });
      bench.lrm.caps = { ...bench.lrm.caps, nodes: 20 };
      await bench.advance(5 * 60_000);
      await bench.create(17);
    } finally {
      await bench.close();
    }
  });

  it('is waited for at the start, but not for ever', async () => {
    const bench = new EngineBench();
    try {
      bench.lrm.capabilities = () => new Promise(() => undefined);
      const started = bench.engine.start();
      await bench.advance(5_000);
      await started;
      expect(bench.engine.state.settings.pools[0]?.site).toBeNull();
      await bench.create(17);
    } finally {
      await bench.close();
    }
  });

  it('is asked again soon when the LRM did not answer', async () => {
    const bench = new EngineBench();
    try {
      bench.lrm.down = new LrmError('unavailable', 'down');
      await bench.start();
      bench.lrm.down = undefined;
      await bench.advance(1_000);
      expect(bench.engine.state.settings.pools[0]?.site).toMatchObject({ nodes: 16, killDelayMs: 30_000 });
    } finally {
      await bench.close();
    }
  });
});
