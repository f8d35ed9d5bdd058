import type { Duplex } from 'node:stream';
import WebSocket, { createWebSocketStream } from 'ws';
import { type Clock, withDeadline } from '../platform/clock.ts';
import type { ServiceMessage, SlotAssignment } from '../protocol/pilot.ts';
import { type Link, NotAcceptedError, type Transport } from './transport.ts';

const connectDeadlineMs = 10_000;
/** The service pings more often than this; a silent link is a dead one (a node can lose its network without a FIN). */
const silenceDeadlineMs = 45_000;

/** One WebSocket for messages, one more for each stream (RFC 6455). The secret goes in a header, never in the URL. */
export function webSocketTransport(assignment: SlotAssignment, node: string, clock: Clock): Transport {
  const base = assignment.serviceUrl.replace(/^http/, 'ws').replace(/\/$/, '');
  const slotUrl = `${base}/pilot/v1/slots/${assignment.slotId}`;
  const dial = (path: string): Promise<WebSocket> => open(`${slotUrl}${path}`, assignment.secret);

  return {
    async connect(handlers) {
      const socket = await withDeadline(
        clock,
        connectDeadlineMs,
        `connecting to ${base}`,
        dial(`/nodes/${encodeURIComponent(node)}`),
      );
      let stopSilence = (): void => undefined;
      const heard = (): void => {
        stopSilence();
        stopSilence = clock.after(silenceDeadlineMs, () => socket.terminate());
      };
      heard();
      socket.on('ping', heard);
      socket.on('message', (data: Buffer) => {
        heard();
        handlers.message(JSON.parse(data.toString('utf8')) as ServiceMessage);
      });
      // 'close' follows every error; it alone tells the session.
      socket.on('error', () => undefined);
      socket.on('close', (code, reason) => {
        stopSilence();
        handlers.closed(`${code} ${reason.toString('utf8')}`.trim());
      });
      return {
        localAddress: localAddressOf(socket),
        send: message => {
          if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
        },
        close: () => socket.close(),
      } satisfies Link;
    },

    async openStream(streamId): Promise<Duplex> {
      const socket = await withDeadline(
        clock,
        connectDeadlineMs,
        `opening stream ${streamId}`,
        dial(`/streams/${encodeURIComponent(streamId)}`),
      );
      return createWebSocketStream(socket);
    },
  };
}

/** Rejects with `NotAcceptedError` when the service does not take the secret. */
function open(url: string, secret: string): Promise<WebSocket> {
  const socket = new WebSocket(url, {
    headers: { authorization: `Bearer ${secret}` },
    perMessageDeflate: false,
    handshakeTimeout: connectDeadlineMs,
  });
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, { statusCode = 0 }) => {
      const message = `the service answered with HTTP status ${statusCode}`;
      reject(statusCode === 401 ? new NotAcceptedError(statusCode) : new Error(message));
      socket.terminate();
    });
  });
}

/** ws keeps its TCP socket to itself; the address is read once, there is no other way to learn it without a second query. */
function localAddressOf(socket: WebSocket): string {
  const tcp = (socket as unknown as { readonly _socket?: { readonly localAddress?: string } })._socket;
  return (tcp?.localAddress ?? '').replace(/^::ffff:/, '');
}
