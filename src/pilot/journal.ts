import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { NotificationBody, PilotNotification } from '../protocol/pilot.ts';

/**
 * The pilot's memory of what it has reported: one JSON line a notification, on disk before anything is sent (DESIGN §7).
 *
 *   append → [on disk, unacknowledged] → acknowledge(seq) → [durable at the service, forgotten here]
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

/** A journal in the file at `path`, made with mode 0600. A last line cut off by a crash is ignored: it was never sent. */
export function fileJournal(path: string): NotificationJournal {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  // Ends the torn line, so that it does not swallow the next one.
  if (text !== '' && !text.endsWith('\n')) appendFileSync(path, '\n');
  const earlier = text.split('\n').flatMap(parseLine);
  return journal(earlier, notification =>
    appendFileSync(path, `${JSON.stringify(notification)}\n`, { mode: 0o600 }),
  );
}

/** The same without a file, for simulated nodes. */
export function memoryJournal(): NotificationJournal {
  return journal([], () => undefined);
}

function journal(
  earlier: readonly PilotNotification[],
  write: (notification: PilotNotification) => void,
): NotificationJournal {
  let pending = [...earlier];
  let lastSeq = earlier.at(-1)?.seq ?? 0;
  return {
    append(at, body) {
      const notification: PilotNotification = { type: 'notification', seq: lastSeq + 1, at, body };
      try {
        write(notification);
      } catch {
        // A disk that is full must not end the pilot, and its guests with it: only one that is started after it would not know of this.
      }
      lastSeq = notification.seq;
      pending.push(notification);
      return notification;
    },
    acknowledge(seq) {
      pending = pending.filter(notification => notification.seq > seq);
    },
    unacknowledged: () => pending,
  };
}

function parseLine(line: string): PilotNotification[] {
  try {
    return [JSON.parse(line) as PilotNotification];
  } catch {
    return [];
  }
}
