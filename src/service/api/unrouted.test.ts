import { connect } from 'node:net';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestApi, testApi } from '../../../test/support/api.ts';
import { ErrorView } from '../../protocol/api.ts';

/**
 * Requests as bytes, which no library would send: each error has the documented shape, whoever
 * raises it.
 */

let api: TestApi;
let url: URL;
beforeAll(async () => {
  api = await testApi();
  api.engine.addWorkspace({ id: 'ws-bbbbbbbbbb' });
  url = new URL(await api.listen());
});
afterAll(() => api?.app.close());

const token = 'Authorization: Bearer token-of-ann';
const upgrade = `Host: a\r\n${token}\r\nConnection: upgrade\r\nUpgrade: websocket`;

/** Everything that the server says to these bytes, until it closes. */
function say(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(Number(url.port), url.hostname, () => socket.write(text));
    socket.on('data', chunk => {
      said += String(chunk);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(said));
  });
}

function get(path: string, ...headers: readonly string[]): string {
  return [`GET ${path} HTTP/1.1`, ...headers, 'Connection: close', '', ''].join('\r\n');
}

describe('errors before any route', () => {
  it.each([
    ['a bad % in a path', get('/v1/workspaces/%zz', 'Host: a'), 400, /% that does not stand for a character/],
    ['bytes that are no UTF-8 in a path', get('/v1/workspaces/%ff', 'Host: a'), 400, /UTF-8/],
    [
      'a bad % in a query',
      get('/v1/events?workspace=%zz', 'Host: a', token),
      400,
      /workspace: must be an id or a name/,
    ],
    ['a URL of 20 kB', get(`/v1/events?x=${'a'.repeat(20_000)}`, 'Host: a'), 431, /more than 16 KiB/],
    ['a path of 2 kB', get(`/v1/workspaces/${'a'.repeat(2_000)}`, 'Host: a', token), 414, /part of the path/],
    ['a header of 20 kB', get('/v1/health', 'Host: a', `X: ${'a'.repeat(20_000)}`), 431, /more than 16 KiB/],
    ['no Host', get('/v1/health'), 400, /no Host header/],
    ['an expectation', get('/v1/health', 'Host: a', 'Expect: tea'), 417, /100-continue/],
    ['no HTTP at all', 'hello\r\n\r\n', 400, /no request of HTTP/],
    ['no method', 'FOO / HTTP/1.1\r\nHost: a\r\n\r\n', 400, /no request of HTTP/],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, /no request of HTTP/],
    [
      'two lengths',
      'POST /v1/workspaces HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc',
      400,
      /no request of HTTP/,
    ],
    [
      'a bad WebSocket',
      `GET /v1/workspaces/osg/vms/a-0/stream?target=console HTTP/1.1\r\n${upgrade}\r\n\r\n`,
      400,
      /no WebSocket/,
    ],
  ])('report 10: %s', async (_what, request, status, message) => {
    const answer = await say(request);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer.toLowerCase()).toContain('content-type: application/json');
    const body: unknown = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
    expect(Value.Errors(ErrorView, body)).toEqual([]);
    expect(JSON.stringify(body)).toMatch(message);
    // Nothing of a program's in what people read.
    expect(JSON.stringify(body)).not.toMatch(/FST_|pattern|\^/);
  });
});
