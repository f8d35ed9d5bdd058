/**
 * Jobs wait for days; helpers, node agents and guest images live for months. So each end of a wire
 * that outlives a release says which protocol it speaks, and speaks the one before it, too. An end
 * that names none is of the time before there were numbers: it speaks 1.
 *
 * A number grows when an end of the old one could not do, or would misunderstand, what the new one
 * says. What is only added, and can be left out, is a *feature*, named in the greeting.
 */
export const protocols = {
  /** Pilot and service (`pilot.ts`). 2: VXLAN peers are named with the MACs behind them. */
  pilot: 2,
  /** Node agent and service (`agent.ts`). 2: the service answers with its number. */
  agent: 2,
  /** Pilot and privileged helper (`control/helper/requests.ts`). 2: as for pilots; it names its features. */
  helper: 2,
  /** Guest agent and pilot (`control/vmm/qemu/agent.ts`). */
  guest: 1,
} as const;
/** A wire that outlives a release. */
export type Wire = keyof typeof protocols;

/** The largest number that an end may name. */
export const highestProtocol = 10_000;

/**
 * Whether an end that speaks `theirs` (undefined: it named none, as 1) and the one before it can be
 * spoken with; else, which of the two is older.
 */
export function protocolWith(
  wire: Wire,
  theirs: number | undefined,
): 'spoken' | 'they are older' | 'they are newer' {
  const behind = protocols[wire] - (theirs ?? 1);
  if (behind > 1) return 'they are older';
  return behind < -1 ? 'they are newer' : 'spoken';
}

/** What to say to, and of, an end that cannot be spoken with. `they`: such as `the pilot on n01`. */
export function protocolGap(wire: Wire, they: string, theirs: number | undefined): string | undefined {
  const gap = protocolWith(wire, theirs);
  if (gap === 'spoken') return undefined;
  const ours = protocols[wire];
  const oldest = Math.max(1, ours - 1);
  const known = oldest === ours ? `protocol ${ours}` : `protocols ${oldest} and ${ours}`;
  return `${they} speaks protocol ${theirs ?? 1} and this end ${known}: ${gap === 'they are older' ? 'it' : 'this end'} is to be upgraded`;
}
