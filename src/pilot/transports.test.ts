import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, it } from 'vitest';
import type { Child, StartChild } from '../platform/children.ts';
import { systemClock } from '../platform/clock.ts';
import { type LogFields, silentLog } from '../platform/log.ts';
import { createVirtualClock } from '../platform/virtual-clock.ts';
import type { PilotTransport, SlotAssignment } from '../protocol/pilot.ts';
import { ingest } from './ingest.ts';
import { transportContract, type TransportUnderTest } from './transport.contract.ts';
import { httpTransport } from './transport-http.ts';
import { sshTransport } from './transport-ssh.ts';
import { webSocketTransport } from './transport-websocket.ts';
import { transportOf } from './transports.ts';

/**
 * All kinds through the contract; ssh is imitated here, and a real sshd goes through it in
 * test/e2e/transports.test.ts.
 */

const over = (transport: typeof httpTransport): TransportUnderTest => ({
  begin: serviceUrl => Number(new URL(serviceUrl).port),
  make: (assignment, node, port, clock) =>
    transport({ ...assignment, serviceUrl: `http://127.0.0.1:${port}` }, node, clock),
});

transportContract('WebSocket', () => over(webSocketTransport));
transportContract('HTTP', () => over(httpTransport));

const ssh = {
  kind: 'ssh',
  host: 'head',
  user: null,
  identityFile: null,
  options: [],
  command: ['wsp', 'ingest'],
} as const satisfies PilotTransport;

/** A host that runs `wsp ingest` for each connection, and hangs up when that ends. */
function startHead(serviceUrl: string): number {
  const server = createServer({ allowHalfOpen: true }, socket => {
    const address = socket.remoteAddress?.replace('::ffff:', '') ?? '';
    void ingest(socket, { url: serviceUrl, ca: null }, address, systemClock)
      .catch(() => undefined)
      .then(() => socket.destroySoon());
  });
  server.listen(0).unref();
  return (server.address() as AddressInfo).port;
}

/** An ssh that connects, and nothing else. */
const sshTo =
  (port: number): StartChild =>
  () =>
    new Promise<Child>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.once('error', reject);
      socket.once('connect', () =>
        resolve({
          pid: 0,
          stdin: socket,
          stdout: socket,
          stderr: null,
          extra: null,
          exited: new Promise(done => socket.once('close', () => done({ code: 0, signal: null }))),
          kill: () => socket.destroy().destroyed,
          unref: () => undefined,
        }),
      );
    });

transportContract('ssh, imitated', () => ({
  begin: startHead,
  make: (assignment, node, port, clock) =>
    sshTransport(ssh, assignment, node, { clock, startChild: sshTo(port) }),
}));

it('those of an assignment are tried in its order, each as it is called there', async () => {
  const tried: unknown[] = [];
  const note = (_: string, fields: LogFields = {}) => void tried.push(fields['via']);
  const log = { ...silentLog, warn: note };
  const assignment = {
    slotId: 'slot-aaaaaaaaaa',
    secret: 'a-secret-of-enough-length',
    serviceUrl: 'http://127.0.0.1:1',
    transports: [{ kind: 'http' }, ssh, { kind: 'websocket' }],
  } as unknown as SlotAssignment;
  const startChild = () => Promise.reject(new Error('no ssh here'));
  const parts = { clock: createVirtualClock(0), log, startChild };
  const handlers = { message: () => undefined, closed: () => undefined };
  await expect(transportOf(assignment, 'n01', parts).connect(handlers)).rejects.toThrow('ECONNREFUSED');
  expect(tried).toEqual(['http', 'ssh head', 'websocket']);
  const only = transportOf({ ...assignment, transports: [ssh] }, 'n01', parts);
  await expect(only.connect(handlers)).rejects.toThrow('no ssh here');
  expect(() => transportOf({ ...assignment, transports: [] }, 'n01', parts)).toThrow('no transport');
});
