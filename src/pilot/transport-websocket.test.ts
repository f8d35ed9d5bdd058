import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../platform/clock.ts';
import type { SlotAssignment } from '../protocol/pilot.ts';
import { webSocketTransport } from './transport-websocket.ts';

/** What is not a WebSocket at the other end; what is, is tested with the service. */

let server: Server | undefined;
afterEach(() => void server?.close());

async function answering(status: number): Promise<string> {
  server = createServer((_request, response) => response.writeHead(status).end('no'));
  await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const connect = (serviceUrl: string): Promise<unknown> =>
  webSocketTransport(
    { serviceUrl, slotId: 'slot-aaaaaaaaaa', secret: 'a secret' } as SlotAssignment,
    'n01',
    systemClock,
  ).connect({ message: () => undefined, closed: () => undefined });

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
