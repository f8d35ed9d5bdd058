import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { AgentMessage } from '../../../protocol/agent.ts';
import { WspError } from '../../../protocol/errors.ts';
import { namePattern, nodeNamePattern } from '../../../protocol/ids.ts';
import type { AgentPool, ApiParts } from '../parts.ts';
import { bearerOf } from '../auth.ts';
import { connectionOver, readMessage, serveSocket } from './node-socket.ts';

const Params = Type.Object({
  pool: Type.String({ pattern: namePattern }),
  node: Type.String({ pattern: nodeNamePattern }),
});

const message = Compile(AgentMessage);

/**
 * `/agent/v1/…`: authenticated by the pool's join secret, before the upgrade. Who joins gets the
 * pool's jobs, and with them their secrets.
 */
export function agentRoutes({ agentPools, clock, log }: ApiParts): FastifyPluginAsyncTypebox {
  const poolOf = (params: unknown): AgentPool | undefined =>
    agentPools.find(({ name }) => name === (params as { readonly pool: string }).pool);
  return async app => {
    app.addHook('preHandler', async request => {
      if (!poolOf(request.params)?.isSecret(bearerOf(request) ?? ''))
        throw new WspError(
          'unauthorized',
          'this is not the join secret of the pool, or there is no such pool of static nodes',
        );
    });
    app.get(
      '/agent/v1/pools/:pool/nodes/:node',
      { websocket: true, schema: { params: Params }, config: { open: true } },
      (socket, request) => {
        const { pool, node } = request.params;
        const about = log.with({ pool, node });
        const session = poolOf(request.params)?.lrm.attach(node, connectionOver(socket, about));
        if (session) serveSocket(socket, { clock, log: about }, text => read(text, node), session);
      },
    );
  };
}

function read(text: string, node: string): AgentMessage | string {
  const value = readMessage(message, text);
  if (typeof value === 'string') return value;
  return value.type === 'hello' && value.node !== node ? 'hello names another node than the URL' : value;
}
