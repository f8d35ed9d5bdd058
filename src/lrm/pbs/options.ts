import type { OptionMistake } from '../kind.ts';
import { because, forbiddenBy, mistakesOf } from '../options.ts';

const noTerminal = 'the job of a lease has no terminal';

/** Options of qsub(1B) that would break what the service has promised. */
const forbidden = forbiddenBy({
  'directives in the script are none of a lease': 'C',
  [because.directory]: 'd D w',
  [because.words]: 'e j k o R',
  [because.waits]: 'f',
  [because.program]: 'F',
  [because.held]: 'h',
  [noTerminal]: 'I x X',
  [because.one]: 'J t',
  [because.size]: 'L',
  [because.name]: 'N',
  [because.queue]: 'q',
  [because.requeue]: 'r',
  "the job's script is one of sh": 'S',
  [because.user]: 'u',
  "the service needs the job's id, which qsub prints": 'z',
});

/** Resources of -l that leases ask for themselves. */
const resources: readonly string[] = 'select place nodes ncpus mem pmem vmem walltime procs nodect ppn'.split(
  ' ',
);

/** Attributes of -W that the service needs for itself. */
const attributes: Readonly<Record<string, string>> = {
  block: because.waits,
  depend: 'a lease depends on no other job',
  interactive: noTerminal,
  sandbox: "pbs_mom would keep the job's output elsewhere",
  stagein: 'images are fetched by the pilots',
  stageout: 'nodes would be held while files are copied',
  umask: "the slot's files are their user's alone",
};

/** Letters that take no value. */
const valueless = 'EfhInVwxXz';

/** See `optionMistakes`. As in getopt(3), letters may stand together, values behind theirs. */
export function pbsOptionMistakes(options: readonly string[]): readonly OptionMistake[] {
  return mistakesOf(options, mistakeOf);
}

function mistakeOf(
  option: string,
  previous: string | undefined,
  next: string | undefined,
): string | undefined {
  if (previous !== undefined && letterAwaitingValue(previous) !== undefined) return undefined;
  if (!/^-[A-Za-z]/.test(option))
    return `${option || 'an empty argument'} is no option of qsub; write a value after its option, such as -P, lab`;
  for (const [at, letter] of Array.from(option).entries()) {
    if (at === 0) continue;
    const why = forbidden.get(letter);
    if (why !== undefined) return `-${letter} cannot be used: ${why}`;
    if (!valueless.includes(letter)) return mistakeOfValue(letter, option.slice(at + 1) || (next ?? ''));
  }
  return undefined;
}

function mistakeOfValue(letter: string, value: string): string | undefined {
  const names = value.split(',').map(each => each.split(/[=:]/)[0] ?? '');
  if (letter === 'l') {
    const name = names.find(each => resources.includes(each));
    return name === undefined ? undefined : `-l ${name} cannot be used: ${because.size}`;
  }
  if (letter !== 'W') return undefined;
  const name = names.find(each => attributes[each] !== undefined);
  return name === undefined ? undefined : `-W ${name} cannot be used: ${attributes[name]}`;
}

/** The letter of an option whose value is the next argument. */
function letterAwaitingValue(option: string): string | undefined {
  if (!/^-[A-Za-z]/.test(option)) return undefined;
  const first = Array.from(option).findIndex((letter, at) => at > 0 && !valueless.includes(letter));
  return first === option.length - 1 ? option[first] : undefined;
}
