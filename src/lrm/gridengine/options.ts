import type { OptionMistake } from '../kind.ts';
import { because, forbiddenBy } from '../options.ts';

/** Options of qsub(1) that would break what the service has promised. */
const forbidden = forbiddenBy({
  'what is in another file is not checked: write its options here': '-@',
  [because.program]: '-b -noshell -S -shell',
  [because.requeue]: '-c -ckpt -r',
  'it takes back what the service asks for': '-clear',
  [because.directory]: '-cwd -wd',
  [because.words]: '-e -j -o',
  [because.held]: '-h -hold_jid -hold_jid_ad',
  [because.nothing]: '-help',
  [because.input]: '-i',
  [because.name]: '-N',
  [because.itself]: '-notify -terse -w',
  'a lease waits in the queue until it can start': '-now',
  'set lrm.parallelEnvironments': '-pe',
  'set lrm.account': '-P',
  [because.queue]: '-q',
  [because.waits]: '-sync',
  [because.one]: '-t -tc',
  [`${because.nothing}; wsp create --dry-run asks Grid Engine`]: '-verify',
});

/** The others that take a value, which is the argument after them. */
const withValue: ReadonlySet<string> = new Set(
  '-a -ac -ar -A -C -dc -dl -js -jsv -l -m -M -masterq -ot -p -R -sc -v'.split(' '),
);
const bare: ReadonlySet<string> = new Set(['-hard', '-soft', '-V']);
/** `-binding [env|pe|set] linear:4`: the value, and a word that may be before it. */
const bindings = /^(env|pe|set|linear|striding|explicit)(:|$)/;

/** See `optionMistakes`. Grid Engine's options are whole words, their values the next arguments. */
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
  const instead = forbidden.get(option);
  if (instead !== undefined) return `${option} cannot be used: ${instead}`;
  if (option === '-l' && /(^|,)\s*h_rt\s*=/.test(value ?? ''))
    return `-l h_rt cannot be used: ${because.size}`;
  if (withValue.has(option))
    return value === undefined || value === '' ? `${option} has no value after it` : undefined;
  if (bare.has(option) || option === '-binding' || bindings.test(option)) return undefined;
  return `${option || 'an empty argument'} is no option of qsub that the service knows; write an option and its value as two arguments, such as [-l, kvm=1]`;
}

/** Whether the argument after this one is its value. */
function takesNext(option: string, next: string | undefined): boolean {
  if (withValue.has(option)) return true;
  // Of one that is refused: what follows is not told as a mistake of its own.
  return forbidden.has(option) && next !== undefined && !next.startsWith('-');
}
