import { createServer, type RequestListener, type Server } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../platform/clock.ts';
import { systemProcesses } from '../platform/process.ts';
import type { SlotAssignment } from '../protocol/pilot.ts';
import { loadTls } from '../service/api/tls.ts';
import { NotAcceptedError } from './transport.ts';
import { httpTransport } from './transport-http.ts';

/** A proxy, or what else may answer instead of the service; the service itself is in the contract. */

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function answering(listener: RequestListener) {
  server = createServer(listener);
  await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve));
  const serviceUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const assignment = { serviceUrl, serviceCa: null, slotId: 'slot-aaaaaaaaaa', secret: 'a secret' };
  return httpTransport(assignment as SlotAssignment, 'n01', systemClock);
}
const status = (code: number, body = ''): RequestListener => {
  return (_request, response) => void response.writeHead(code).end(body);
};
const connect = async (listener: RequestListener): Promise<unknown> => {
  const transport = await answering(listener);
  return transport.connect({ message: () => undefined, closed: () => undefined });
};
const id = '{"pipe":"AAAAAAAAAAAAAAAAAAAAAA"}';

it('takes only the certificate that it was given for the service', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-pipe-'));
  try {
    const files = { certificateFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem') };
    const tls = await loadTls(files, ['127.0.0.1'], systemClock.now(), systemProcesses);
    server = createSecureServer(tls, (request, response) => {
      if (request.method === 'POST') response.end(id);
    });
    await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve));
    const serviceUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const connectWith = (serviceCa: string | null) =>
      httpTransport(
        { serviceUrl, serviceCa, slotId: 'slot-aaaaaaaaaa', secret: 'a secret' } as SlotAssignment,
        'n01',
        systemClock,
      ).connect({ message: () => undefined, closed: () => undefined });
    await expect(connectWith(null)).rejects.toThrow('self-signed certificate');
    (await connectWith(tls.cert)).close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe('what is not the service', () => {
  it.each([
    ['a page of a proxy', status(200, '<html>'), 'is it a proxy?'],
    ['a document of another service', status(200, '{}'), 'is it a proxy?'],
    ['a refusal with a reason', status(503, '{"error":{"message":"too many"}}'), 'HTTP status 503: too many'],
    ['a refusal without', status(502, 'Bad Gateway'), 'HTTP status 502'],
  ])('is out of reach when it answers with %s', async (_what, listener, words) => {
    const refused = connect(listener);
    await expect(refused).rejects.toThrow(words);
    await expect(refused).rejects.not.toBeInstanceOf(NotAcceptedError);
  });

  it('ends the link when it answers in the middle', async () => {
    let opened = false;
    const transport = await answering((request, response) => {
      response.writeHead(200).end(opened ? '<html>' : id);
      opened ||= request.method === 'POST';
    });
    const why = await new Promise<string>((resolve, reject) => {
      transport
        .connect({ message: () => undefined, closed: resolve })
        .then(link => link.send({ type: 'command-ack', key: 'k' }), reject);
    });
    expect(why).toContain('is it a proxy?');
  });
});

it('goes on over a proxy that fails for a moment, and tells the service each byte once', async () => {
  let taken = '';
  let failures = 0;
  const transport = await answering((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://service');
    if (pathname.endsWith('/n01/pipes')) return void response.writeHead(200).end(id);
    if (request.method === 'GET') return;
    if (request.method === 'DELETE') return void response.writeHead(204).end();
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      taken = taken.slice(0, Number(searchParams.get('at'))) + body;
      failures += 1;
      // The first answer is lost, the second is the proxy's own.
      if (failures === 1) return void response.destroy();
      if (failures === 2) return void response.writeHead(504).end();
      response.writeHead(200, { 'wsp-next': String(taken.length) }).end();
    });
  });
  const link = await transport.connect({ message: () => undefined, closed: () => undefined });
  link.send({ type: 'command-ack', key: 'a' });
  link.send({ type: 'command-ack', key: 'b' });
  const both = '{"type":"command-ack","key":"a"}\n{"type":"command-ack","key":"b"}\n';
  await expect.poll(() => taken, { timeout: 5_000 }).toBe(both);
  link.close();
});

it.each(['null', '7', '"no"', '{"error":null}', '{"error":{"message":7}}', '[]', '{'])(
  'is told by its status when it says no more than %s',
  async body => {
    await expect(connect(status(500, body))).rejects.toThrow(/^the service answered with HTTP status 500$/);
    server?.close();
    await expect(connect(status(200, body))).rejects.not.toThrow(TypeError);
  },
);
