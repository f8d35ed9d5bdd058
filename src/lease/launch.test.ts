import { describe, expect, it } from 'vitest';
import { LeaseBench } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';

const group = (name: string, count = 2, more: { image?: string } = {}) => ({
  name,
  image: 'mini',
  count,
  memoryMiB: 256,
  cpus: 1,
  ...more,
});
const pending = (bench: LeaseBench, groups = [group('head', 1)]) =>
  bench.step(bench.createInput({ groups, pending: true, name: 'osg' }));
const add = (bench: LeaseBench, ...groups: ReturnType<typeof group>[]) =>
  ({ type: 'add', workspaceId: bench.ws, by: 'ann', groups }) as const;
const launch = (bench: LeaseBench) =>
  ({ type: 'launch', workspaceId: bench.ws, by: 'ann', lots: [0, 0] }) as const;

describe('a pending workspace', () => {
  it('can be destroyed more than once: what has ended stays as it is', () => {
    const bench = new LeaseBench();
    pending(bench);
    bench.destroy();
    const { workspace } = bench;
    expect(workspace).toMatchObject({ state: 'ended', cause: 'destroyed' });
    expect(bench.destroy().workspaces).toEqual([]);
    expect(bench.workspace).toEqual(workspace);
  });

  it('asks for nothing, grows, and is placed as a whole when it is launched', () => {
    const bench = new LeaseBench();
    expect(pending(bench).effects).toEqual([]);
    expect(bench.workspace).toMatchObject({ state: 'pending', vmIds: [] });
    expect(bench.state.slots.size).toBe(0);
    bench.step(add(bench, group('worker', 3)));
    const launched = bench.step(launch(bench));
    expect(bench.effectsOf(launched, 'lrm.submit')).toHaveLength(1);
    expect(bench.slot).toMatchObject({ state: 'requested', nodesWanted: 4 });
    expect(bench.vms.map(({ name }) => name)).toEqual(['head-0', 'worker-0', 'worker-1', 'worker-2']);
    expect(launched.events.map(({ type }) => type)).toEqual(['workspace.requested', 'slot.requested']);
  });

  it('is launched exactly once; launching it again changes nothing', () => {
    const bench = new LeaseBench();
    pending(bench);
    bench.step(launch(bench));
    expect(isEmpty(bench.step(launch(bench)))).toBe(true);
  });

  it('takes no groups after its launch', () => {
    const bench = new LeaseBench();
    pending(bench);
    bench.step(launch(bench));
    expect(bench.refusal(add(bench, group('late')))).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('is requested') as string,
    });
  });

  it('may begin with no group, but is not launched with none', () => {
    const bench = new LeaseBench();
    pending(bench, []);
    expect(bench.refusal(launch(bench))).toMatchObject({ code: 'invalid_request' });
    bench.step(add(bench, group('a')));
    bench.step(launch(bench));
    expect(bench.vms).toHaveLength(2);
  });

  it('refuses groups that cannot be, and stays as it was', () => {
    const bench = new LeaseBench();
    pending(bench);
    expect(bench.refusal(add(bench, group('head')))).toMatchObject({ code: 'invalid_request' });
    expect(bench.refusal(add(bench, group('x', 1, { image: 'nosuch' })))).toMatchObject({
      code: 'image_unknown',
    });
    bench.step(add(bench, group('many', 20)));
    expect(bench.refusal(launch(bench))).toMatchObject({ code: 'exceeds_site' });
    expect(bench.workspace.state).toBe('pending');
  });

  it('is destroyed at once: there is nothing to undo', () => {
    const bench = new LeaseBench();
    pending(bench);
    bench.destroy();
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'destroyed' });
    expect(bench.effects).toEqual([]);
    expect(bench.refusal(launch(bench))).toMatchObject({ code: 'conflict' });
  });

  it('that nobody launches is given up after a day', () => {
    const bench = new LeaseBench();
    pending(bench);
    bench.atDeadline();
    expect(bench.workspace).toMatchObject({
      state: 'ended',
      cause: 'cancelled',
      reason: { code: 'not_launched' },
    });
  });

  it('that nobody launches is given up when it could not start in time any more', () => {
    const bench = new LeaseBench();
    const startBy = new Date(bench.now + 3_600_000).toISOString();
    bench.step(bench.createInput({ groups: [group('head', 1)], pending: true, name: 'osg', startBy }));
    expect(isEmpty(bench.after(3_599_999))).toBe(true);
    bench.after(1);
    expect(bench.workspace).toMatchObject({ state: 'ended', reason: { code: 'not_launched' } });
  });

  it('is not launched when it is ending already', () => {
    const bench = new LeaseBench().running(1);
    bench.destroy();
    expect(bench.workspace.state).toBe('ending');
    expect(bench.refusal(launch(bench))).toMatchObject({ code: 'conflict' });
  });

  it('and its growth are refused when there is none', () => {
    const bench = new LeaseBench();
    for (const input of [add(bench, group('a')), launch(bench)])
      expect(bench.refusal(input)).toMatchObject({ code: 'not_found' });
  });
});
