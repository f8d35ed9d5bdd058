import { appendFileSync, writeSync } from 'node:fs';

/**
 * Appends lines to a log's file, made with mode 0600: when what is in hand is done, at the latest when the process exits. So a disk holds up nobody who is in a hurry (a pilot at the LRM's signal).
 * A process that is killed loses the lines of what it had in hand.
 */
export function linesTo(path: string): (line: string) => void {
  let lines = '';
  const flush = (): void => {
    if (lines !== '') appendIfRoom(path, lines);
    lines = '';
  };
  process.on('exit', flush);
  return line => {
    if (lines === '') setImmediate(flush);
    lines += line;
  };
}

/**
 * Writes lines of a log on a descriptor, at once. A log that cannot be written, or that nobody
 * reads any more, ends no process.
 */
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
function appendIfRoom(path: string, lines: string): void {
  try {
    appendFileSync(path, lines, { mode: 0o600 });
  } catch {
    // There is nowhere else to say it.
  }
}
