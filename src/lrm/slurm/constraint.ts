/**
 * Whether a node with these features may be one of a job with this `--constraint` (sbatch(1)):
 * words with `&` (or a comma), which binds more, and `|` between
 * them. Brackets and counts say how many nodes of which kind: any node of one of the kinds may be
 * one of those, so they are read as if they were not there.
 */
export function matches(constraint: string, features: readonly string[]): boolean {
  const words = constraint.replace(/[[\]()]/g, '').replace(/\*[0-9]+/g, '');
  const kinds = /[[(]/.test(constraint) ? words.split(/[|&,]/) : words.split('|');
  return kinds.some(kind => kind.split(/[&,]/).every(word => features.includes(word.trim())));
}
