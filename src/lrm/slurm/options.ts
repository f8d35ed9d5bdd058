import type { OptionMistake } from '../kind.ts';
import { because, forbiddenBy, mistakesOf } from '../options.ts';

/** Options of sbatch(1) that would break what the service has promised. */
const forbidden = forbiddenBy({
  [because.size]:
    'cpus-per-gpu cpus-per-task mem mem-per-cpu mem-per-gpu nodes ntasks ntasks-per-core ' +
    'ntasks-per-gpu ntasks-per-node ntasks-per-socket tasks-per-node time time-min',
  [because.one]: 'array',
  [because.directory]: 'chdir',
  'jobs are looked for in one cluster: name its slurm.conf in lrm.conf, each cluster in a pool': 'clusters',
  [because.words]: 'error output',
  [because.user]: 'gid uid',
  [because.nothing]: 'help usage version',
  [because.held]: 'hold',
  [because.input]: 'input',
  [because.name]: 'job-name',
  [because.itself]: 'parsable',
  [because.queue]: 'partition',
  [because.requeue]: 'requeue',
  'a pilot takes such a signal for the end of its lease; leases.endNotices tells VMs of their end': 'signal',
  [`${because.nothing}; wsp create --dry-run asks Slurm`]: 'test-only',
  [because.waits]: 'wait',
  [because.program]: 'wrap',
});
/** Their names in order: a short form is taken for the first that begins so. */
const forbiddenNames = [...forbidden.keys()].toSorted();

/** The forbidden ones that have a letter too. */
const letters: Readonly<Record<string, string>> = {
  a: 'array',
  D: 'chdir',
  M: 'clusters',
  c: 'cpus-per-task',
  e: 'error',
  h: 'help',
  H: 'hold',
  i: 'input',
  J: 'job-name',
  N: 'nodes',
  n: 'ntasks',
  o: 'output',
  p: 'partition',
  t: 'time',
  V: 'version',
  W: 'wait',
};

/** Options that take no value, or only with `=`: the argument after them is none of theirs. */
const valueless: ReadonlySet<string> = new Set(
  'contiguous exclusive get-user-env ignore-pbs nice no-kill no-requeue overcommit oversubscribe propagate quiet reboot spread-job use-min-nodes verbose'.split(
    ' ',
  ),
);
const valuelessLetters = 'kOQsv';

/** See `optionMistakes`. As in getopt_long(3), names may be shortened and letters put together. */
export function slurmOptionMistakes(options: readonly string[]): readonly OptionMistake[] {
  return mistakesOf(options, mistakeOf);
}

function mistakeOf(option: string, previous: string | undefined): string | undefined {
  if (option.startsWith('--') && option.length > 2) return ofLong(option);
  if (/^-[^-]/.test(option)) return ofLetters(option.slice(1));
  if (previous !== undefined && option !== ':' && option !== '--' && awaitsValue(previous)) return undefined;
  return `${option || 'an empty argument'} is no option of sbatch; write a value together with its option, such as --constraint=kvm`;
}

function ofLong(option: string): string | undefined {
  const name = option.slice(2).split('=')[0] ?? '';
  const meant = forbiddenNames.find(each => each === name || each.startsWith(name));
  if (meant === undefined) return undefined;
  return `--${name} ${name === meant ? '' : `may be short for --${meant}, which `}cannot be used: ${forbidden.get(meant)}`;
}

function ofLetters(text: string): string | undefined {
  for (const letter of text) {
    const name = letters[letter];
    if (name !== undefined) return `-${letter} (--${name}) cannot be used: ${forbidden.get(name)}`;
    // What follows is its value.
    if (!valuelessLetters.includes(letter)) return undefined;
  }
  return undefined;
}

/** Whether the argument after this one is its value. */
function awaitsValue(option: string): boolean {
  if (option.startsWith('--')) return !option.includes('=') && !valueless.has(option.slice(2));
  const first = Array.from(option.slice(1)).findIndex(letter => !valuelessLetters.includes(letter));
  return option.startsWith('-') && first !== -1 && first === option.length - 2;
}

/** The value that options give to the one with this name or letter; the last counts. */
export function optionValue(options: readonly string[], name: string, letter: string): string | undefined {
  const values = options.flatMap((option, index) => {
    if (option === `--${name}` || option === `-${letter}`) return options[index + 1] ?? [];
    if (option.startsWith(`--${name}=`)) return option.slice(name.length + 3);
    return option.startsWith(`-${letter}`) ? option.slice(2) : [];
  });
  return values.at(-1);
}
