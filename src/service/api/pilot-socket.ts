import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { createWebSocketStream, type WebSocket } from 'ws';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import { WspError } from '../../protocol/errors.ts';
import { nodeNamePattern, slotIdPattern } from '../../protocol/ids.ts';
import { PilotMessage } from '../../protocol/pilot.ts';
import type { PilotConnection } from '../engine-api.ts';
import type { ApiParts } from './app.ts';
import { bearerOf } from './auth.ts';

/**
 * The pilots' side of the API: one WebSocket per node for messages, one for each byte stream. Which pilots there are is the hub's
 * business; here messages are only carried and checked. A crash loses nothing: a pilot repeats what was not acknowledged.
 */

const pingEveryMs = 15_000;
/** A pilot that reads so slowly that this much waits for it is cut off; it comes again and hears the rest. */
const maxUnsentBytes = 16 * 1024 * 1024;
/** RFC 6455 §7.4.1: policy violation, going away. */
const closeRefused = 1008;
const closeGoing = 1001;
/** RFC 6455 §5.5: a close frame's reason has at most 123 bytes. */
const maxReasonBytes = 123;

const Slot = { slotId: Type.String({ pattern: slotIdPattern }) };
const NodeParams = Type.Object({ ...Slot, node: Type.String({ pattern: nodeNamePattern }) });
const StreamParams = Type.Object({ ...Slot, streamId: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }) });

const message = Compile(PilotMessage);

/** `/pilot/v1/…`: authenticated by the slot's secret, before the upgrade. */
export function pilotRoutes(parts: ApiParts): FastifyPluginAsyncTypebox {
  const { engine } = parts;
  return async app => {
    app.addHook('preHandler', async request => {
      const { slotId } = request.params as { slotId: string };
      if (!engine.pilots.authenticate(slotId, bearerOf(request) ?? ''))
        throw new WspError('unauthorized', `this is not the secret of ${slotId}, or there is no such slot`);
    });
    app.get(
      '/pilot/v1/slots/:slotId/nodes/:node',
      { websocket: true, schema: { params: NodeParams }, config: { open: true } },
      (socket, request) => {
        const { slotId, node } = request.params;
        serveNode(parts, socket, slotId, node);
      },
    );
    app.get(
      '/pilot/v1/slots/:slotId/streams/:streamId',
      { websocket: true, schema: { params: StreamParams }, config: { open: true } },
      (socket, request) => {
        const { slotId, streamId } = request.params;
        const stream = createWebSocketStream(socket);
        stream.on('error', () => socket.terminate());
        if (!engine.pilots.acceptStream(slotId, streamId, stream))
          socket.close(closeRefused, 'nobody waits for this stream');
      },
    );
  };
}

function serveNode({ engine, clock, log }: ApiParts, socket: WebSocket, slotId: string, node: string): void {
  const about = log.with({ slot: slotId, node });
  const session = engine.pilots.attach(slotId, node, connectionOver(socket, about));
  keepAlive(socket, clock, about);
  socket.on('message', (data, isBinary) => {
    // What still arrives after we have refused this pilot is not looked at.
    if (socket.readyState !== socket.OPEN) return;
    const heard = isBinary ? 'a message is not text' : read(data.toString(), slotId, node);
    if (typeof heard !== 'string') return session.received(heard);
    about.warn('a pilot sent a malformed message', { why: heard });
    close(socket, closeRefused, heard);
  });
  socket.on('close', (code, reason) => {
    about.info('a pilot has gone', { code, why: reason.toString() });
    session.closed();
  });
}

/** The message, or what is wrong with it. */
function read(text: string, slotId: string, node: string): PilotMessage | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'a message is not JSON';
  }
  if (!message.Check(value)) {
    const [error] = message.Errors(value);
    return `a message is not one of the protocol: ${error?.instancePath ?? ''} ${error?.message ?? ''}`.trim();
  }
  if (value.type === 'hello' && (value.slotId !== slotId || value.node !== node))
    return 'hello names another slot or node than the URL';
  return value;
}

function connectionOver(socket: WebSocket, log: Log): PilotConnection {
  return {
    send(message) {
      if (socket.readyState !== socket.OPEN) return;
      if (socket.bufferedAmount > maxUnsentBytes) {
        log.warn('a pilot does not read; cut off', { unsentBytes: socket.bufferedAmount });
        socket.terminate();
        return;
      }
      socket.send(JSON.stringify(message));
    },
    close: why => close(socket, closeGoing, why),
  };
}

/** Pings; a pilot that has not answered by the next ping is gone, whatever TCP thinks. */
function keepAlive(socket: WebSocket, clock: Clock, log: Log): void {
  let answered = true;
  let stop = (): void => undefined;
  const ping = (): void => {
    if (!answered) {
      log.warn('a pilot does not answer; cut off', { silentMs: pingEveryMs });
      socket.terminate();
      return;
    }
    answered = false;
    if (socket.readyState === socket.OPEN) socket.ping();
    stop = clock.after(pingEveryMs, ping);
  };
  socket.on('pong', () => {
    answered = true;
  });
  socket.on('close', () => stop());
  stop = clock.after(pingEveryMs, ping);
}

function close(socket: WebSocket, code: number, why: string): void {
  socket.close(
    code,
    Buffer.from(why)
      .subarray(0, maxReasonBytes)
      .toString('utf8')
      .replace(/\uFFFD$/, ''),
  );
}
