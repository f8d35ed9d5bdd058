import { readFileSync } from 'node:fs';
import type { VmmStatistics } from '../../../protocol/statistics.ts';

/** Of a clock tick, in which proc(5) counts for programs, on every architecture (USER_HZ). */
const tickMs = 10;

/** What a QEMU process has used. `blocks`: its answer to `query-blockstats`. Throws when it is gone. */
export function qemuStatistics(pid: number, blocks: unknown): VmmStatistics {
  const disks = (blocks as readonly BlockStats[]).map(({ stats }) => stats);
  return {
    ...ofProcess(pid),
    diskReadBytes: disks.reduce((total, { rd_bytes: read }) => total + read, 0),
    diskWrittenBytes: disks.reduce((total, { wr_bytes: written }) => total + written, 0),
  };
}

/** QEMU's `BlockStats` (qemu-qmp-ref(7)). */
interface BlockStats {
  readonly stats: { readonly rd_bytes: number; readonly wr_bytes: number };
}

function ofProcess(pid: number): Pick<VmmStatistics, 'cpuMs' | 'memoryBytes'> {
  // proc(5): after the name, which may have anything in it, the third field begins.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  const [utime, stime] = [fields[11], fields[12]].map(Number);
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return {
    cpuMs: ((utime ?? 0) + (stime ?? 0)) * tickMs,
    memoryBytes: Number(resident ?? 0) * 1_024,
  };
}
