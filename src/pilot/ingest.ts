import { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Clock, DeadlineError, systemClock, withDeadline } from '../platform/clock.ts';
import { firstLine } from '../platform/first-line.ts';
import { framedStream } from '../platform/framed-stream.ts';
import { lineLink } from '../platform/line-link.ts';
import { webSocketStream } from '../platform/websocket-stream.ts';
import { WspError } from '../protocol/errors.ts';
import { nodeNamePattern, slotIdPattern } from '../protocol/ids.ts';
import type { IngestAnswer, IngestRequest } from '../protocol/pilot.ts';
import { NotAcceptedError } from './transport.ts';
import { dial, openLink, type WebSocketTarget } from './websocket-link.ts';
import { messageOf } from '../platform/message-of.ts';

/**
 * `wsp ingest`: what a pilot's ssh runs on a host from which the service is reached. It reads what the pilot wants, opens the WebSocket that the pilot could
 * not, says so, and carries until either side ends:
 *
 *   {slotId, secret, node, streamId} ─► connected ─► {opened: true} ─► lines ⇄ messages, or bytes ⇄ bytes
 *                                          └─► {opened: false, why}, and an end
 *
 * It keeps nothing and decides nothing. If it is killed both sides see a broken link.
 */
const requestDeadlineMs = 15_000;
const maxRequestBytes = 8 * 1024;
const mostUnsentChars = 1_048_576;
const streamIdPattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Where the service is: `http(s)://host:port` or `unix:/path`, and whom to take for it (PEM). */
export interface IngestTarget {
  readonly url: string;
  readonly ca: string | null;
}

/** Carries this process's standard input and output. Throws `WspError` (`invalid_request`, `timeout`, `unauthorized`, `unreachable`), which the pilot is told too. */
export function runIngest(target: IngestTarget, env: NodeJS.ProcessEnv): Promise<void> {
  const [address = ''] = (env['SSH_CONNECTION'] ?? '').split(' ');
  const pilot = Duplex.from({ readable: process.stdin, writable: process.stdout });
  return ingest(pilot, target, address, systemClock);
}

/** The same over any stream. `address`: the pilot's, as this host sees it. */
export async function ingest(
  pilot: Duplex,
  target: IngestTarget,
  address: string,
  clock: Clock,
): Promise<void> {
  pilot.on('error', () => undefined);
  const answer = (text: IngestAnswer): void => void pilot.write(`${JSON.stringify(text)}\n`);
  try {
    const asked = firstLine(pilot, maxRequestBytes, () => true);
    const request = requestIn(await withDeadline(clock, requestDeadlineMs, "the pilot's request", asked));
    const { node, streamId } = request;
    const path =
      streamId === null ? `/nodes/${encodeURIComponent(node)}` : `/streams/${encodeURIComponent(streamId)}`;
    const carry = streamId === null ? carryMessages : carryBytes;
    await carry(pilot, socketTarget(target, request, path), clock, () => answer({ opened: true, address }));
  } catch (cause) {
    const error = asWspError(cause);
    answer({ opened: false, notAccepted: error.code === 'unauthorized', why: error.message });
    throw error;
  }
}

async function carryMessages(
  pilot: Duplex,
  target: WebSocketTarget,
  clock: Clock,
  opened: () => void,
): Promise<void> {
  let over = (): void => undefined;
  const ended = new Promise<void>(resolve => {
    over = resolve;
  });
  // Nothing of the service's comes before the pilot's hello, which is not read before the answer.
  let toPilot = (_text: string): void => undefined;
  let close = (_why: string): void => over();
  const handlers = { message: (text: string) => toPilot(text), closed: (why: string) => close(why) };
  const service = await openLink(target, clock, handlers);
  opened();
  // A service that does not read makes the pilot wait, not this host's memory grow.
  let unsentChars = 0;
  const lines = lineLink(pilot, clock, {
    line(text) {
      unsentChars += text.length;
      if (unsentChars > mostUnsentChars) lines.pause();
      service.send(text, () => {
        unsentChars -= text.length;
        if (unsentChars <= mostUnsentChars) lines.resume();
      });
    },
    closed() {
      service.close();
      over();
    },
  });
  toPilot = text => lines.send(text);
  close = why => lines.close(why);
  await ended;
}

async function carryBytes(
  pilot: Duplex,
  target: WebSocketTarget,
  clock: Clock,
  opened: () => void,
): Promise<void> {
  const service = await dial(target, clock, webSocketStream);
  opened();
  const bytes = framedStream(pilot);
  await Promise.all([pipeline(bytes, service), pipeline(service, bytes)]).catch((cause: Error) => {
    // Either side's break is the other's; there is nobody here to tell.
    service.destroy(cause);
    bytes.destroy(cause);
  });
}

function socketTarget(
  { url, ca }: IngestTarget,
  { slotId, secret }: IngestRequest,
  path: string,
): WebSocketTarget {
  const socketPath = /^unix:(?<path>\/.*)$/.exec(url)?.groups?.['path'];
  const base = socketPath === undefined ? url.replace(/\/$/, '') : `ws+unix:${socketPath}:`;
  return { url: `${base}/pilot/v1/slots/${slotId}${path}`, secret, ca };
}

function requestIn(text: string): IngestRequest {
  let value: Partial<IngestRequest> | null = null;
  try {
    value = JSON.parse(text) as Partial<IngestRequest> | null;
  } catch {
    // Said below.
  }
  const { slotId, secret, node, streamId } = value ?? {};
  const matches = (word: unknown, pattern: string | RegExp): word is string =>
    typeof word === 'string' && new RegExp(pattern).test(word);
  if (
    matches(slotId, slotIdPattern) &&
    matches(secret, /^[\x21-\x7e]{1,128}$/) &&
    matches(node, nodeNamePattern) &&
    (streamId === null || matches(streamId, streamIdPattern))
  )
    return { slotId, secret, node, streamId };
  throw new WspError('invalid_request', 'the first line on standard input is not a request of a pilot', {
    hint: 'wsp ingest is run by pilots, over ssh: see docs/admin/transports.md',
  });
}

function asWspError(cause: unknown): WspError {
  if (cause instanceof WspError) return cause;
  const message = messageOf(cause);
  if (cause instanceof NotAcceptedError) return new WspError('unauthorized', message, { cause });
  if (cause instanceof DeadlineError) return new WspError('timeout', message, { cause });
  return new WspError('unreachable', `the service cannot be reached: ${message}`, { cause });
}
