import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncToDisk } from '../../platform/own-file.ts';

/** Writes a file anew, and resolves when its content and its name are on disk. Only root may read it. */
export function writeDurably(path: string, text: string): void {
  write(path, 'w', text);
  syncDirectoryOf(path);
}

/** Adds to a file that exists; the content is on disk then. */
export function appendDurably(path: string, text: string): void {
  write(path, 'a', text);
}

/** Makes a file's name durable: fsync(2) of a file says nothing of its directory's entry. */
export function syncDirectoryOf(path: string): void {
  syncToDisk(dirname(path));
}

/** All of it or none: what RLIMIT_FSIZE or a full disk cuts short is taken back, and thrown. */
function write(path: string, flags: 'a' | 'w', text: string): void {
  const file = openSync(path, flags, 0o600);
  const before = fstatSync(file).size;
  try {
    // Unlike writeSync it goes on until all of it is written.
    writeFileSync(file, text);
    fsyncSync(file);
  } catch (cause) {
    ftruncateSync(file, before);
    throw cause;
  } finally {
    closeSync(file);
  }
}
