import { beforeEach, describe, expect, it } from 'vitest';
import { createVirtualClock, settle, type VirtualClock } from '../../platform/virtual-clock.ts';
import { Inbox, PilotAccount } from './inbox.ts';

let clock: VirtualClock;
let account: PilotAccount;
let handled: number[];
let done: (() => void)[];
let reading: string[];
let inbox: Inbox<number>;
beforeEach(() => {
  clock = createVirtualClock(0);
  account = new PilotAccount(clock);
  [handled, done, reading] = [[], [], []];
  inbox = new Inbox<number>(
    clock,
    { pause: () => reading.push('paused'), resume: () => reading.push('resumed') },
    () => account,
    message => {
      handled.push(message);
      return new Promise(resolve => done.push(resolve));
    },
  );
});

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const put = (count: number, cost = 1): void => upTo(count).forEach(message => inbox.put(message, cost));

describe('what a pilot has sent', () => {
  it('is looked at in its order, so much at a time; meanwhile no more is read', async () => {
    put(32);
    expect([handled, reading]).toEqual([upTo(32), []]);
    inbox.put(32, 1);
    inbox.put(33, 1);
    expect([handled.length, reading]).toEqual([32, ['paused']]);
    done[5]?.();
    await settle();
    expect([handled.length, reading]).toEqual([33, ['paused']]);
    done[0]?.();
    await settle();
    expect([handled, reading]).toEqual([upTo(34), ['paused', 'resumed']]);
    done[1]?.();
    await settle();
    expect([handled.length, clock.nextAt()]).toEqual([34, undefined]);
  });

  it('is looked at as fast as its account allows, which costs what it costs', async () => {
    inbox.put(0, 2_000);
    inbox.put(1, 1);
    inbox.put(2, 1);
    expect([handled, reading]).toEqual([[0], ['paused']]);
    await clock.advanceTo(10);
    expect([handled, reading]).toEqual([[0, 1], ['paused']]);
    await clock.advanceTo(100);
    expect([handled, reading]).toEqual([upTo(3), ['paused', 'resumed']]);
  });

  it('has one wait at a time', async () => {
    inbox.put(0, 2_020);
    put(3);
    expect(clock.nextAt()).toBe(1_001);
    clock.runNext();
    expect(clock.nextAt()).toBeGreaterThan(1_001);
    await clock.advanceTo(2_000);
    expect(clock.nextAt()).toBeUndefined();
  });

  it('is not looked at when the connection is over; and what carries that is read on', async () => {
    inbox.put(0, 2_000);
    inbox.put(1, 1);
    inbox.stop();
    expect([reading, clock.nextAt()]).toEqual([['paused', 'resumed'], undefined]);
    inbox.put(2, 1);
    done[0]?.();
    await clock.advanceTo(60_000);
    expect([handled, reading]).toEqual([[0], ['paused', 'resumed']]);
  });

  it('waits also where the connection cannot be paused', async () => {
    const bare = new Inbox<number>(
      clock,
      {},
      () => account,
      message => {
        handled.push(message);
        return Promise.resolve();
      },
    );
    bare.put(0, 2_001);
    bare.put(1, 1);
    expect(handled).toEqual([0]);
    await clock.advanceTo(1_000);
    expect(handled).toEqual([0, 1]);
  });
});

describe('what a node of a slot may send', () => {
  it.each([
    [1, 2_000],
    [3, 2_020],
  ])('is as much at once for %i of them: %i', (nodes, burst) => {
    account = new PilotAccount(clock, nodes);
    account.spend(burst - 1);
    expect(account.waitMs()).toBe(0);
    account.spend(1);
    expect(account.waitMs()).toBeGreaterThan(0);
    account.spend(20);
    expect(account.waitMs()).toBe(1_001);
  });

  it('has the LRM asked why it has gone sixteen times, and then every ten seconds', async () => {
    const asked = (): number => upTo(100).filter(() => account.isNewsForLrm()).length;
    expect(asked()).toBe(16);
    await clock.advanceBy(10_000);
    expect(asked()).toBe(1);
    await clock.advanceBy(1_000_000);
    expect([asked(), account.waitMs(), account.strays]).toEqual([16, 0, 0]);
  });
});
