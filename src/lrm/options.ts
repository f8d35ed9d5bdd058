import type { OptionMistake } from './kind.ts';

/** Why options cannot be used, or what to use instead, as several schedulers need it. */
export const because = {
  size: 'what a lease asks for decides it',
  words: 'the last words of a job that fails are in wsp show',
  directory: 'a pilot works in node.workDir of the site file',
  name: 'the service finds its jobs by their names',
  one: 'a lease is one job',
  queue: 'set lrm.queue',
  requeue: 'use wsp create --requeue to start a lease again',
  user: "jobs are the service's own user's",
  held: 'a lease would wait until somebody released its job',
  waits: 'the service would wait for the job to end',
  program: "the job's program is the pilot",
  input: "the job's input is its program",
  itself: 'the service sets it itself',
  nothing: 'with it nothing is submitted',
} as const;

/** Each option with why it cannot be used. `table`: the options of each reason. */
export function forbiddenBy(table: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(table).flatMap(([why, options]) => options.split(' ').map(option => [option, why])),
  );
}

/** The arguments of which there is something to say, each looked at with its neighbours. */
export function mistakesOf(
  options: readonly string[],
  mistakeOf: (option: string, before: string | undefined, after: string | undefined) => string | undefined,
): readonly OptionMistake[] {
  return options.flatMap((option, index) => {
    const message = mistakeOf(option, options[index - 1], options[index + 1]);
    return message === undefined ? [] : [{ index, message }];
  });
}
