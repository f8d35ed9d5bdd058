import type { ClientOptions as SocketOptions } from 'ws';

/** How requests reach the service: over TCP, or over the Unix socket of a URL `unix:/path`. */
export interface Connection {
  /** What the paths of requests are put after. */
  readonly baseUrl: string;
  /** Sends a request. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** Where a WebSocket to a path (with its query) is opened, and how. */
  socketTo(path: string): { readonly url: string; readonly options: SocketOptions };
}

/** The path of a URL `unix:/path`; undefined for any other. */
export function socketPathOf(url: string): string | undefined {
  return /^unix:(\/.*)$/.exec(url)?.[1];
}

/**
 * The way to a service. Connects to nothing yet. `ca` (PEM): only a service whose certificate is in
 * it, or was signed by one in it, is taken for ours. Default: the system's authorities.
 */
export function connectionTo(url: string, ca: string | undefined): Connection {
  const socketPath = socketPathOf(url);
  if (socketPath !== undefined)
    return {
      // The host's name is for the request's head alone.
      baseUrl: 'http://localhost',
      fetch: sender({ socketPath }),
      socketTo: path => ({ url: `ws+unix:${socketPath}:${path}`, options: {} }),
    };
  // A certificate that is no authority's is trusted itself, too (RFC 5280 has no such anchor;
  // OpenSSL calls it a partial chain).
  const trusting = ca === undefined ? undefined : { ca, allowPartialTrustChain: true as const };
  return {
    baseUrl: url,
    fetch: trusting ? sender(trusting) : request => fetch(request),
    socketTo: path => ({ url: `${url.replace(/^http/, 'ws')}${path}`, options: trusting ?? {} }),
  };
}

/**
 * Node's own fetch takes neither a socket nor a certificate; undici's, which it is made of, does.
 * Loaded when it is needed: most commands of most users do without.
 */
function sender(
  connect: { readonly socketPath: string } | { readonly ca: string; readonly allowPartialTrustChain: true },
): Connection['fetch'] {
  const load = async () => {
    const { Agent, fetch } = await import('undici');
    return { send: fetch, dispatcher: new Agent({ connect }) };
  };
  let loading: ReturnType<typeof load> | undefined;
  return async request => {
    loading ??= load();
    const { send, dispatcher } = await loading;
    const { method, signal, headers } = request;
    const body = request.body === null ? null : await request.text();
    return send(request.url, { method, signal, headers: [...headers], body, dispatcher });
  };
}
