import { nextTurn } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import type { AuditView } from '../../protocol/access.ts';
import type { AuditEntry, Store } from '../store/store.ts';

/** More than this waiting for the disk: what is oldest is still written, what is new is refused by the service anyway (`busy`). */
const queueLimit = 20_000;

/**
 * Who did what, also who tried to. Every request that changes something, or that was refused for want of rights, is a line; it is on disk before the
 * answer leaves. All that waits is written in one transaction.
 */
export class AuditLog {
  readonly #store: Pick<Store, 'appendAudit' | 'audit'>;
  readonly #log: Log;
  #waiting: { readonly entry: AuditEntry; readonly written: () => void }[] = [];
  #writing = false;

  constructor(store: Pick<Store, 'appendAudit' | 'audit'>, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Resolves when the line is written, or cannot be: that is in the service's log then, with the line. */
  write(entry: AuditEntry): Promise<void> {
    if (this.#waiting.length >= queueLimit) {
      this.#log.error('the audit log cannot keep up', { entry });
      return Promise.resolve();
    }
    return new Promise(resolve => {
      this.#waiting.push({ entry, written: resolve });
      if (!this.#writing) void this.#writeAll();
    });
  }

  /** The newest lines first. */
  read(query: Parameters<Store['audit']>[0]): Promise<readonly AuditView[]> {
    return this.#store.audit(query);
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    await nextTurn();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const entries = batch.map(({ entry }) => entry);
      await this.#store
        .appendAudit(entries)
        .catch((cause: unknown) =>
          this.#log.error('the audit log could not be written', { entries, ...errorFields(cause) }),
        );
      for (const { written } of batch) written();
    }
    this.#writing = false;
  }
}
