import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const longestLine = 240;

/** The ends of log files, for the message of a test that failed: nothing else is left of them. */
export function lastWords(files: readonly string[], lines: number): string {
  return files
    .map(file => {
      const all = readFileSync(file, 'utf8').trim().split('\n');
      const end = all.slice(-lines).map(line => line.slice(0, longestLine));
      return `${basename(file)} ends:\n${end.join('\n')}`;
    })
    .join('\n');
}

/** All logs in a directory; none where there is none. */
export function logsIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
      .filter(name => name.endsWith('.log'))
      .map(name => join(directory, name));
  } catch {
    return [];
  }
}
