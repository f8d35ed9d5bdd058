import type { OptionMistake } from '../kind.ts';

const bySize = 'what a lease asks for decides it';
const itself = 'the service sets it itself';
const nothing = 'with it nothing is submitted';
const wait = 'a lease would wait until somebody released its job';
const output = 'the last words of a job that fails are in wsp show';
const directory = 'a pilot works in node.workDir of the site file';
const anew = 'use wsp create --requeue to start a lease again';
const script = "the job's program is the pilot";

/**
 * Options of qsub(1) that would break what the service has promised, each with what to use instead.
 */
const forbidden: Readonly<Record<string, string>> = {
  '-@': 'what is in another file is not checked: write its options here',
  '-b': script,
  '-c': anew,
  '-ckpt': anew,
  '-clear': 'it takes back what the service asks for',
  '-cwd': directory,
  '-e': output,
  '-h': wait,
  '-help': nothing,
  '-hold_jid': wait,
  '-hold_jid_ad': wait,
  '-i': "the job's input is its program",
  '-j': output,
  '-N': 'the service finds its jobs by their names',
  '-noshell': script,
  '-notify': itself,
  '-now': 'a lease waits in the queue until it can start',
  '-o': output,
  '-pe': 'set lrm.parallelEnvironments',
  '-P': 'set lrm.account',
  '-q': 'set lrm.queue',
  '-r': anew,
  '-S': script,
  '-shell': script,
  '-sync': 'the service would wait for the job to end',
  '-t': 'a lease is one job',
  '-tc': 'a lease is one job',
  '-terse': itself,
  '-verify': `${nothing}; wsp create --dry-run asks Grid Engine`,
  '-w': itself,
  '-wd': directory,
};

/** The others that take a value, which is the argument after them. */
const withValue: ReadonlySet<string> = new Set(
  '-a -ac -ar -A -C -dc -dl -js -jsv -l -m -M -masterq -ot -p -R -sc -v'.split(' '),
);
const bare: ReadonlySet<string> = new Set(['-hard', '-soft', '-V']);
/** `-binding [env|pe|set] linear:4`: the value, and a word that may be before it. */
const bindings = /^(env|pe|set|linear|striding|explicit)(:|$)/;

/**
 * See `optionMistakes`. Grid Engine's options are whole words, each an argument, their values the
 * arguments after them.
 */
export function gridEngineOptionMistakes(options: readonly string[]): readonly OptionMistake[] {
  const mistakes: OptionMistake[] = [];
  for (let index = 0; index < options.length; index += 1) {
    const option = options[index] ?? '';
    const message = mistakeOf(option, options[index + 1]);
    if (message !== undefined) mistakes.push({ index, message });
    if (takesNext(option, options[index + 1])) index += 1;
  }
  return mistakes;
}

function mistakeOf(option: string, value: string | undefined): string | undefined {
  const instead = forbidden[option];
  if (instead !== undefined) return `${option} cannot be used: ${instead}`;
  if (option === '-l' && /(^|,)\s*h_rt\s*=/.test(value ?? '')) return `-l h_rt cannot be used: ${bySize}`;
  if (withValue.has(option))
    return value === undefined || value === '' ? `${option} has no value after it` : undefined;
  if (bare.has(option) || option === '-binding' || bindings.test(option)) return undefined;
  return `${option || 'an empty argument'} is no option of qsub that the service knows; write an option and its value as two arguments, such as [-l, kvm=1]`;
}

/** Whether the argument after this one is its value. */
function takesNext(option: string, next: string | undefined): boolean {
  if (withValue.has(option)) return true;
  // Of one that is refused: what follows is not told as a mistake of its own.
  return forbidden[option] !== undefined && next !== undefined && !next.startsWith('-');
}
