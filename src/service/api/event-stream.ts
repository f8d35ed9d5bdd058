import { once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Clock } from '../../platform/clock.ts';
import { errorFields } from '../../platform/log.ts';
import type { EventView } from '../../protocol/api.ts';
import { EventTypes } from '../../protocol/events.ts';
import { WspError } from '../../protocol/errors.ts';
import { Count } from '../../protocol/schema.ts';
import type { Standing } from '../access/callers.ts';
import { Shares } from '../access/shares.ts';
import { callerOf, standingOf } from './auth.ts';
import type { EventQuery } from './event-feed.ts';
import { MadeOnce } from './made-once.ts';
import { idOfReadable } from './owners.ts';
import { type Route, type RouteParts, WorkspaceParams } from './route.ts';

/** Streams that may be open at the same time. */
const open = { all: 512, each: 64 };
/** A comment this often keeps proxies from cutting a quiet stream, and finds out clients that are gone. */
const heartbeatMs = 15_000;
const pageLimit = 200;
/**
 * After a page a stream waits so long for the next: where much happens it comes in one, and many
 * streams do not stand in front of everybody else; nor, as they wait for different times, all at
 * once.
 */
const [leastRestMs, mostRestMs] = [100, 200];
/** There is more that has happened already: only as long as others need to get in between. */
const shortRestFactor = 0.1;
/** How soon a client that was cut off should come again. */
const retryMs = 1_000;

/**
 * `GET /v1/events/stream`: the history as server-sent events (WHATWG HTML §9.2), each with its number as id. A client that comes again says the last number
 * that it has (`Last-Event-ID`) and goes on after it: nothing is missed and nothing comes twice, also when the service was started again in between.
 */
export const eventStream: Route = (app, parts) => {
  const streams = new Shares('event streams are open', open);
  const texts = new MadeOnce<Buffer>();
  const schema = {
    operationId: 'streamEvents',
    summary:
      'The history as server-sent events, replayed after Last-Event-ID (or `after`), then as it happens',
    querystring: Type.Object({
      after: Type.Optional(Count),
      workspace: Type.Optional(WorkspaceParams.properties.workspace),
      type: Type.Optional(EventTypes),
    }),
    response: {
      200: {
        description: 'id: the number of the event; event: its type; data: an Event as JSON',
        content: { 'text/event-stream': { schema: Type.String() } },
      },
    },
  };
  // A HEAD of it would never end.
  app.get('/v1/events/stream', { schema, exposeHeadRoute: false }, async (request, reply) => {
    const caller = callerOf(request);
    const { workspace, type: types, after = 0 } = request.query;
    const query = {
      workspaceId: await idOfReadable(parts.engine, caller, workspace),
      types,
      after: lastEventId(request) ?? after,
      waitMs: heartbeatMs,
      limit: pageLimit,
    };
    const giveBack = streams.take(caller.user);
    const standing = standingOf(request, parts.callers);
    await stream(parts, texts, query, standing, reply).finally(() => {
      standing.release();
      giveBack();
    });
  });
};

function lastEventId(request: FastifyRequest): number | undefined {
  const text = request.headers['last-event-id'];
  if (text === undefined) return undefined;
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text);
  throw new WspError(
    'invalid_request',
    `Last-Event-ID: ${String(text).slice(0, 50)} is not the number of an event`,
  );
}

/** Writes until nobody listens or may any more; what a slow client has not read is in the store. */
async function stream(
  { feed, log, clock, random }: RouteParts,
  texts: MadeOnce<Buffer>,
  from: Omit<EventQuery, 'caller'>,
  { caller, ended }: Standing,
  reply: FastifyReply,
): Promise<void> {
  reply.hijack();
  const { raw } = reply;
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  const over = AbortSignal.any([gone.signal, ended]);
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  raw.write(`retry: ${retryMs}\n\n`);
  const [phase = 0] = random.bytes(1);
  const restMs = leastRestMs + (phase / 256) * (mostRestMs - leastRestMs);
  let { after } = from;
  try {
    while (!over.aborted && !feed.closed()) {
      const page = await feed.page({ ...from, caller, after }, over);
      after = page.next;
      const told = page.events.map(event => texts.of(event.seq, () => asText(event)));
      const text = told.length === 0 ? ': still here\n\n' : Buffer.concat(told);
      if (!over.aborted && !raw.write(text)) await once(raw, 'drain', { signal: over });
      const isFull = page.events.length === from.limit;
      if (page.events.length > 0) await rest(clock, isFull ? shortRestFactor * restMs : restMs, over);
    }
  } catch (cause) {
    // The answer has begun: all that can be done is to end it. The client comes again.
    if (!over.aborted) log.warn('an event stream ended', errorFields(cause));
  } finally {
    // Who does not read does not keep it open.
    if (ended.aborted && raw.writableNeedDrain) raw.destroy();
    else raw.end();
  }
}

function asText(event: EventView): Buffer {
  return Buffer.from(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

/** Until the next page may be read, or nobody wants one. */
function rest(clock: Clock, restMs: number, over: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (over.aborted) return resolve();
    const done = (): void => {
      stop();
      over.removeEventListener('abort', done);
      resolve();
    };
    const stop = clock.after(restMs, done);
    over.addEventListener('abort', done);
  });
}
