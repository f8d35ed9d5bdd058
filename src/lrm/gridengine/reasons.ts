import type { Outlook } from '../lrm.ts';

/** Why a job waits: the scheduler's remarks (`qstat -j`) in words, and whether that passes. */
export interface Why {
  readonly reason: string;
  /** Absent: nobody knows. */
  readonly outlook: Outlook | undefined;
}

/** Of a queue on a node, such as `all.q@n01`: the letters of its state (qstat(1), `states`). */
export type QueueStates = ReadonlyMap<string, string>;

/** A remark: `who` (a queue, a node) is `is`. Those that differ in `who` alone become one. */
interface Remark {
  readonly who: string;
  readonly is: string;
  readonly outlook: Outlook | undefined;
}

type Groups = Readonly<Record<string, string | undefined>>;

/** What the letters of a queue's state say, the gravest first. Any of them closes the queue. */
const letters: readonly (readonly [string, string, Outlook])[] = [
  ['u', 'out of reach: its node does not answer Grid Engine', 'needs-somebody'],
  ['E', 'in an error state (an administrator clears it: qmod -cq)', 'needs-somebody'],
  ['o', 'about to be removed', 'needs-somebody'],
  ['c', 'wrongly configured', 'needs-somebody'],
  ['d', 'disabled (an administrator enables it: qmod -e)', 'needs-somebody'],
  ['s', 'suspended (an administrator resumes it: qmod -usq)', 'needs-somebody'],
  ['D', 'closed by its calendar', 'passes'],
  ['C', 'suspended by its calendar', 'passes'],
  ['S', 'suspended for another queue', 'passes'],
  ['A', 'suspended while its node is too busy', 'passes'],
  ['a', 'busier than its load threshold allows', 'passes'],
];

/** Whether nothing new begins in a queue of this state. */
export function isClosed(state: string): boolean {
  return letters.some(([letter]) => state.includes(letter));
}

const ofState = (letter: string): readonly [string, Outlook] => {
  const [, is = 'not available for now', outlook = 'passes'] =
    letters.find(([each]) => each === letter) ?? [];
  return [is, outlook];
};

/** The table of remarks (Son of Grid Engine 8.1.9): `who` in the pattern is whom it is about. */
const rows: readonly (readonly [
  RegExp,
  (groups: Groups, states: QueueStates) => readonly [string, Outlook],
])[] = [
  [/^queue instance "(?<who>[^"]+)" dropped because it is disabled/, () => ofState('d')],
  [/^queue instance "(?<who>[^"]+)" dropped because it is full/, () => ['full', 'passes']],
  [
    /^queue instance "(?<who>[^"]+)" dropped because it is overloaded: (?<load>\S+)/,
    ({ load }) => [`busier than its load threshold allows (${load})`, 'passes'],
  ],
  [
    /^queue instance "(?<who>[^"]+)" dropped because it is temporarily not available/,
    ({ who = '' }, states) =>
      ofState(letters.find(([letter]) => states.get(who)?.includes(letter))?.[0] ?? ''),
  ],
  [
    /cannot run (in queue|at host) "(?<who>[^"]+)" because it offers only \w\w:(?<what>[^=]+)=(?<left>\S+)/,
    ({ what, left }) => [`short of ${what} (${left})`, 'passes'],
  ],
  [
    /^cannot run in queue "(?<who>[^"]+)" because PE "(?<pe>[^"]+)" is not in PE list/,
    ({ pe }) => [`without the parallel environment ${pe} in its pe_list`, 'needs-somebody'],
  ],
  [
    /^\((?<asked>-l [^)]*)\) cannot run in queue "(?<who>[^"]+)" because of cluster queue/,
    ({ asked }) => [`not for what was asked for (${asked}): see its limits`, 'never'],
  ],
  [
    /^has no permission for (cluster queue|queue|host) "(?<who>[^"]+)"/,
    () => ["closed to the service's user by its access lists", 'needs-somebody'],
  ],
  [
    /^cannot run because it exceeds limit "[^"]*" in rule "(?<rule>[^"]+)"/,
    ({ rule }) => [`the resource quota ${rule} is used up`, 'passes'],
  ],
];

