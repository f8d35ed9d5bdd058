import type { OptionMistake } from '../kind.ts';

const bySize = 'what a lease asks for decides it';
const lastWords = 'the last words of a job that fails are in wsp show';

/**
 * Options of qsub(1B) that would break what the service has promised, each with what to use
 * instead.
 */
const forbidden: Readonly<Record<string, string>> = {
  C: 'directives in the script are none of a lease',
  d: 'a pilot works in node.workDir of the site file',
  D: 'a pilot works in node.workDir of the site file',
  e: lastWords,
  f: 'the service would wait for the job to end',
  F: "the job's program is the pilot",
  h: 'a lease would wait until somebody released its job',
  I: 'the job of a lease has no terminal',
  j: lastWords,
  J: 'a lease is one job',
  k: lastWords,
  L: bySize,
  N: 'the service finds its jobs by their names',
  o: lastWords,
  q: 'set lrm.queue',
  r: 'use wsp create --requeue to start a lease again',
  R: lastWords,
  S: "the job's script is one of sh",
  t: 'a lease is one job',
  u: "jobs are the service's own user's",
  w: 'a pilot works in node.workDir of the site file',
  x: 'the job of a lease has no terminal',
  X: 'the job of a lease has no terminal',
  z: "the service needs the job's id, which qsub prints",
};

/** Resources of -l that leases ask for themselves. */
const resources: readonly string[] = 'select place nodes ncpus mem pmem vmem walltime procs nodect ppn'.split(
  ' ',
);

/** Attributes of -W that the service needs for itself. */
const attributes: Readonly<Record<string, string>> = {
  block: 'the service would wait for the job to end',
  depend: 'a lease depends on no other job',
  interactive: 'the job of a lease has no terminal',
  sandbox: "pbs_mom would keep the job's output elsewhere",
  stagein: 'images are fetched by the pilots',
  stageout: 'nodes would be held while files are copied',
  umask: "the slot's files are their user's alone",
};

/** Letters that take no value. */
const valueless = 'EfhInVwxXz';

/**
 * See `optionMistakes`. Letters may be put together, and a value follow its letter at once, as in
 * getopt(3).
 */
export function pbsOptionMistakes(options: readonly string[]): readonly OptionMistake[] {
  return options.flatMap((option, index) => {
    const message = mistakeOf(option, options[index - 1], options[index + 1]);
    return message === undefined ? [] : [{ index, message }];
  });
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
    const why = forbidden[letter];
    if (why !== undefined) return `-${letter} cannot be used: ${why}`;
    if (!valueless.includes(letter)) return mistakeOfValue(letter, option.slice(at + 1) || (next ?? ''));
  }
  return undefined;
}

function mistakeOfValue(letter: string, value: string): string | undefined {
  const names = value.split(',').map(each => each.split(/[=:]/)[0] ?? '');
  if (letter === 'l') {
    const name = names.find(each => resources.includes(each));
    return name === undefined ? undefined : `-l ${name} cannot be used: ${bySize}`;
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
