import type { Clock } from '../../platform/clock.ts';
import type { EventView } from '../../protocol/api.ts';
import type { Caller } from '../access/accounts.ts';
import type { Engine, StoredEvent } from '../engine-api.ts';
import { Shares } from '../shares.ts';
import { eventView } from '../views.ts';
import { maySee } from './owners.ts';

/** The longest that one long poll waits. */
export const maxWaitMs = 30_000;
/** Long polls that may wait at the same time; one more is told to come back. */
const waiting = { all: 512, each: 64 };
/** Events read from the store at once while looking for those that a user may see. */
const scanLimit = 1_000;

/** Which events, for whom, and how long to wait (milliseconds) when there is none. */
export interface EventQuery {
  /** Who asks, as they are at that moment. What it throws ends the page. */
  readonly caller: () => Caller;
  readonly workspaceId: string | undefined;
  /** Only events of these. Absent: all. */
  readonly types?: readonly string[] | undefined;
  readonly after: number;
  readonly waitMs: number;
  readonly limit: number;
}

/** The history as clients read it. Holds no events: only the number of those who wait for them. */
export interface EventFeed {
  /**
   * Events that the user may see; waits for the first until `waitMs` are over, `gone` is aborted or
   * the service stops.
   */
  page(query: EventQuery, gone: AbortSignal): Promise<{ events: EventView[]; next: number }>;
  /** The whole history of one workspace. */
  all(workspaceId: string): Promise<readonly StoredEvent[]>;
  /** All events of these types. */
  allOf(types: readonly string[]): Promise<readonly StoredEvent[]>;
  /** Answers everyone who waits, now and from now on. */
  close(): void;
  closed(): boolean;
}

/** The feed over the engine's history. */
export function eventFeed(engine: Engine, clock: Clock): EventFeed {
  const closing = new AbortController();
  const events = sharedReads(engine);
  const waiters = new Shares('clients wait for events', waiting);

  /** One page of what the user may see; `next` also passes over what they may not. */
  async function read({ caller, workspaceId, types, after, limit }: EventQuery) {
    let next = after;
    for (;;) {
      const scan = workspaceId === undefined ? scanLimit : limit;
      const found = await events({
        after: next,
        limit: scan,
        ...(workspaceId === undefined ? {} : { workspaceId }),
        ...(types === undefined ? {} : { types }),
      });
      const who = caller();
      const seen = found.filter(event => maySee(engine.state, who, event)).slice(0, limit);
      const full = seen.length === limit;
      next = (full ? seen.at(-1)?.seq : found.at(-1)?.seq) ?? next;
      if (seen.length > 0 || found.length < scan) return { events: seen.map(viewOf), next };
    }
  }

  return {
    async page(query, gone) {
      const news = watchNews(engine);
      const late = new AbortController();
      const stopTimer = clock.after(query.waitMs, () => late.abort());
      const enough = AbortSignal.any([late.signal, gone, closing.signal]);
      try {
        let after = query.after;
        for (;;) {
          const seen = news.count();
          const answer = await read({ ...query, after });
          after = answer.next;
          if (answer.events.length > 0 || query.waitMs === 0 || enough.aborted) return answer;
          const giveBack = waiters.take(query.caller().user);
          await news.since(seen, enough).finally(giveBack);
        }
      } finally {
        news.stop();
        stopTimer();
      }
    },

    all: workspaceId => readAll(engine, { workspaceId }),
    allOf: types => readAll(engine, { types }),

    close: () => closing.abort(),
    closed: () => closing.signal.aborted,
  };
}

/**
 * All who wait hear of the same news at the same moment, and most of them ask for the same then: it
 * is read once.
 */
function sharedReads(engine: Engine): Engine['events'] {
  const underWay = new Map<string, ReturnType<Engine['events']>>();
  return query => {
    const key = JSON.stringify(query);
    const known = underWay.get(key);
    if (known) return known;
    const forget = (): void => {
      if (underWay.get(key) === read) underWay.delete(key);
    };
    // What began before a commit does not have it: whoever asks after it reads anew.
    const stopNews = engine.onEvents(forget);
    const read = engine.events(query).finally(() => {
      stopNews();
      forget();
    });
    underWay.set(key, read);
    return read;
  };
}

/** Of what is read once the view is made once. */
const views = new WeakMap<StoredEvent, EventView>();

function viewOf(event: StoredEvent): EventView {
  const view = views.get(event) ?? eventView(event);
  views.set(event, view);
  return view;
}

async function readAll(
  engine: Engine,
  which: { readonly workspaceId: string } | { readonly types: readonly string[] },
): Promise<readonly StoredEvent[]> {
  const events: StoredEvent[] = [];
  for (;;) {
    const page = await engine.events({ after: events.at(-1)?.seq ?? 0, ...which, limit: scanLimit });
    events.push(...page);
    if (page.length < scanLimit) return events;
  }
}

/** Counts the engine's calls, so that news between reading and waiting is not slept through. */
function watchNews(engine: Engine) {
  let calls = 0;
  let wake: (() => void) | undefined;
  const stop = engine.onEvents(() => {
    calls += 1;
    wake?.();
  });
  return {
    stop,
    count: () => calls,
    since: (seen: number, enough: AbortSignal) =>
      new Promise<void>(resolve => {
        if (calls !== seen || enough.aborted) return resolve();
        wake = resolve;
        enough.addEventListener('abort', () => resolve(), { once: true });
      }),
  };
}
