import type { Duplex } from 'node:stream';
import { type Clock, withDeadline } from '../../../platform/clock.ts';
import { Lines } from '../../../platform/lines.ts';

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
  /** What waits for an answer: the greeting is number 0. */
  readonly #pending = new Map<number, Pending>();
  readonly #greeting = this.#expect(0, 'greeting');
  /** Resolves when everything that QEMU sent before the connection's end has been handled. */
  readonly closed: Promise<void>;
  #lastId = 0;
  #closed = false;

  /** Speaks QMP over `stream`, which it owns from now on. `onEvent` gets every event, in order. */
  constructor(stream: Duplex, clock: Clock, onEvent: (event: QmpEvent) => void) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onEvent = onEvent;
    // Who does not wait for it any more learns of the connection's end otherwise.
    this.#greeting.catch(() => undefined);
    const lines = new Lines(
      longestMessageBytes,
      line => this.#receive(line),
      () => this.close(new QmpError('protocol', 'QEMU sent an overlong QMP message')),
    );
    stream.on('data', (chunk: Buffer) => lines.push(chunk));
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

  /** Waits for the greeting and leaves negotiation mode. Rejects as `execute`. */
  async negotiate(deadlineMs: number): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    await withDeadline(this.#clock, deadlineMs, "QEMU's QMP greeting", this.#greeting);
    await this.execute('qmp_capabilities', {}, deadlineMs - (this.#clock.monotonicMs() - startedMs));
  }

  /** Runs one command; its `return` value. Rejects with `QmpError`, or `DeadlineError`. */
  async execute(
    command: string,
    args: Readonly<Record<string, unknown>>,
    deadlineMs: number,
  ): Promise<unknown> {
    if (this.#closed) throw new QmpError('closed', `QMP ${command}: the connection is closed`);
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = this.#expect(id, command);
    this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    const what = `QEMU's answer to QMP ${command}`;
    const answered = withDeadline(this.#clock, deadlineMs, what, answer);
    return answered.finally(() => this.#pending.delete(id));
  }

  /** Ends the connection; everything that still waits is rejected. Closing twice does nothing. */
  close(why: QmpError = new QmpError('closed', 'QEMU closed the QMP connection')): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream.destroy();
    for (const { reject } of this.#pending.values()) reject(why);
  }

  #expect(id: number, what: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { what, resolve, reject });
    });
  }

  #receive(line: string): void {
    if (line.trim() === '') return;
    const message = parseMessage(line);
    if (message === undefined)
      this.close(new QmpError('protocol', `QEMU sent no QMP: ${line.slice(0, 200)}`));
    else if ('QMP' in message) this.#pending.get(0)?.resolve(undefined);
    else if (typeof message.event === 'string')
      this.#onEvent({ name: message.event, data: (message.data ?? {}) as QmpEvent['data'] });
    else this.#answer(message);
  }

  #answer(message: QmpMessage): void {
    const pending = typeof message.id === 'number' ? this.#pending.get(message.id) : undefined;
    // An answer that came after its deadline has nobody waiting.
    if (!pending) return;
    if (message.error)
      pending.reject(new QmpError('refused', `QEMU refused ${pending.what}: ${message.error.desc}`));
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
  readonly kind: 'refused' | 'closed' | 'protocol';
  constructor(kind: QmpError['kind'], message: string) {
    super(message);
    this.name = 'QmpError';
    this.kind = kind;
  }
}

interface Pending {
  readonly what: string;
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
