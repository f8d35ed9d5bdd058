import type { Random } from '../../platform/random.ts';
import type { LrmCommands } from '../commands.ts';
import { LrmError } from '../lrm.ts';

/** What a table is asked for with; `fields` are words of the command's --Format. */
export type AskTable = (
  command: 'squeue' | 'sinfo',
  args: readonly string[],
  fields: readonly string[],
) => Promise<readonly (readonly string[])[]>;

/**
 * Asks squeue(1) or sinfo(1) for tables, as rows of fields, each a whole text: names, comments and
 * reasons are others' words, and may have any character and any number of lines in them. So what
 * ends a field is made anew for each question: nobody can have written it before. The answer counts
 * only if it begins with its header and every row of it has ended; a command that has failed, or
 * that leaves a field out, is no answer. Throws `LrmError` (`unavailable`).
 */
export function tableAsker({ ask }: LrmCommands, random: Random): AskTable {
  return async (command, args, fields) => {
    // A letter first: a number would be the field's width, which is as wide as it needs without.
    const end = `z${Buffer.from(random.bytes(12)).toString('hex')}`;
    const format = fields.map(field => `${field}:${end}`).join(',');
    return rowsOf(await ask(command, [...args, '-O', format]), end, fields.length, command);
  };
}

/** See above. `end` is after every field; a line's end after every row. */
function rowsOf(
  printed: string,
  end: string,
  columns: number,
  command: string,
): readonly (readonly string[])[] {
  const pieces = printed.split(end);
  const rest = pieces.pop();
  const rows: (readonly string[])[] = [];
  for (let at = 0; at < pieces.length; at += columns) {
    const [first = '', ...others] = pieces.slice(at, at + columns);
    const isWhole = others.length === columns - 1 && (at === 0 || first.startsWith('\n'));
    if (!isWhole) throw new LrmError('unavailable', `${command}: its answer is not whole`);
    rows.push([first.slice(1), ...others]);
  }
  if (rows.length === 0 || rest?.trim() !== '')
    throw new LrmError('unavailable', `${command}: its answer is not whole`);
  // The first is the header.
  return rows.slice(1);
}

/** A field that Slurm has nothing for. */
export function given(text: string): string | undefined {
  return text === '' || text === '(null)' || text === 'N/A' || text === 'none' ? undefined : text;
}
