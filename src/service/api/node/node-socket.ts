import type { WebSocket } from 'ws';
import type { Clock } from '../../../platform/clock.ts';
import type { Log } from '../../../platform/log.ts';
import { excessIn } from '../../../protocol/json.ts';
import { plainText, plainTexts } from '../../../protocol/text.ts';

/** WebSockets of pilots and agents: JSON, checked, pinged, cut off when nothing comes back. */

const pingEveryMs = 15_000;
/** Who reads so slowly that this much waits for it is cut off; it comes again and hears the rest. */
const maxUnsentBytes = 16 * 1024 * 1024;
/** RFC 6455 §7.4.1: policy violation. */
export const closeRefused = 1008;
/** RFC 6455 §7.4.1: going away. */
const closeGoing = 1001;
/** RFC 6455 §7.4.1: the connection ended, and no close frame came. */
const lost = 1006;
/** Sockets that we have ended without a closing handshake. */
const cutOff = new WeakSet<WebSocket>();
/** RFC 6455 §5.5: a close frame's reason has at most 123 bytes. */
const maxReasonBytes = 123;

/** Where what comes over a socket goes. */
interface Session<Message> {
  received(message: Message): void;
  closed(byPeer?: boolean): void;
}

/** A schema, compiled. */
interface Checker<Message> {
  Check(value: unknown): value is Message;
  Errors(value: unknown): readonly { readonly instancePath: string; readonly message: string }[];
}

/** Hands what comes to the session for as long as the socket lives. `read`: the message, or what is wrong with it. */
export function serveSocket<Message extends object>(
  socket: WebSocket,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  read: (text: string) => Message | string,
  session: Session<Message>,
): void {
  keepAlive(socket, clock, log);
  socket.on('message', (data, isBinary) => {
    // What still arrives after we have refused it is not looked at.
    if (socket.readyState !== socket.OPEN) return;
    const heard = isBinary ? 'a message is not text' : read(data.toString());
    if (typeof heard !== 'string') return session.received(heard);
    log.warn('a node sent a malformed message', { why: heard });
    close(socket, closeRefused, heard);
  });
  socket.on('close', (code, reason) => {
    log.info('a node has closed its connection', { code, why: reason.toString() });
    session.closed(code === lost && !cutOff.has(socket));
  });
}

/** The message in a text, or what is wrong with it. */
export function readMessage<Message>(checker: Checker<Message>, text: string): Message | string {
  const excess = excessIn(text);
  if (excess !== undefined) return `a message cannot be accepted: ${excess}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'a message is not JSON';
  }
  if (checker.Check(value)) return plainTexts(value);
  const [error] = checker.Errors(value);
  const where = plainText(error?.instancePath ?? '').slice(0, 200);
  return `a message is not one of the protocol: ${where} ${error?.message ?? ''}`.trim();
}

/** Our end of a socket. */
export function connectionOver(socket: WebSocket, log: Log) {
  return {
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    send(message: object): void {
      if (socket.readyState !== socket.OPEN) return;
      if (socket.bufferedAmount > maxUnsentBytes) {
        log.warn('a node does not read; cut off', { unsentBytes: socket.bufferedAmount });
        terminate(socket);
        return;
      }
      socket.send(JSON.stringify(message));
    },
    close: (why: string) => close(socket, closeGoing, why),
  };
}

/** Pings; who has not answered by the next ping is gone, whatever TCP thinks. */
function keepAlive(socket: WebSocket, clock: Clock, log: Log): void {
  let answered = true;
  let stop = (): void => undefined;
  const ping = (): void => {
    // What it answers to a socket that we do not read is not seen.
    if (!answered && !socket.isPaused) {
      log.warn('a node does not answer; cut off', { silentMs: pingEveryMs });
      terminate(socket);
      return;
    }
    answered = false;
    if (socket.readyState === socket.OPEN) socket.ping();
    stop = clock.after(pingEveryMs, ping);
  };
  socket.on('pong', () => {
    answered = true;
  });
  socket.on('close', () => stop());
  stop = clock.after(pingEveryMs, ping);
}

function terminate(socket: WebSocket): void {
  cutOff.add(socket);
  socket.terminate();
}

function close(socket: WebSocket, code: number, why: string): void {
  socket.close(
    code,
    Buffer.from(why)
      .subarray(0, maxReasonBytes)
      .toString('utf8')
      .replace(/\uFFFD$/, ''),
  );
}
