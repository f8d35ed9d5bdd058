import Type from 'typebox';
import { Count, MomentMs } from './schema.ts';

/**
 * What a VM has used since its VMM was started: one line of JSON a second on a stream `statistics`,
 * for as long as somebody reads it. Whoever wants rates takes the difference of two lines. A VM that
 * is started again counts from nothing.
 */
export const VmStatistics = Type.Object({
  /** The node's clock. */
  at: MomentMs,
  /** Processor time of the VMM's process: the guest's, and what is done for it. */
  cpuMs: Count,
  /** What the VMM's process has in memory now. */
  memoryBytes: Count,
  /** Of all of the VM's disks, its seed among them. */
  diskReadBytes: Count,
  diskWrittenBytes: Count,
  /** Of all of its interfaces, as the guest sees it. */
  networkReceivedBytes: Count,
  networkSentBytes: Count,
});
export type VmStatistics = Type.Static<typeof VmStatistics>;

/** What the VMM alone knows of it. */
export type VmmStatistics = Pick<
  VmStatistics,
  'cpuMs' | 'memoryBytes' | 'diskReadBytes' | 'diskWrittenBytes'
>;
