import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ControlError } from '../control.ts';
import { writeDurably } from './durable.ts';
import { keyIn, keyText, type SlotKey } from './slot-key.ts';
import { messageOf } from '../../platform/message-of.ts';

/** Default place of the records: it outlives the power. */
export const defaultDiskDir = '/var/lib/workspace-pilot-helper';

/** A slot's work directory, removed as the user whom it belongs to. */
export interface WorkDirectory {
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Which slots have files on this node's disk. What the helper changes in the kernel is gone when the node loses its power, and so is the journal of it
 * under /run; the files of VMs are not, and would be nobody's.
 *
 *   <disk dir>/<node>/<slotId>.<uid>   written before the journal's entry, removed after the files
 *
 * Invariant, under the node's lock: a record without a journal is of a slot that the node's power, or a crash between the two writes, has ended.
 * A crash in the middle of a write leaves a file `.new`, which no one reads and the next record of that slot replaces.
 */
export class DiskRecords {
  readonly #directory: string;

  constructor(diskDir: string, node: string) {
    this.#directory = join(diskDir, node);
  }

  /** Throws `ControlError` `disk_record` where the disk cannot be written to. */
  keep(key: SlotKey, directory: WorkDirectory): void {
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      const path = this.pathOf(key);
      writeDurably(`${path}.new`, `${JSON.stringify(directory)}\n`);
      renameSync(`${path}.new`, path);
    } catch (cause) {
      const why = messageOf(cause);
      throw new ControlError(
        'disk_record',
        `${why}: the helper keeps there which files to remove after a power loss (--disk-dir names another place)`,
      );
    }
  }

  forget(key: SlotKey): void {
    rmSync(this.pathOf(key), { force: true });
    try {
      rmdirSync(this.#directory);
    } catch {
      // Other slots' records are in it, or it was never made.
    }
  }

  /** Every slot with a record. One that cannot be read is told by its `directory` being undefined. */
  all(): readonly { readonly key: SlotKey; readonly directory: WorkDirectory | undefined }[] {
    if (!existsSync(this.#directory)) return [];
    return readdirSync(this.#directory)
      .flatMap(name => keyIn(name) ?? [])
      .map(key => ({ key, directory: parse(this.pathOf(key)) }));
  }

  pathOf(key: SlotKey): string {
    return join(this.#directory, keyText(key));
  }
}

function parse(path: string): WorkDirectory | undefined {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<WorkDirectory> | null;
    const { path: directory, uid, gid } = value ?? {};
    const isWhole = typeof directory === 'string' && directory.startsWith('/') && isId(uid) && isId(gid);
    return isWhole ? { path: directory, uid, gid } : undefined;
  } catch {
    return undefined;
  }
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0;
}
