import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import WebSocket, { createWebSocketStream } from 'ws';
import type { Connection } from './connection.ts';
import { errorOfAnswer, unreachable } from './failures.ts';

/**
 * Which bytes of a VM a stream carries: a TCP port of the guest, its serial console, or what it uses
 * (`VmStatistics`).
 */
export type StreamEnd =
  | { readonly kind: 'tcp'; readonly port: number }
  | { readonly kind: 'console' | 'statistics' };

/** An error's answer is small; what is longer than this is not ours. */
const maxAnswerBytes = 64 * 1024;

/** A byte stream to a VM over a WebSocket of its own. Throws `WspError`, as every request does. */
export function openStream(
  service: {
    readonly url: string;
    readonly connection: Connection;
    readonly token: string;
    readonly timeoutMs: number;
  },
  workspace: string,
  vm: string,
  end: StreamEnd,
): Promise<Duplex> {
  const path = `/v1/workspaces/${encodeURIComponent(workspace)}/vms/${encodeURIComponent(vm)}/stream`;
  const query = end.kind === 'tcp' ? `target=tcp&port=${end.port}` : `target=${end.kind}`;
  return new Promise((resolve, reject) => {
    let socket: WebSocket;
    try {
      const { url, options } = service.connection.socketTo(`${path}?${query}`);
      socket = new WebSocket(url, {
        ...options,
        headers: { authorization: `Bearer ${service.token}` },
        handshakeTimeout: service.timeoutMs,
        perMessageDeflate: false,
      });
    } catch (cause) {
      reject(unreachable(service.url, cause));
      return;
    }
    // Made at once, so that bytes which come with the handshake's answer are not lost.
    const stream = createWebSocketStream(socket);
    const failed = (cause: unknown): void => reject(unreachable(service.url, cause));
    stream.once('error', failed);
    socket.once('open', () => {
      stream.off('error', failed);
      resolve(stream);
    });
    socket.once('unexpected-response', (_request, response) => {
      const status = response.statusCode ?? 0;
      readAnswer(response)
        .then(body => reject(errorOfAnswer(service.url, status, body)), failed)
        .finally(() => socket.terminate());
    });
  });
}

async function readAnswer(response: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > maxAnswerBytes) return undefined;
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
