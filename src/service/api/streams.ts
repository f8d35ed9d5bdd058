import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import { createWebSocketStream, type WebSocket } from 'ws';
import type { Vm } from '../../lease/model.ts';
import { invalidRequest } from '../../protocol/document.ts';
import { WspError } from '../../protocol/errors.ts';
import type { StreamTarget } from '../../protocol/pilot.ts';
import type { Standing } from '../access/callers.ts';
import type { ApiParts } from './parts.ts';
import { entryOf } from './audit-hook.ts';
import { Shares } from '../access/shares.ts';
import { callerOf, standingOf } from './auth.ts';
import { findOwn, mayEnter } from './owners.ts';

/** Byte streams that clients may have open at the same time: each holds two sockets. */
const open = { all: 1_024, each: 128 };

const StreamParams = Type.Object({
  workspace: Type.String({ maxLength: 64 }),
  vm: Type.String({ maxLength: 64 }),
});
const StreamQuery = Type.Object({
  target: Type.Union([Type.Literal('tcp'), Type.Literal('console'), Type.Literal('statistics')]),
  port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
});

/** The two ends of a stream that is about to begin, and in whose name. */
interface Opened {
  readonly pilotSide: Duplex;
  readonly standing: Standing;
}

/**
 * `WS /v1/workspaces/:workspace/vms/:vm/stream`: bytes between a client and a VM, through the VM's
 * pilot. The pilot's side is opened before the upgrade, so that every refusal is an HTTP answer
 * with an `ErrorBody`; then each side's pace holds back the other. It ends with the right to it.
 */
export function clientStreamRoutes(parts: ApiParts): FastifyPluginAsyncTypebox {
  const opened = new WeakMap<FastifyRequest, Opened>();
  const streams = new Shares('streams to VMs are open', open);
  return async app => {
    app.get(
      '/v1/workspaces/:workspace/vms/:vm/stream',
      {
        websocket: true,
        schema: { params: StreamParams, querystring: StreamQuery },
        preHandler: async (request: FastifyRequest, reply: FastifyReply) => {
          if (!request.ws)
            throw new WspError('invalid_request', 'this is a WebSocket: the request must ask for an upgrade');
          const { workspace, vm } = await wantedOf(parts, request);
          const giveBack = streams.take(callerOf(request).user);
          const standing = standingOf(request, parts.callers, caller => mayEnter(caller, workspace));
          const over = (): void => {
            standing.release();
            giveBack();
          };
          try {
            const target = targetOf(vm.id, request.query as Static<typeof StreamQuery>);
            const pilotSide = await parts.engine.pilots.openStream(
              workspace.slotId,
              nodeOf(vm, target.kind),
              target,
            );
            // Who has been in a VM is written down before the first byte.
            if (target.kind !== 'statistics') await parts.audit.write(entryOf(request, parts.clock, 101));
            // The client may have gone while the pilot was asked.
            if (request.raw.socket.destroyed || reply.sent) {
              pilotSide.destroy();
              over();
              return;
            }
            opened.set(request, { pilotSide, standing });
          } catch (cause) {
            over();
            throw cause;
          }
          request.raw.socket.once('close', over);
        },
      },
      (socket, request) => join(socket, opened.get(request)),
    );
  };
}

async function wantedOf({ engine }: ApiParts, request: FastifyRequest) {
  const params = request.params as Static<typeof StreamParams>;
  const { workspace, among } = await findOwn(engine, callerOf(request), params.workspace);
  const vm = workspace.vmIds
    .flatMap(vmId => among.vms.get(vmId) ?? [])
    .find(({ id, name }) => id === params.vm || name === params.vm);
  if (!vm) throw new WspError('not_found', `workspace ${workspace.name} has no VM ${params.vm}`);
  return { workspace, vm };
}

function nodeOf(vm: Vm, kind: StreamTarget['kind']): string {
  // The console is there as soon as the VMM is: one may want to see a guest boot.
  const isThere =
    vm.state === 'running' || vm.state === 'starting' || (vm.state === 'paused' && kind !== 'tcp');
  if (vm.node !== null && isThere) return vm.node;
  throw new WspError('conflict', `VM ${vm.id} is ${vm.state}, not running`, {
    hint: 'wsp show says which state it is in, and why',
  });
}

function targetOf(vmId: string, { target: kind, port }: Static<typeof StreamQuery>): StreamTarget {
  if (kind !== 'tcp') return { kind, vmId };
  if (port !== undefined) return { kind, vmId, port };
  throw invalidRequest([{ path: 'port', message: 'is missing: target=tcp needs it' }]);
}

function join(socket: WebSocket, opened: Opened | undefined): void {
  if (!opened) return socket.terminate();
  const { pilotSide, standing } = opened;
  const clientSide = createWebSocketStream(socket);
  // One end's error or end is the other's end; who asked sees it as the connection's close.
  pipeline(clientSide, pilotSide, clientSide, () => undefined);
  // A client's WebSocket ends as a whole: who has said all hears nothing more.
  pilotSide.once('finish', () => pilotSide.destroy());
  const end = (): void => {
    socket.terminate();
    pilotSide.destroy();
  };
  if (standing.ended.aborted) end();
  else standing.ended.addEventListener('abort', end);
}
