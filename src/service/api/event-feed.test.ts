import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Role } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import type { Caller } from '../access/accounts.ts';
import { type SceneEngine, sceneEngine } from '../../../test/support/scene-engine.ts';
import { createVirtualClock, settle } from '../../platform/virtual-clock.ts';
import { type EventFeed, eventFeed } from './event-feed.ts';

const clock = createVirtualClock(0);
let engine: SceneEngine;
let feed: EventFeed;
beforeEach(async () => {
  engine = await sceneEngine();
  engine.addWorkspace({ id: 'ws-aaaaaaaaaa', owner: 'ann' });
  engine.addWorkspace({ id: 'ws-bbbbbbbbbb', owner: 'bob' });
  feed = eventFeed(engine, clock);
});
afterEach(() => {
  feed.close();
  expect(engine.waiting).toBe(0);
  expect(clock.nextAt()).toBeUndefined();
});

const caller =
  (user: string, role: Role = 'user') =>
  (): Caller => ({
    user,
    role,
    scope: 'full',
    projects: [],
    tokenId: null,
  });
const ask = (over: Partial<Parameters<EventFeed['page']>[0]> = {}, gone = new AbortController()) =>
  feed.page(
    { caller: caller('ann'), workspaceId: undefined, after: 0, waitMs: 0, limit: 100, ...over },
    gone.signal,
  );
const mine = { workspaceId: 'ws-aaaaaaaaaa' };
const theirs = { workspaceId: 'ws-bbbbbbbbbb' };

describe('a page of events', () => {
  it('has what the user may see, and goes on after what he may not', async () => {
    engine.tell(mine);
    engine.tell(theirs);
    engine.tell({ slotId: 'slot-aaaaaaaaaa' });
    engine.tell({});
    expect(await ask()).toMatchObject({ events: [{ seq: 1 }, { seq: 3 }], next: 4 });
    expect(await ask({ caller: caller('admin', 'admin') })).toMatchObject({ next: 4, events: { length: 4 } });
    expect(await ask({ after: 3 })).toEqual({ events: [], next: 4 });
  });

  it('holds no more than was asked for, and the next one goes on there', async () => {
    for (let count = 0; count < 5; count++) engine.tell(count === 1 ? theirs : mine);
    const page = await ask({ limit: 2 });
    expect(page).toMatchObject({ events: [{ seq: 1 }, { seq: 3 }], next: 3 });
    expect(await ask({ limit: 2, after: page.next })).toMatchObject({
      events: [{ seq: 4 }, { seq: 5 }],
      next: 5,
    });
  });

  it('skips more of others’ events than one reading holds', async () => {
    for (let count = 0; count < 1_500; count++) engine.tell(theirs);
    engine.tell(mine);
    expect(await ask()).toMatchObject({ events: [{ seq: 1_501 }], next: 1_501 });
  });
});

describe('a long poll', () => {
  it('answers at once when there is something', async () => {
    engine.tell(mine);
    expect((await ask({ waitMs: 30_000 })).events).toHaveLength(1);
  });

  it('waits for the first event that the user may see', async () => {
    const answer = ask({ waitMs: 30_000 });
    await settle();
    engine.tell(theirs);
    await settle();
    engine.tell(mine);
    expect(await answer).toMatchObject({ events: [{ seq: 2 }], next: 2 });
  });

  it('answers with nothing when the time is over', async () => {
    const answer = ask({ waitMs: 5_000 });
    await clock.advanceBy(5_000);
    expect(await answer).toEqual({ events: [], next: 0 });
  });

  it('hears what comes while it reads', async () => {
    const answer = ask({ waitMs: 30_000 });
    // Told before the first reading has come back.
    engine.tell(mine);
    expect((await answer).events).toHaveLength(1);
  });

  it('ends when the client has gone, and when the service stops', async () => {
    const gone = new AbortController();
    const answers = [ask({ waitMs: 30_000 }, gone), ask({ waitMs: 30_000 })];
    await settle();
    gone.abort();
    await answers[0];
    feed.close();
    expect(await answers[1]).toEqual({ events: [], next: 0 });
  });

  it('security 16: is refused to a user of whom too many wait, and to no other', async () => {
    const answers = Array.from({ length: 64 }, () => ask({ waitMs: 30_000 }));
    await settle();
    await expect(ask({ waitMs: 30_000 })).rejects.toMatchObject({
      code: 'busy',
      message: '64 clients wait for events of ann already, which is the most of one',
    });
    const other = ask({ caller: caller('bob'), waitMs: 30_000 });
    engine.tell(theirs);
    expect((await other).events).toHaveLength(1);
    feed.close();
    await Promise.all(answers);
  });

  it('security 15: shows nothing more to one who is nobody any more, or less by then', async () => {
    let who: Caller | undefined = caller('ann', 'operator')();
    const looked = (): Caller => {
      if (!who) throw new WspError('unauthorized', 'gone');
      return who;
    };
    const lesser = ask({ caller: looked, waitMs: 30_000 });
    await settle();
    who = caller('ann')();
    engine.tell(theirs);
    engine.tell(mine);
    expect((await lesser).events).toMatchObject([{ seq: 2 }]);
    const none = ask({ caller: looked, after: 2, waitMs: 30_000 });
    await settle();
    who = undefined;
    engine.tell(mine);
    await expect(none).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('is refused when too many wait', async () => {
    const answers = Array.from({ length: 512 }, (_, count) =>
      ask({ caller: caller(`user${count % 8}`), waitMs: 30_000 }),
    );
    await settle();
    await expect(ask({ waitMs: 30_000 })).rejects.toMatchObject({ code: 'busy' });
    expect(await ask()).toMatchObject({ events: [] });
    feed.close();
    await Promise.all(answers);
  });
});
