import { cpus } from 'node:os';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** A line of a benchmark's report: name, median, and the range. */
export function row(name: string, valuesMs: readonly number[]): string {
  const [least, most] = [Math.min(...valuesMs), Math.max(...valuesMs)].map(Math.round);
  return `${name.padEnd(44)} median ${Math.round(median(valuesMs))} ms  (${least} to ${most})`;
}

/** What a figure was measured on. */
export function machine(): string {
  return `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
}
