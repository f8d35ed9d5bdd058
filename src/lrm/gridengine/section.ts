import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import { schedulerKeys, type SettingsOf } from '../scheduler.ts';

/** Grid Engine's section. Default queue: all that have the parallel environments. */
export const schema = (kit: SectionKit) => {
  const { Type, Path, Word, Port } = kit;
  return Type.Object(
    {
      kind: Type.Literal('gridengine'),
      ...schedulerKeys(kit),
      /** SGE_ROOT, SGE_CELL and the daemons' ports for its commands. Default: the environment's. */
      root: Type.Optional(Path),
      cell: Type.Optional(Word),
      qmasterPort: Type.Optional(Port),
      execdPort: Type.Optional(Port),
      /** One for each number of slots on a node (sge_pe(5)): allocation_rule N, control_slaves. */
      parallelEnvironments: Type.Array(Word, { minItems: 1, maxItems: 64, uniqueItems: true }),
      /**
       * The resource that counts memory (complex(5)). Default: mem_free. Not one that sets a limit
       * on addresses (h_vmem): Node.js and QEMU reserve many.
       */
      memoryResource: Type.Optional(
        Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_.-]*$', description: 'the name of a resource' }),
      ),
      /** A directory of its user that nodes share. Default: .workspace-pilot in the home. */
      programDir: Type.Optional(Path),
    },
    kit.strict,
  );
};
export type GridEngineEntry = EntryOf<typeof schema>;
/** What the adapter has of it. */
export type GridEngineSettings = SettingsOf<GridEngineEntry> & { readonly memoryResource: string };
