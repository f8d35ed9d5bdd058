import WebSocket from 'ws';
import { type Clock, withDeadline } from '../platform/clock.ts';
import { NotAcceptedError } from './transport.ts';

const connectDeadlineMs = 10_000;
/** The service pings more often than this; a silent link is a dead one (a node can lose its network without a FIN). */
const silenceDeadlineMs = 45_000;

/** Where to dial, and how to show who we are: the secret goes in a header, never in the URL. */
export interface WebSocketTarget {
  readonly url: string;
  readonly secret: string;
  /** PEM: the certificate, or its authority's, that the service must have. Null: the system's authorities decide. */
  readonly ca: string | null;
}

/** A WebSocket that carries text, while it lasts. */
export interface WebSocketLink {
  /** This node's address on the way to the service. */
  readonly localAddress: string;
  /** Calls `sent` when the message has left this process. On a closed link nothing happens. */
  send(text: string, sent?: () => void): void;
  close(): void;
}

/** Opens a link whose end is noticed whatever becomes of the network. Rejects as `dial` does. */
export function openLink(
  target: WebSocketTarget,
  clock: Clock,
  handlers: { message(text: string): void; closed(why: string): void },
): Promise<WebSocketLink> {
  return dial(target, clock, socket => linkOver(socket, clock, handlers));
}

function linkOver(
  socket: WebSocket,
  clock: Clock,
  handlers: { message(text: string): void; closed(why: string): void },
): WebSocketLink {
  let stopSilence = (): void => undefined;
  const heard = (): void => {
    stopSilence();
    stopSilence = clock.after(silenceDeadlineMs, () => socket.terminate());
  };
  heard();
  socket.on('ping', heard);
  socket.on('message', (data: Buffer) => {
    heard();
    handlers.message(data.toString('utf8'));
  });
  // 'close' follows every error; it alone is told.
  socket.on('error', () => undefined);
  socket.on('close', (code, reason) => {
    stopSilence();
    handlers.closed(`${code} ${reason.toString('utf8')}`.trim());
  });
  return {
    localAddress: localAddressOf(socket),
    send: (text, sent) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text, () => sent?.());
    },
    close: () => socket.close(),
  };
}

/**
 * Opens a WebSocket (RFC 6455) and resolves with what `opened` makes of it. That is called at once, because what the service sends may have come with its
 * answer to the handshake, and a promise's continuation would listen too late. Rejects with `NotAcceptedError` when the service does not take the secret,
 * and when it takes too long.
 */
export function dial<Made>(
  { url, secret, ca }: WebSocketTarget,
  clock: Clock,
  opened: (socket: WebSocket) => Made,
): Promise<Made> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), {
    headers: { authorization: `Bearer ${secret}` },
    perMessageDeflate: false,
    // What is trusted may be the service's own certificate, which is no authority's.
    ...(ca === null ? {} : { ca, allowPartialTrustChain: true }),
    handshakeTimeout: connectDeadlineMs,
  });
  const made = new Promise<Made>((resolve, reject) => {
    socket.once('open', () => resolve(opened(socket)));
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, { statusCode = 0 }) => {
      const message = `the service answered with HTTP status ${statusCode}`;
      reject(statusCode === 401 ? new NotAcceptedError(statusCode) : new Error(message));
      socket.terminate();
    });
  });
  return withDeadline(clock, connectDeadlineMs, `connecting to ${new URL(url).host}`, made);
}

/** ws keeps its TCP socket to itself; the address is read once, there is no other way to learn it without a second query. */
function localAddressOf(socket: WebSocket): string {
  const tcp = (socket as unknown as { readonly _socket?: { readonly localAddress?: string } })._socket;
  return (tcp?.localAddress ?? '').replace(/^::ffff:/, '');
}
