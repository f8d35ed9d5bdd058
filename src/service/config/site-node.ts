import { vmmKind } from '../../control/vmm/index.ts';
import type { MemorySettings } from '../../lease/settings.ts';
import { given } from '../../protocol/given.ts';
import type { NodeSettings } from '../../protocol/pilot.ts';
import type { SectionReader } from '../../protocol/section.ts';
import type { NodeEntry, SiteFile } from './site-file.ts';
import { type Mistake, sectionReader } from './site-values.ts';

/** What `node` says that the site file's other sections do not. */
export type NodePart = Omit<NodeSettings, 'shutdownGraceMs'>;

/** What a `node`, the site's or a pool's, says that is at `where`. `at` makes a path absolute. */
export function nodePart(
  { workDir, helper, adaptation, keepLogs, vmm }: Partial<NodeEntry>,
  where: string,
  at: (path: string) => string,
  mistake: Mistake,
): Partial<NodePart> {
  const { path, word, durationMs } = sectionReader(where, at, mistake);
  return given({
    workDir: path(workDir),
    helper: helper?.map(word),
    adaptation,
    keepLogs: keepLogs && {
      slots: keepLogs.slots ?? 100,
      forMs: durationMs(keepLogs.for ?? '14d', 'keepLogs.for'),
    },
    vmm: vmm && vmmKind(vmm).read(vmm, sectionReader(`${where}.vmm`, at, mistake)),
  });
}

/** The site's `node`, with what it says when a key is not there. */
export function siteNode(
  { adaptation = 'none', keepLogs = {}, ...entry }: NodeEntry,
  at: (path: string) => string,
  mistake: Mistake,
): NodePart {
  return nodePart({ ...entry, adaptation, keepLogs }, 'node', at, mistake) as NodePart;
}

/** What a pilot's process takes with all around it, measured (`bench/memory.ts`). */
const pilotMemory = '96M';

/** What a pool's VMM takes of its nodes, as the driver states it or the site says instead, and what a pilot does. */
export function memoryOf(
  { vmmOverhead, pilotOverhead = pilotMemory }: NonNullable<SiteFile['leases']>,
  { memoryMiB }: SectionReader,
): (node: Pick<NodeSettings, 'vmm'>) => MemorySettings {
  const fixedMiB = vmmOverhead === undefined ? undefined : memoryMiB(vmmOverhead, 'vmmOverhead');
  const said = fixedMiB === undefined ? undefined : { fixedMiB, perCpuMiB: 0, guestShare: 0 };
  const pilotMiB = memoryMiB(pilotOverhead, 'pilotOverhead');
  return ({ vmm }) => ({
    vmm: said ?? vmmKind(vmm).traits(vmm).memory,
    pilotMiB,
  });
}
