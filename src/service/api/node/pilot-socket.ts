import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { webSocketStream } from '../../../platform/websocket-stream.ts';
import { WspError } from '../../../protocol/errors.ts';
import { nodeNamePattern, slotIdPattern } from '../../../protocol/ids.ts';
import { PilotMessage } from '../../../protocol/pilot.schemas.ts';
import type { ApiParts } from '../parts.ts';
import { bearerOf } from '../auth.ts';
import { closeRefused, connectionOver, readMessage, serveSocket } from './node-socket.ts';

/**
 * The pilots' side of the API: one WebSocket per node for messages, one for each byte stream; or
 * the same over plain requests (`pilot-http.ts`). Which pilots there are is the hub's business;
 * here messages are only carried and checked. A crash loses nothing: a pilot repeats what was not
 * acknowledged.
 */

/** `:slotId` in a path. */
export const Slot = { slotId: Type.String({ pattern: slotIdPattern }) };
/** `:slotId` and `:node` in a path. */
export const NodeParams = Type.Object({ ...Slot, node: Type.String({ pattern: nodeNamePattern }) });
/** `:slotId` and `:streamId` in a path. */
export const StreamParams = Type.Object({
  ...Slot,
  streamId: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
});

const message = Compile(PilotMessage);

/** Every route of a slot's takes its secret. */
export function requireSlotSecret({ engine }: Pick<ApiParts, 'engine'>) {
  return async (request: FastifyRequest): Promise<void> => {
    const { slotId } = request.params as { slotId: string };
    if (!engine.pilots.authenticate(slotId, bearerOf(request) ?? ''))
      throw new WspError('unauthorized', `this is not the secret of ${slotId}, or there is no such slot`);
  };
}

/** `/pilot/v1/…`: authenticated by the slot's secret, before the upgrade. */
export function pilotRoutes(parts: ApiParts): FastifyPluginAsyncTypebox {
  const { engine, clock, log } = parts;
  return async app => {
    app.addHook('preHandler', requireSlotSecret(parts));
    app.get(
      '/pilot/v1/slots/:slotId/nodes/:node',
      { websocket: true, schema: { params: NodeParams }, config: { open: true } },
      (socket, request) => {
        const { slotId, node } = request.params;
        const about = log.with({ slot: slotId, node });
        const peerAddress = request.socket.remoteAddress?.replace(/^::ffff:/, '');
        const session = engine.pilots.attach(slotId, node, { ...connectionOver(socket, about), peerAddress });
        serveSocket(socket, { clock, log: about }, text => readPilotMessage(text, slotId, node), session);
      },
    );
    app.get(
      '/pilot/v1/slots/:slotId/streams/:streamId',
      { websocket: true, schema: { params: StreamParams }, config: { open: true } },
      (socket, request) => {
        const { slotId, streamId } = request.params;
        const stream = webSocketStream(socket);
        // Who reads it learns of an error by its end; until somebody does, it is no unhandled one.
        stream.on('error', () => undefined);
        if (!engine.pilots.acceptStream(slotId, streamId, stream))
          socket.close(closeRefused, 'nobody waits for this stream');
      },
    );
  };
}

/** The message, or what is wrong with it. */
export function readPilotMessage(text: string, slotId: string, node: string): PilotMessage | string {
  const value = readMessage(message, text);
  if (typeof value === 'string') return value;
  if (value.type === 'hello' && (value.slotId !== slotId || value.node !== node))
    return 'hello names another slot or node than the URL';
  return value;
}
