import { renameSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { WspError } from '../protocol/errors.ts';

/** Where the service answers. */
export interface Listening {
  /** As clients on this host reach it. */
  readonly url: string;
  /** As the nodes reach it. */
  readonly nodesUrl: string;
  close(): Promise<void>;
}

/** Where to listen, and what the nodes are told. */
export interface ListenOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** The site file's `service.url`. */
  readonly url: string | null;
  /** An address that the nodes reach this host at, other than `host`: the embedded LRM's. Listened on too, unless `url` says where nodes go. */
  readonly headAddress?: string | undefined;
}

/** Begins to answer. Throws `WspError` (`failed`): port in use, address not of this host, port not allowed. */
export async function listen(app: FastifyInstance, options: ListenOptions): Promise<Listening> {
  const { host, url, headAddress } = options;
  await app.listen({ host, port: options.port }).catch((cause: unknown) => {
    throw cannotListen(host, options.port, cause);
  });
  const port = portOf(app.server);
  const own = urlOf(isAny(host) ? '127.0.0.1' : host, port);
  if (url !== null || headAddress === undefined || headAddress === host || isAny(host)) {
    const nodesUrl = url ?? (headAddress === undefined ? own : urlOf(headAddress, port));
    return { url: own, nodesUrl, close: () => app.close() };
  }
  const second = createServer((request, response) => app.routing(request, response));
  // WebSockets are upgraded by the app's own server; it takes them from here too.
  second.on('upgrade', (...upgrade) => app.server.emit('upgrade', ...upgrade));
  await listenOn(second, headAddress, port);
  return {
    url: own,
    nodesUrl: urlOf(headAddress, port),
    async close() {
      const closed = new Promise<void>(resolve => second.close(() => resolve()));
      await app.close();
      second.closeAllConnections();
      await closed;
    },
  };
}

/** Writes the URL so that whoever reads the file never sees half of it. */
export function writeUrlFile(path: string, url: string): void {
  writeFileSync(`${path}.new`, `${url}\n`);
  renameSync(`${path}.new`, path);
}

/** Resolves when the server listens. Throws as `listen` does. */
export function listenOn(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', cause => reject(cannotListen(host, port, cause)));
    server.listen({ host, port }, resolve);
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there already',
  EADDRNOTAVAIL: 'this host has no such address',
  EACCES: 'this user may not use that port',
  ENOTFOUND: 'the host name is not known',
};

function cannotListen(host: string, port: number, cause: unknown): WspError {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  return new WspError('failed', `cannot listen on ${host}:${port}: ${reasons[code] ?? message}`, {
    hint: 'change service.listen in the site file; port 0 takes a free one',
    cause,
  });
}
