import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { appendTo, readOwn } from '../platform/own-file.ts';
import type { NotificationBody, PilotNotification } from '../protocol/pilot.ts';

/**
 * The pilot's memory of what it has reported: one JSON line a notification, on disk before anything is sent.
 *
 *   append → [on disk, unacknowledged] → acknowledge(seq) → [durable at the service, forgotten here; on disk until the file has grown, then written anew without it]
 *
 * Invariants: numbers count from 1 without a gap; `unacknowledged()` is in order. What the disk does not take is kept in memory. If the pilot is killed, the next one of the same slot on
 * this node (an LRM may start a job again) continues the numbering; the service's `welcome` says from where to repeat.
 */
export interface NotificationJournal {
  append(at: number, body: NotificationBody): PilotNotification;
  /** All up to `seq` are durable at the service. */
  acknowledge(seq: number): void;
  unacknowledged(): readonly PilotNotification[];
}

/** What is acknowledged stays up to this size: a node shows what its pilot has said last. */
const longestFileBytes = 256 * 1_024;

/** A journal in the file at `path`, made with mode 0600. A last line cut off by a crash is ignored: it was never sent. */
export function fileJournal(path: string): NotificationJournal {
  const text = readOwn(path);
  // Ends the torn line, so that it does not swallow the next one.
  if (text !== '' && !text.endsWith('\n')) appendTo(path, '\n');
  return new Journal(text.split('\n').flatMap(parseLine), path);
}

/** The same without a file, for simulated nodes. */
export function memoryJournal(): NotificationJournal {
  return new Journal([]);
}

/**
 * A disk that is full must not end the pilot, and its guests with it: what it does not take is in
 * memory, and only a pilot that is started after this one would not know of it.
 */
class Journal implements NotificationJournal {
  readonly #path: string | undefined;
  #pending: PilotNotification[];
  /** Its number goes on. */
  #last: PilotNotification | undefined;
  /** Of the file. */
  #bytes: number;
  /** After writing it anew: what was left has to be acknowledged before that is worth it again. */
  #limitBytes = longestFileBytes;

  constructor(earlier: readonly PilotNotification[], path?: string) {
    this.#path = path;
    this.#pending = [...earlier];
    this.#last = earlier.at(-1);
    this.#bytes = path !== undefined && existsSync(path) ? statSync(path).size : 0;
  }

  append(at: number, body: NotificationBody): PilotNotification {
    const seq = (this.#last?.seq ?? 0) + 1;
    const notification: PilotNotification = { type: 'notification', seq, at, body };
    if (this.#path !== undefined) this.#write(this.#path, lineOf(notification));
    this.#last = notification;
    this.#pending.push(notification);
    return notification;
  }

  acknowledge(seq: number): void {
    this.#pending = this.#pending.filter(notification => notification.seq > seq);
    if (this.#path !== undefined && this.#bytes > this.#limitBytes) this.#writeAnew(this.#path);
  }

  unacknowledged(): readonly PilotNotification[] {
    return this.#pending;
  }

  #write(path: string, line: string): void {
    try {
      appendTo(path, line);
      this.#bytes += line.length;
    } catch {
      // It is kept in memory.
    }
  }

  #writeAnew(path: string): void {
    const kept = this.#pending.length > 0 || !this.#last ? this.#pending : [this.#last];
    const text = kept.map(lineOf).join('');
    try {
      // A new file in place of the old one: whenever we are killed, one of them is whole.
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
      this.#bytes = text.length;
    } catch {
      // The old one is still there.
    }
    this.#limitBytes = Math.max(longestFileBytes, 2 * this.#bytes);
  }
}

function lineOf(notification: PilotNotification): string {
  return `${JSON.stringify(notification)}\n`;
}

function parseLine(line: string): PilotNotification[] {
  try {
    return [JSON.parse(line) as PilotNotification];
  } catch {
    return [];
  }
}
