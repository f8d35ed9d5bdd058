import type { Decision, Effect } from '../../lease/decision.ts';
import type { Slot, Used } from '../../lease/model.ts';
import type { SlotId, WorkspaceId } from '../../protocol/ids.ts';
import type { AuditView } from '../../protocol/access.ts';
import type { Engine, KnownWorkspace, PastUse, StoredEvent, WorkspaceQuery } from '../core/engine-api.ts';

/** One line of the audit log, before the store has numbered it. */
export type AuditEntry = Omit<AuditView, 'seq'>;

/**
 * What the service keeps between one life of it and the next. One interface; every member passes `store.contract.ts`.
 * A commit is all or nothing, and durable when its promise resolves. One service at a time holds a store.
 */
export interface Store {
  /** All that is not retired; once, at first. Throws `WspError` (`failed`): it cannot be read. */
  load(): Promise<StoredState>;
  /** One transaction. Rejects with nothing stored (disk full, database broken). */
  commit(commit: Commit): Promise<void>;
  /** History in order: numbers above `after`, at most `limit`, of one workspace if it is named. */
  events(query: EventQuery): Promise<readonly StoredEvent[]>;
  /** Workspaces, retired ones too, as they are stored now. */
  workspaces(query: WorkspaceQuery): Promise<readonly KnownWorkspace[]>;
  /** Those of the slots that there are, retired ones too. */
  slots(ids: readonly SlotId[]): Promise<readonly Slot[]>;
  /** What VMs of retired workspaces, but of these, have run in a period (milliseconds since the epoch). */
  pastUse(since: number, until: number, except: readonly WorkspaceId[]): Promise<readonly PastUse[]>;
  /** The number of the newest event; 0 when there is none. */
  lastEvent(): Promise<number>;
  /** What `access/` and `notify/` keep. Throws `WspError` (`failed`): it cannot be read. */
  loadAccess(): Promise<readonly AccessRow[]>;
  /** New versions replace old ones by kind and id, all or none. */
  putAccess(rows: readonly AccessRow[]): Promise<void>;
  appendAudit(entries: readonly AuditEntry[]): Promise<void>;
  /** The newest `limit` lines with numbers below `before`, newest first. */
  audit(query: {
    readonly before: number;
    readonly limit: number;
    readonly user?: string;
    /** Milliseconds since the epoch. */
    readonly sinceAt?: number;
  }): Promise<readonly AuditView[]>;
  /** Gives the store free. Nothing may be called after it. */
  close(): Promise<void>;
}

/** Everything that a service needs to go on after a start. */
export interface StoredState extends Pick<Decision, 'workspaces' | 'slots' | 'vms'> {
  /** Effects that are still pending, in the order in which they were decided. */
  readonly effects: readonly Effect[];
  readonly secrets: ReadonlyMap<string, string>;
  /** See `SiteState`. */
  readonly used: readonly Used[];
}

/** The kinds of documents of `access/` and of `notify/`. */
export const accessKinds = ['user', 'project', 'token', 'webhook', 'dead-letter'] as const;

/** A document of `access/` or `notify/`. */
export interface AccessRow {
  readonly kind: (typeof accessKinds)[number];
  readonly id: string;
  /** Null: there is none any more. */
  readonly body: unknown;
}

/** A value that only the store and the memory of the service have. */
export interface Secret {
  readonly key: string;
  readonly value: string;
}

/**
 * New versions replace old ones by id; the rest is appended, but for an effect whose key is pending
 * already, which stays as it is. Empty lists are free.
 */
export interface Commit extends Decision {
  /** Written on each event as `recordedAt`. */
  readonly at: number;
  /** Keys of effects that are done. */
  readonly done: readonly string[];
  readonly secrets: readonly Secret[];
  /** Keys of secrets to delete. */
  readonly forgotten: readonly string[];
}

/** Events with a higher number than `after`, the oldest first, at most `limit`. */
export type EventQuery = Parameters<Engine['events']>[0];
