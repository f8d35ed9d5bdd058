import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createConnection } from 'node:net';
import { dirname } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { WspError } from '../../protocol/errors.ts';
import type { TlsFiles } from './tls.ts';

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
  /**
   * An address that the nodes reach this host at, other than `host`: the embedded LRM's. Listened
   * on too, unless `url` says where nodes go.
   */
  readonly headAddress?: string | undefined;
  /** Listened on too, for users of this host; always without TLS. */
  readonly socketPath?: string | null;
  /** What the app was built with. */
  readonly tls?: TlsFiles | undefined;
}

const socketMode = 0o666;

/** Begins to answer. Throws `WspError` (`failed`): port in use, address not of this host, port not allowed. */
export async function listen(app: FastifyInstance, options: ListenOptions): Promise<Listening> {
  const { host, url, headAddress, socketPath = null, tls } = options;
  const scheme = tls ? 'https' : 'http';
  await app.listen({ host, port: options.port }).catch(noPort(host, options.port));
  const port = portOf(app.server);
  const own = urlOf(scheme, isAny(host) ? '127.0.0.1' : host, port);
  const more: Server[] = [];
  const another = (secure: TlsFiles | undefined): Server => {
    const answer = app.routing.bind(app);
    const server = secure ? createSecureServer(secure, answer) : createServer(answer);
    // WebSockets are upgraded by the app's own server; it takes them from here too.
    server.on('upgrade', (...upgrade) => app.server.emit('upgrade', ...upgrade));
    more.push(server);
    return server;
  };
  const headIsApart = headAddress !== undefined && headAddress !== host && !isAny(host);
  if (url === null && headIsApart) await listenOn(another(tls), headAddress, port);
  if (socketPath !== null) await listenOnSocket(another(undefined), socketPath);
  return {
    url: own,
    nodesUrl: url ?? (headAddress === undefined ? own : urlOf(scheme, headAddress, port)),
    async close() {
      const closed = more.map(server => new Promise<void>(resolve => server.close(() => resolve())));
      await app.close();
      for (const server of more) server.closeAllConnections();
      await Promise.all(closed);
    },
  };
}

/** A socket that a service which crashed has left is taken over; one that somebody answers on is not. */
async function listenOnSocket(server: Server, path: string): Promise<void> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    if (await isLeftOver(path)) rmSync(path);
    await once(server.listen({ path }), 'listening');
    chmodSync(path, socketMode);
  } catch (cause) {
    throw cannotListen(`the socket ${path}`, 'change service.socket in the site file', cause);
  }
}

async function isLeftOver(path: string): Promise<boolean> {
  const connection = createConnection({ path });
  try {
    await once(connection, 'connect');
    return false;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  } finally {
    connection.destroy();
  }
}

/** Writes the URL so that whoever reads the file never sees half of it. */
export function writeUrlFile(path: string, url: string): void {
  writeFileSync(`${path}.new`, `${url}\n`);
  renameSync(`${path}.new`, path);
}

/** Resolves when the server listens. Throws as `listen` does. */
export async function listenOn(server: Server, host: string, port: number): Promise<void> {
  await once(server.listen({ host, port }), 'listening').catch(noPort(host, port));
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

/** The URL of a host, which may be an IPv6 address, and a port. */
export function urlOf(scheme: string, host: string, port: number): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
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

function noPort(host: string, port: number): (cause: unknown) => never {
  return cause => {
    const hint = 'change service.listen in the site file; port 0 takes a free one';
    throw cannotListen(`${host}:${port}`, hint, cause);
  };
}

function cannotListen(where: string, hint: string, cause: unknown): WspError {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  return new WspError('failed', `cannot listen on ${where}: ${reasons[code] ?? message}`, { hint, cause });
}
