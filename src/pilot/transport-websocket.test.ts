import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../platform/clock.ts';
import type { SlotAssignment } from '../protocol/pilot.ts';
import type { Transport } from './transport.ts';
import { webSocketTransport } from './transport-websocket.ts';

/** What is not a WebSocket at the other end; what is, is tested with the service. */

let server: Server | undefined;
afterEach(() => void server?.close());

async function answering(status: number): Promise<string> {
  server = createServer((_request, response) => response.writeHead(status).end('no'));
  await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const transportTo = (serviceUrl: string): Transport =>
  webSocketTransport(
    { serviceUrl, slotId: 'slot-aaaaaaaaaa', secret: 'a secret' } as SlotAssignment,
    'n01',
    systemClock,
  );
const connect = (serviceUrl: string): Promise<unknown> =>
  transportTo(serviceUrl).connect({ message: () => undefined, closed: () => undefined });

/** Sends its first frame in one packet with its answer to the handshake (RFC 6455 §4.2.2, §5.2), as a service can whose client speaks first. */
async function speakingAtOnce(text: string, opcode: 'text' | 'binary'): Promise<string> {
  const url = await answering(426);
  server?.on('upgrade', (request, socket) => {
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${createHash('sha1').update(key).digest('base64')}\r\n\r\n`;
    const frame = Buffer.from([opcode === 'text' ? 0x81 : 0x82, text.length]);
    socket.write(Buffer.concat([Buffer.from(head), frame, Buffer.from(text)]));
    socket.on('error', () => undefined);
  });
  return url;
}

describe('a service that is not there as it should be', () => {
  it('has refused the slot when it says 401', async () => {
    await expect(connect(await answering(401))).rejects.toMatchObject({ name: 'NotAcceptedError' });
  });

  it.each([200, 404, 502])('is out of reach when it says %d', async status => {
    const refused = connect(await answering(status));
    await expect(refused).rejects.toThrow(`HTTP status ${status}`);
    await expect(refused).rejects.not.toMatchObject({ name: 'NotAcceptedError' });
  });

  it('is out of reach when nothing listens', async () => {
    const url = await answering(200);
    await new Promise(resolve => server?.close(resolve));
    await expect(connect(url)).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('what comes together with the answer to the handshake', () => {
  it('is the first of a stream', async () => {
    const stream = await transportTo(await speakingAtOnce('SSH-2.0-client', 'binary')).openStream('s1');
    const [first] = (await once(stream, 'data', { signal: AbortSignal.timeout(5_000) })) as [Buffer];
    expect(first.toString()).toBe('SSH-2.0-client');
    stream.destroy();
  });

  it('is the first message of a link', async () => {
    const url = await speakingAtOnce('{"type":"ack","seq":7}', 'text');
    const link: { close?: () => void } = {};
    const heard = new Promise(resolve => {
      transportTo(url)
        .connect({ message: resolve, closed: () => undefined })
        .then(made => Object.assign(link, { close: () => made.close() }), resolve);
    });
    expect(await heard).toEqual({ type: 'ack', seq: 7 });
    link.close?.();
  });
});
