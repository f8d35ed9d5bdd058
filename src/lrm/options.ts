import { gridEngineOptionMistakes } from './gridengine/options.ts';
import type { LrmConfig } from './index.ts';
import { pbsOptionMistakes } from './pbs/options.ts';
import { slurmOptionMistakes } from './slurm/options.ts';

/**
 * One of the site's options for the submit command that leases cannot work with. `index`: which of
 * the arguments; `message` says what to use instead.
 */
export interface OptionMistake {
  readonly index: number;
  readonly message: string;
}

/**
 * What an adapter says of the site's options; each knows its own submit command. Those without one
 * have no options.
 */
const mistakesOf: Partial<
  Record<LrmConfig['kind'], (options: readonly string[]) => readonly OptionMistake[]>
> = {
  pbs: pbsOptionMistakes,
  slurm: slurmOptionMistakes,
  gridengine: gridEngineOptionMistakes,
};

/**
 * What is wrong with `lrm.options` of a pool; none: a job that is submitted with them is one that
 * the service finds again, follows and ends.
 */
export function optionMistakes(
  kind: LrmConfig['kind'],
  options: readonly string[],
): readonly OptionMistake[] {
  return mistakesOf[kind]?.(options) ?? [];
}