/** What the others come to, said only when there are none. */
const slots = /^cannot run in PE "(?<pe>[^"]+)" because it only offers (?<slots>\d+) slots/;
/** What says nothing: of the others' sum, and of queues that the request is not for. */
const idle: readonly RegExp[] = [
  /^(All queues dropped because of overload or full|There are no messages available|no suitable queues)/,
  /^Job is in (hold|error) state/,
  /^cannot run in queue "[^"]+" because it is not contained in its hard queue list/,
];

/** What these remarks of the scheduler about a job say. */
export function whyItWaits(remarks: readonly string[], states: QueueStates): Why {
  const told = explain(remarks, states);
  const outlook = (['passes', 'needs-somebody', 'never'] as const).find(each =>
    told.some(remark => remark.outlook === each),
  );
  const beginning =
    outlook === 'never' || outlook === 'needs-somebody'
      ? 'it cannot start'
      : 'it waits for nodes to become free';
  // What decides comes first.
  const [deciding, others] = [true, false].map(decides =>
    told.filter(remark => (remark.outlook === outlook) === decides),
  );
  const because = inWords([...(deciding ?? []), ...(others ?? [])]);
  return {
    reason: because === '' ? beginning : `${beginning}: ${because}`,
    outlook:
      told.length === 0 && remarks.some(remark => /overload or full/.test(remark)) ? 'passes' : outlook,
  };
}

/** What remarks of `qsub -w v` say stands in the way of a request; empty when they say nothing. */
export function whatStandsInTheWay(remarks: readonly string[]): string {
  return inWords(explain(remarks, new Map()));
}

function explain(remarks: readonly string[], states: QueueStates): readonly Remark[] {
  const said = [...new Set(remarks)].filter(remark => !idle.some(pattern => pattern.test(remark)));
  const told = said.filter(remark => !slots.test(remark)).map(remark => toRemark(remark, states));
  if (told.length > 0) return told;
  return said.map(remark => {
    const { pe, slots: count } = slots.exec(remark)?.groups ?? {};
    return { who: '', is: `the parallel environment ${pe} offers only ${count} slots`, outlook: 'passes' };
  });
}

function toRemark(remark: string, states: QueueStates): Remark {
  for (const [pattern, meaning] of rows) {
    const match = pattern.exec(remark);
    if (!match) continue;
    const [is, outlook] = meaning(match.groups ?? {}, states);
    return { who: match.groups?.['who'] ?? '', is, outlook };
  }
  return { who: '', is: remark, outlook: undefined };
}

const most = 3;

/** `all.q@n01 and all.q@n02 are full; …`; of many the first. */
function inWords(remarks: readonly Remark[]): string {
  const groups = new Map<string, string[]>();
  for (const { who, is } of remarks)
    groups.set(is, [...(groups.get(is) ?? []), ...(who === '' ? [] : [who])]);
  return [...groups]
    .map(([is, who]) =>
      who.length === 0 ? is : `${listed([...new Set(who)])} ${who.length === 1 ? 'is' : 'are'} ${is}`,
    )
    .slice(0, most)
    .join('; ');
}

/** `a, b and 3 more`. */
export function listed(names: readonly string[]): string {
  const shown = names.length > most + 1 ? [...names.slice(0, most), `${names.length - most} more`] : names;
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** What holds a job back, by the letters of `qstat -s h…`; each is let go by somebody else. */
export const holds: Readonly<Record<'u' | 'o' | 's', string>> = {
  u: 'the job is held by its user (qrls lets it go)',
  o: 'the job is held by an operator, who alone lets it go (qrls -h o)',
  s: 'the job is held by the system or by a manager, who alone lets it go (qrls -h s)',
};
