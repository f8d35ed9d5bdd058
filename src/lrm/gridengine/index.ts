import { systemClock } from '../../platform/clock.ts';
import { systemProcesses } from '../../platform/process.ts';
import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import type { LrmKind } from '../kind.ts';
import type { GridEngineSettings } from './commands.ts';
import { gridEngine } from './gridengine.ts';
import { gridEngineOptionMistakes } from './options.ts';

const schema = ({ Type, strict, Word, Arguments, Path, Program, Port }: SectionKit) =>
  Type.Object(
    {
      kind: Type.Literal('gridengine'),
      queue: Type.Optional(Word),
      /** The project to charge (qsub -P). */
      account: Type.Optional(Word),
      /** Extra arguments for qsub. */
      options: Type.Optional(Arguments),
      /** Directory of qsub, qstat, qdel, qhost, qconf. Default: PATH. */
      binDir: Type.Optional(Path),
      /** SGE_ROOT, SGE_CELL and the daemons' ports for those commands. Default: the environment's. */
      root: Type.Optional(Path),
      cell: Type.Optional(Word),
      qmasterPort: Type.Optional(Port),
      execdPort: Type.Optional(Port),
      /**
       * One for each number of slots on a node that VMs may need (sge_pe(5): allocation_rule a
       * number, control_slaves TRUE).
       */
      parallelEnvironments: Type.Array(Word, { minItems: 1, maxItems: 64, uniqueItems: true }),
      /** The resource that counts memory (complex(5)), for each slot. Default: mem_free. */
      memoryResource: Type.Optional(
        Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_.-]*$', description: 'the name of a resource' }),
      ),
      /**
       * Directory that this host and the nodes share, for the service's user alone. Default:
       * .workspace-pilot in the home.
       */
      programDir: Type.Optional(Path),
      /** The Node program on the nodes. Default: node. */
      node: Type.Optional(Program),
    },
    strict,
  );

type Settings = { readonly kind: 'gridengine' } & GridEngineSettings;

/** Grid Engine. */
export const gridEngineKind: LrmKind = {
  kind: 'gridengine',
  schema,
  read(entry: EntryOf<typeof schema>, { path, word }) {
    const {
      account,
      options = [],
      binDir,
      root,
      programDir,
      memoryResource = 'mem_free',
      node,
      ...rest
    } = entry;
    const lrm: Settings = {
      ...rest,
      binDir: path(binDir),
      root: path(root),
      programDir: path(programDir),
      memoryResource,
      node: word(node),
    };
    return { lrm, gang: { queue: entry.queue, account, options } };
  },
  optionMistakes: gridEngineOptionMistakes,
  neededPaths: ({ root, binDir }: Settings) => [
    ['root', root, 'directory'],
    ['binDir', binDir, 'directory'],
  ],
  open: (settings: Settings) => ({ lrm: gridEngine(settings, systemProcesses, systemClock) }),
};
