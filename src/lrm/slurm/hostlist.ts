/**
 * Slurm's short form of node names, `n[01-03,07],gpu1`, as the names (scontrol(1), "show hostnames"). Text that is no such list is one name;
 * a range is cut at `mostNodes`.
 */
export function expandHostlist(text: string): string[] {
  // Commas inside brackets do not separate names.
  return text
    .split(/,(?![^[]*\])/)
    .filter(part => part !== '')
    .flatMap(expand);
}

const mostNodes = 100_000;

function expand(part: string): string[] {
  const match = /^([^[\]]*)\[([0-9,-]+)\](.*)$/.exec(part);
  if (!match) return [part];
  const [, prefix = '', ranges = '', rest = ''] = match;
  const tails = expand(rest);
  return ranges
    .split(',')
    .flatMap(numbers)
    .flatMap(number => tails.map(tail => `${prefix}${number}${tail}`));
}

/** `08-11` as 08, 09, 10, 11: as wide as the first. */
function numbers(range: string): string[] {
  const [first = '', last = first] = range.split('-');
  const from = Number(first);
  const count = Math.min(Math.max(Number(last) - from + 1, 1), mostNodes);
  return Array.from({ length: count }, (_, index) => String(from + index).padStart(first.length, '0'));
}
