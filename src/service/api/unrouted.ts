import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, WspError } from '../../protocol/errors.ts';

/**
 * Errors of requests that never reach a route: what Node's HTTP parser, the router and the
 * WebSocket handshake refuse. They have the shape of all others.
 *
 *   bytes ─► parser ─► expectation ─► router ─► route        each ─► may refuse, with an `ErrorBody`
 */

/** What the router refuses; Fastify's option `frameworkErrors`. */
export function refuseUnrouted(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  const tooLong = error.code === 'FST_ERR_MAX_PARAM_LENGTH';
  const message = tooLong
    ? 'a part of the path is longer than any name or id'
    : 'the path has a % that does not stand for a character: it is to be followed by two hexadecimal digits, and the bytes are UTF-8';
  void reply
    .code(tooLong ? 414 : 400)
    .header('content-type', 'application/json; charset=utf-8')
    .send(bodyOf('invalid_request', message));
}

/** What the parser refuses; Fastify's option `clientErrorHandler`. It ends the connection. */
export function refuseUnparsed({ code }: NodeJS.ErrnoException, socket: Socket): void {
  // It has gone by itself: nobody is there to be told.
  if (code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  socket.end(unparsedAnswer(code ?? 'unknown error'));
}

/** What the server itself refuses before the router. Call it before the server listens. */
export function refuseBeforeRoutes(app: FastifyInstance): void {
  app.server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    const body = bodyOf('invalid_request', 'the only thing that a request may expect is 100-continue');
    const headers = {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    };
    response.writeHead(417, headers).end(body);
  });
  // Node's own answer has no body; so it is told to let such requests pass (`requireHostHeader`).
  app.addHook('onRequest', async ({ raw }) => {
    if (raw.httpVersion === '1.1' && raw.headers.host === undefined)
      throw new WspError('invalid_request', 'the request has no Host header');
  });
  app.websocketServer.on('wsClientError', (error: Error, socket: Socket) => {
    socket.end(rawAnswer('400 Bad Request', bodyOf('invalid_request', `no WebSocket: ${error.message}`)));
  });
}

function unparsedAnswer(code: string): string {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const hint = 'what is long goes into the body of a POST; lists are read page by page';
    const body = bodyOf('invalid_request', "the request's URL and headers have more than 16 KiB", hint);
    return rawAnswer('431 Request Header Fields Too Large', body);
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return rawAnswer('408 Request Timeout', bodyOf('timeout', 'the request did not arrive in time'));
  return rawAnswer('400 Bad Request', bodyOf('invalid_request', `this is no request of HTTP/1.1 (${code})`));
}

function bodyOf(code: ErrorCode, message: string, hint?: string): string {
  return JSON.stringify(new WspError(code, message, hint === undefined ? {} : { hint }).toBody());
}

function rawAnswer(status: string, body: string): string {
  const head = [
    `HTTP/1.1 ${status}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
