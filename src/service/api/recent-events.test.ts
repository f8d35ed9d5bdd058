import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type SceneEngine, sceneEngine } from '../../../test/support/scene-engine.ts';
import { RecentEvents } from './recent-events.ts';

let engine: SceneEngine;
let recent: RecentEvents;
/** What the store was asked for. */
let asked: number[];
beforeEach(async () => {
  engine = await sceneEngine();
  asked = [];
  const events = engine.events.bind(engine);
  engine.events = query => {
    asked.push(query.after);
    return events(query);
  };
  recent = new RecentEvents(engine);
});
afterEach(() => recent.close());

const limit = 200;
const mine = { workspaceId: 'ws-aaaaaaaaaa' };
const theirs = { workspaceId: 'ws-bbbbbbbbbb', type: 'vm.failed' };
const seqs = async (query: Parameters<RecentEvents['read']>[0]): Promise<number[]> =>
  (await recent.read(query)).map(({ seq }) => seq);

/** Everything up to now is read once, so that what comes is held. */
async function reachTheEnd(after = 0): Promise<void> {
  await recent.read({ after, limit });
  expect(recent.has(after)).toBe(true);
  asked = [];
}

describe('the newest events', () => {
  it('security 16: are read from the store once for all who follow', async () => {
    await reachTheEnd();
    engine.tell(mine);
    engine.tell(theirs);
    await engine.told();
    const answers = await Promise.all(Array.from({ length: 64 }, () => seqs({ after: 0, limit })));
    expect(answers).toEqual(Array.from({ length: 64 }, () => [1, 2]));
    expect(asked).toEqual([0]);
    expect(await seqs({ after: 1, limit })).toEqual([2]);
    expect(await seqs({ after: 2, limit })).toEqual([]);
    expect(asked).toEqual([0]);
  });

  it('are chosen by workspace, by type and by number as the store does it', async () => {
    await reachTheEnd();
    for (const which of [mine, theirs, mine]) engine.tell(which);
    expect(await seqs({ after: 0, limit, workspaceId: mine.workspaceId })).toEqual([1, 3]);
    expect(await seqs({ after: 0, limit, types: ['vm.failed'] })).toEqual([2]);
    expect(await seqs({ after: 0, limit: 2 })).toEqual([1, 2]);
    expect(await seqs({ after: 1, limit: 1 })).toEqual([2]);
  });

  it('have what is told while the store is read', async () => {
    await reachTheEnd();
    engine.tell(mine);
    const first = seqs({ after: 0, limit });
    engine.tell(mine);
    const second = seqs({ after: 0, limit });
    await first;
    expect(await second).toEqual([1, 2]);
  });

  it('have what is told while everything is read for the first time', async () => {
    const first = recent.read({ after: 0, limit });
    engine.tell(mine);
    await first;
    expect(await seqs({ after: 0, limit })).toEqual([1]);
  });

  it('are all that is held: what is further back is read from the store', async () => {
    await reachTheEnd();
    for (let count = 0; count < 5_000; count += 1) engine.tell(mine);
    expect(await seqs({ after: 5_000, limit })).toEqual([]);
    expect(await seqs({ after: 4_999, limit })).toEqual([5_000]);
    expect(recent.has(4_000)).toBe(true);
    expect(recent.has(500)).toBe(false);
    asked = [];
    expect(await seqs({ after: 500, limit: 2 })).toEqual([501, 502]);
    expect(asked).toEqual([500]);
  });

  it('are read anew when the store could not be read', async () => {
    await reachTheEnd();
    engine.tell(mine);
    const { events } = engine;
    engine.events = () => Promise.reject(new Error('disk full'));
    await expect(recent.read({ after: 0, limit })).rejects.toThrow('disk full');
    engine.events = events;
    expect(await seqs({ after: 0, limit })).toEqual([1]);
  });

  it('are not taken from a reading of some only', async () => {
    engine.tell(theirs);
    engine.tell(mine);
    expect(await seqs({ after: 0, limit, workspaceId: mine.workspaceId })).toEqual([2]);
    expect(await seqs({ after: 0, limit, types: ['vm.failed'] })).toEqual([1]);
    expect(await seqs({ after: 0, limit: 1 })).toEqual([1]);
    expect(recent.has(0)).toBe(false);
    expect(await seqs({ after: 0, limit })).toEqual([1, 2]);
  });
});
