import type { ClientOptions as SocketOptions } from 'ws';
import type { Dispatcher } from 'undici';

/** How requests reach the service: over TCP, or over the Unix socket of a URL `unix:/path`. */
export interface Connection {
  /** What the paths of requests are put after. */
  readonly baseUrl: string;
  /** Sends a request. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** Where a WebSocket to a path (with its query) is opened, and how. */
  socketTo(path: string): { readonly url: string; readonly options: SocketOptions };
}

/** Which service, and whom to take for it. */
export interface Target {
  /** `http(s)://host:port`, or `unix:/path` of its socket. */
  readonly url: string;
  /** PEM: only a service whose certificate is in it, or was signed by one in it, is taken for ours (certificate pinning). Default: the system's authorities. */
  readonly ca?: string | undefined;
}

/** The way to a service. Connects to nothing yet. */
export function connectionTo({ url, ca }: Target): Connection {
  const socketPath = /^unix:(?<path>\/.*)$/.exec(url)?.groups?.['path'];
  if (socketPath === undefined && ca === undefined)
    return {
      baseUrl: url,
      fetch: request => fetch(request),
      socketTo: path => ({ url: `${url.replace(/^http/, 'ws')}${path}`, options: {} }),
    };
  // Loaded when it is needed: most commands of most users do without.
  let loading: Promise<(request: Request) => Promise<Response>> | undefined;
  const send = (request: Request): Promise<Response> => {
    loading ??= sender(socketPath === undefined ? trusting(ca) : { socketPath });
    return loading.then(fetching => fetching(request));
  };
  return socketPath === undefined
    ? {
        baseUrl: url,
        fetch: send,
        socketTo: path => ({ url: `${url.replace(/^http/, 'ws')}${path}`, options: trusting(ca) }),
      }
    : {
        // The host's name is for the request's head alone.
        baseUrl: 'http://localhost',
        fetch: send,
        socketTo: path => ({ url: `ws+unix:${socketPath}:${path}`, options: {} }),
      };
}

/** A certificate that is no authority's is trusted itself, too (RFC 5280 has no such anchor; OpenSSL calls it a partial chain). */
function trusting(ca: string | undefined): {
  readonly ca: string | undefined;
  readonly allowPartialTrustChain: true;
} {
  return { ca, allowPartialTrustChain: true };
}

/** Node's own fetch takes neither a socket nor a certificate; undici's, which it is made of, does. */
async function sender(
  connect: { readonly socketPath: string } | ReturnType<typeof trusting>,
): Promise<(request: Request) => Promise<Response>> {
  const undici = await import('undici');
  const dispatcher: Dispatcher = new undici.Agent({ connect });
  return async request => {
    const { method, signal, headers } = request;
    const body = request.body === null ? null : await request.text();
    const answer = await undici.fetch(request.url, {
      method,
      signal,
      headers: [...headers],
      body,
      dispatcher,
    });
    return answer;
  };
}
