import type { Duplex } from 'node:stream';
import type { Clock, StopTimer } from '../../../platform/clock.ts';
import { Lines } from './lines.ts';
import { formatDuration } from '../../../protocol/units.ts';

/**
 * A client of QEMU's machine protocol: JSON objects, one a line, over a stream (QEMU documentation, "QMP protocol specification").
 *
 *   QEMU → {"QMP": …}          greeting; only then may we speak
 *   us   → {"execute": "qmp_capabilities", "id": 1}
 *   QEMU → {"return": {}, "id": 1}  or  {"error": {"class", "desc"}, "id": 1}
 *   QEMU → {"event": "SHUTDOWN", "data": …}   at any time
 *
 * Invariant: every command's promise settles: by its answer, its deadline, or the end of the stream.
 */
export class QmpClient {
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #pending = new Map<number, PendingCommand>();
  readonly #greeting: Promise<void>;
  /** Resolves when everything that QEMU sent before the connection's end has been handled. */
  readonly closed: Promise<void>;
  /** Everything that ends when the connection does. */
  readonly #waiters = new Set<(why: QmpError) => void>();
  #greeted: () => void = () => undefined;
  #lastId = 0;
  #closed = false;

  /** Speaks QMP over `stream`, which it owns from now on. `onEvent` gets every event, in order. */
  constructor(stream: Duplex, clock: Clock, onEvent: (event: QmpEvent) => void) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onEvent = onEvent;
    this.#greeting = new Promise(resolve => {
      this.#greeted = resolve;
    });
    const lines = new Lines(longestMessageBytes, line => this.#receive(line));
    stream.on('data', (chunk: Buffer) => {
      if (lines.push(chunk) > 0) this.close(new QmpError('protocol', 'QEMU sent an overlong QMP message'));
    });
    stream.on('error', cause =>
      this.close(new QmpError('closed', `the QMP connection broke: ${cause.message}`)),
    );
    this.closed = new Promise(resolve => {
      stream.on('close', () => {
        this.close();
        resolve();
      });
    });
  }

  /** Waits for the greeting and leaves negotiation mode. Rejects with `QmpError` after `deadlineMs`. */
  async negotiate(deadlineMs: number): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    await this.#within(deadlineMs, 'greeting', this.#greeting);
    await this.execute('qmp_capabilities', {}, deadlineMs - (this.#clock.monotonicMs() - startedMs));
  }

  /** Runs one command; its `return` value. Rejects with `QmpError`: refused, not answered within `deadlineMs`, or connection gone. */
  execute(command: string, args: Readonly<Record<string, unknown>>, deadlineMs: number): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    return this.#within(
      deadlineMs,
      command,
      new Promise<unknown>((resolve, reject) => {
        this.#pending.set(id, { command, resolve, reject });
        if (!this.#closed)
          this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
      }),
    ).finally(() => this.#pending.delete(id));
  }

  /** Ends the connection; everything that still waits is rejected. Closing twice does nothing. */
  close(why: QmpError = new QmpError('closed', 'QEMU closed the QMP connection')): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream.destroy();
    for (const waiting of this.#waiters) waiting(why);
  }

  /** The promise's outcome, or a `QmpError` when the deadline or the end of the connection comes first. */
  #within<T>(deadlineMs: number, what: string, promise: Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new QmpError('closed', `QMP ${what}: the connection is closed`));
    let stop: StopTimer = () => undefined;
    let fail: (why: QmpError) => void = () => undefined;
    return new Promise<T>((resolve, reject) => {
      fail = reject;
      this.#waiters.add(fail);
      stop = this.#clock.after(deadlineMs, () =>
        reject(
          new QmpError('timeout', `QEMU did not answer QMP ${what} within ${formatDuration(deadlineMs)}`),
        ),
      );
      promise.then(resolve, reject);
    }).finally(() => {
      stop();
      this.#waiters.delete(fail);
    });
  }

  #receive(line: string): void {
    if (line.trim() === '') return;
    const message = parseMessage(line);
    if (message === undefined)
      this.close(new QmpError('protocol', `QEMU sent no QMP: ${line.slice(0, 200)}`));
    else if ('QMP' in message) this.#greeted();
    else if (typeof message.event === 'string')
      this.#onEvent({ name: message.event, data: (message.data ?? {}) as QmpEvent['data'] });
    else this.#answer(message);
  }

  #answer(message: QmpMessage): void {
    const pending = typeof message.id === 'number' ? this.#pending.get(message.id) : undefined;
    // An answer that came after its deadline has nobody waiting.
    if (!pending) return;
    if (message.error)
      pending.reject(new QmpError('refused', `QEMU refused ${pending.command}: ${message.error.desc}`));
    else pending.resolve(message.return);
  }
}

/** What QEMU tells without being asked: qemu-qmp-ref(7), events. */
export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Why a QMP command has no answer. */
export class QmpError extends Error {
  readonly kind: 'refused' | 'timeout' | 'closed' | 'protocol';
  constructor(kind: QmpError['kind'], message: string) {
    super(message);
    this.name = 'QmpError';
    this.kind = kind;
  }
}

interface PendingCommand {
  readonly command: string;
  resolve(value: unknown): void;
  reject(why: QmpError): void;
}

interface QmpMessage {
  readonly QMP?: unknown;
  readonly event?: unknown;
  readonly data?: unknown;
  readonly id?: unknown;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

/** QEMU's longest answers (schemas, device lists) stay well below. */
const longestMessageBytes = 4 * 1024 * 1024;

function parseMessage(line: string): QmpMessage | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
