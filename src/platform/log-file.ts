import { renameSync, writeSync } from 'node:fs';
import { appendTo, olderOf } from './own-file.ts';
import { lstatIfThere } from './stat.ts';

/** Of a log and the older one: weeks of a pilot's, an hour of one whose guests make it write. */
const ordinaryLimitBytes = 16 * 1024 * 1024;

/**
 * Appends lines to a log's file, made with mode 0600. One that would become longer than half of the
 * limit goes to `path.1` before, in place of the one that is there. The lines are written when what
 * is in hand is done, at the latest when the process exits. So a disk holds up nobody who is in a
 * hurry (a pilot at the LRM's signal). A process that is killed loses the lines of what it had in
 * hand.
 */
export function linesTo(path: string, limitBytes = ordinaryLimitBytes): (line: string) => void {
  let lines = '';
  const flush = (): void => {
    if (lines !== '') appendIfRoom(path, lines, limitBytes / 2);
    lines = '';
  };
  process.on('exit', flush);
  return line => {
    if (lines === '') setImmediate(flush);
    lines += line;
  };
}

/** Writes lines on a descriptor at once. One that takes none, or that nobody reads, is no error. */
export function linesOn(descriptor: number): (line: string) => void {
  return line => {
    try {
      writeSync(descriptor, line);
    } catch {
      // There is nowhere else to say it.
    }
  };
}

/** A disk that is full must not end the process. */
function appendIfRoom(path: string, lines: string, longestBytes: number): void {
  try {
    const sizeBytes = lstatIfThere(path)?.size ?? 0;
    if (sizeBytes > 0 && sizeBytes + Buffer.byteLength(lines) > longestBytes) renameSync(path, olderOf(path));
    appendTo(path, lines);
  } catch {
    // There is nowhere else to say it.
  }
}
