import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import { lineLink } from '../../../platform/line-link.ts';
import { WspError } from '../../../protocol/errors.ts';
import { pipeEndHeader, pipeNextHeader } from '../../../protocol/pipe.ts';
import { Count } from '../../../protocol/schema.ts';
import { PilotPipe } from '../../pilots/pipe.ts';
import { pathOf } from '../errors.ts';
import type { ApiParts } from '../parts.ts';
import { NodeParams, readPilotMessage, requireSlotSecret, Slot, StreamParams } from './pilot-socket.ts';
import { Buckets } from '../rate-limit.ts';

/**
 * What `pilot-socket.ts` does, for pilots behind a proxy that breaks WebSockets: each of their
 * sockets is a pipe here, which they carry on by requests (`src/service/pilots/pipe.ts`). Messages
 * are lines in it; the hub does not know the difference.
 *
 *   POST   …/nodes/:node/pipes, …/streams/:streamId/pipes      → {pipe}
 *   POST   …/pipes/:pipe?at=N&end=…    bytes from number N on  → the number of the next one
 *   GET    …/pipes/:pipe?after=N&max=M waits for bytes         → bytes
 *   DELETE …/pipes/:pipe
 */
const pipeIdBytes = 16;
const PipeParams = Type.Object({ ...Slot, pipe: Type.String({ pattern: '^[A-Za-z0-9_-]{22}$' }) });
const Bytes = Type.Object({ at: Count, end: Type.Optional(Type.Boolean()) });
const Poll = Type.Object({
  after: Count,
  max: Type.Optional(Type.Integer({ minimum: 0, maximum: 4_194_304 })),
});
const ordinaryAnswerBytes = 1_048_576;
/** Of all pilots together; each takes one, and one more for each byte stream. */
const maxPipes = 8_192;
/** How long one that has closed is remembered: for a request whose answer was lost, and to say why. */
const rememberMs = 10_000;
/** What one node may ask; a pilot that waits for each answer does not come near it. */
const rateOfNode = { perSecond: 500, burst: 2_000 };
const octets = 'application/octet-stream';
/** No proxy may keep what is a pilot's, or hold it back (nginx's header). */
const notKept = { 'cache-control': 'no-store', 'x-accel-buffering': 'no' };

/** `/pilot/v1/…` without WebSockets; authenticated by the slot's secret, at every request. */
export function pilotHttpRoutes(parts: ApiParts): FastifyPluginAsyncTypebox {
  const pipes = new Pipes(parts);
  const rate = new Buckets(parts.clock, rateOfNode);
  const config = { open: true, carrier: true };
  return async app => {
    app.addContentTypeParser(octets, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    app.addHook('preHandler', requireSlotSecret(parts));
    app.addHook('preHandler', async (request, reply) => {
      rate.spend(pathOf(request), reply);
    });
    app.addHook('preClose', async () => pipes.close());
    const open = { config, schema: { hide: true, params: NodeParams } };
    app.post('/pilot/v1/slots/:slotId/nodes/:node/pipes', open, async ({ params: { slotId, node } }) => ({
      pipe: pipes.open(slotId, pipe => serveNode(parts, pipe, slotId, node)),
    }));
    const openStream = { config, schema: { hide: true, params: StreamParams } };
    app.post('/pilot/v1/slots/:slotId/streams/:streamId/pipes', openStream, async ({ params }) => {
      const { slotId, streamId } = params;
      return {
        pipe: pipes.open(slotId, pipe => {
          if (!parts.engine.pilots.acceptStream(slotId, streamId, pipe))
            throw new WspError('not_found', 'nobody waits for this stream');
        }),
      };
    });
    const path = '/pilot/v1/slots/:slotId/pipes/:pipe';
    const bytes = { config, schema: { hide: true, params: PipeParams, querystring: Bytes } };
    app.post(path, bytes, async ({ params, query: { at, end = false }, body }, reply) => {
      const sent = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
      const next = await pipes.find(params).receive(at, sent, end);
      return reply.headers({ ...notKept, [pipeNextHeader]: String(next) }).send('');
    });
    const poll = { config, schema: { hide: true, params: PipeParams, querystring: Poll } };
    app.get(path, poll, async ({ params, query: { after, max = ordinaryAnswerBytes } }, reply) => {
      const { bytes: given, ends } = await pipes.find(params).give(after, max, broken(reply));
      return reply
        .headers({ ...notKept, [pipeEndHeader]: ends ? '1' : '0' })
        .type(octets)
        .send(given);
    });
    const over = { config, schema: { hide: true, params: PipeParams } };
    app.delete(path, over, async ({ params }, reply) => {
      pipes.find(params).closeBecause('the pilot has closed it');
      return reply.code(204).send();
    });
  };
}

/** Aborted when the connection breaks before the answer is out. */
function broken({ raw }: FastifyReply): AbortSignal {
  const connection = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) connection.abort();
  });
  return connection.signal;
}

function serveNode({ engine, clock, log }: ApiParts, pipe: PilotPipe, slotId: string, node: string): void {
  const about = log.with({ slot: slotId, node });
  const lines = lineLink(pipe, clock, {
    line(text) {
      const heard = readPilotMessage(text, slotId, node);
      if (typeof heard !== 'string') return session.received(heard);
      about.warn('a node sent a malformed message', { why: heard });
      lines.close(heard);
    },
    closed(why) {
      about.info('a node has closed its connection', { why });
      session.closed();
    },
  });
  const session = engine.pilots.attach(slotId, node, {
    send: message => lines.send(JSON.stringify(message)),
    close: why => lines.close(why),
    pause: () => lines.pause(),
    resume: () => lines.resume(),
  });
}

/** The pipes that there are, each its slot's alone. */
class Pipes {
  readonly #parts: ApiParts;
  readonly #pipes = new Map<string, { readonly slotId: string; readonly pipe: PilotPipe }>();
  #closed = false;

  constructor(parts: ApiParts) {
    this.#parts = parts;
  }

  /** Makes one and hands it to whom it is for. Returns its id. Throws what that throws, and `WspError` (`busy`). */
  open(slotId: string, use: (pipe: PilotPipe) => void): string {
    const { clock, random } = this.#parts;
    if (this.#closed) throw new WspError('busy', 'the service stops');
    if (this.#pipes.size >= maxPipes) throw new WspError('busy', `${maxPipes} pipes are open already`);
    const id = Buffer.from(random.bytes(pipeIdBytes)).toString('base64url');
    const pipe = new PilotPipe(clock);
    // Whose it is hears of it by its close.
    pipe.on('error', () => undefined);
    pipe.once('close', () => {
      if (!this.#closed) clock.after(rememberMs, () => this.#pipes.delete(id));
    });
    this.#pipes.set(id, { slotId, pipe });
    try {
      use(pipe);
    } catch (cause) {
      this.#pipes.delete(id);
      pipe.destroy();
      throw cause;
    }
    return id;
  }

  find({ slotId, pipe: id }: { readonly slotId: string; readonly pipe: string }): PilotPipe {
    const found = this.#pipes.get(id);
    if (found?.slotId !== slotId)
      throw new WspError('not_found', 'there is no such pipe (any more)', { hint: 'open another' });
    return found.pipe;
  }

  close(): void {
    this.#closed = true;
    for (const { pipe } of this.#pipes.values()) pipe.closeBecause('the service stops');
    this.#pipes.clear();
  }
}
