import type { TimelineView } from '../../protocol/api.ts';
import { formatMoment } from '../../protocol/units.ts';
import type { StoredEvent } from '../core/engine-api.ts';

/**
 * The paper's breakdown of one lease (Figures 2 to 5), from its stored history. Marks are moments
 * that the history gives; a hop lies between two of them, and starts where the one before it ended:
 *
 *   created ─request─ durable ─submit─ jobId ─lrm─ firstReserving ─pilot─ allReserved ─place─ firstPropagating ─propagate─
 *     firstStarting ─create─ allRunning ─lease─ ending ─stop─ vmsGone ─release─ nodesReleased ─lrm-end─ jobGone
 *                                    └─context─ allContext
 *
 * In a slot that was held already (policies `reuse` and `warm`) there is nothing to submit, to wait
 * for and to reserve; a slot that is kept is not released with the lease. A lease that ends on its
 * way skips to `ending`: the hop that it was in ends there.
 */
const meanings = {
  request: 'the service decides and stores the request',
  submit: 'the service submits the job to the batch scheduler',
  lrm: 'the job waits in the queue; the batch scheduler starts the first pilot',
  pilot: 'the pilots reserve their nodes',
  place: 'VMs are mapped to nodes and the commands reach them',
  propagate: 'images, seeds and networks are made ready',
  create: 'the VMs start',
  context: 'the guests set themselves up',
  lease: 'the lease',
  stop: 'the VMs shut down',
  release: 'the pilots undo what they changed on the nodes',
  'lrm-end': 'the batch job ends',
} as const;
type Hop = keyof typeof meanings;

/** A moment, or null while the history has not reached it. */
type Mark = number | null;

/** `agents`: how many of the workspace's VMs report their context. */
export function timelineOf(workspace: string, events: readonly StoredEvent[], agents: number): TimelineView {
  const marks = marksOf(events, agents);
  const { ending } = marks;
  const hops: TimelineView['hops'] = [];
  const add = (hop: Hop, from: Mark, to: Mark): void => {
    if (from === null) return;
    // The clocks of two nodes may differ by a little; no hop is shorter than nothing.
    const end = to === null ? null : Math.max(to, from);
    hops.push({
      hop,
      meaning: meanings[hop],
      startedAt: formatMoment(from),
      endedAt: end === null ? null : formatMoment(end),
      durationMs: end === null ? null : Math.round(end - from),
    });
  };

  const way: readonly (readonly [Hop, Mark])[] = [
    ['request', marks.durable],
    ...(marks.held
      ? []
      : ([
          ['submit', marks.jobId],
          ['lrm', marks.firstReserving],
          ['pilot', marks.allReserved],
        ] as const)),
    ['place', marks.firstPropagating],
    ['propagate', marks.firstStarting],
    ['create', marks.allRunning],
  ];
  let from = marks.created;
  for (const [hop, to] of way) {
    add(hop, from, to ?? ending);
    from = to;
  }
  if (agents > 0) add('context', marks.allRunning, marks.allContext ?? ending);
  add('lease', marks.allRunning, ending);

  from = ending;
  if (marks.vms > 0) {
    add('stop', from, marks.vmsGone);
    from = marks.vmsGone;
  }
  if (marks.held || marks.kept) return { workspace, hops };
  if (marks.nodes > 0) {
    add('release', from, marks.nodesReleased);
    from = marks.nodesReleased;
  }
  if (marks.jobId !== null) add('lrm-end', from, marks.jobGone);
  return { workspace, hops };
}

function marksOf(all: readonly StoredEvent[], agents: number) {
  // One that was started anew after a preemption has a timeline from then on.
  const beginning = all.findLastIndex(({ type }) => type === 'workspace.requested');
  const requested = all[beginning];
  const events = all.slice(Math.max(0, beginning));
  const times = (types: readonly string[]): readonly number[] =>
    events
      .filter(event => types.includes(event.type))
      .map(event => event.at)
      .toSorted((one, other) => one - other);
  const first = (...types: readonly string[]): Mark => times(types)[0] ?? null;
  const last = (...types: readonly string[]): Mark => times(types).at(-1) ?? null;
  const subjects = (of: 'vmId' | 'node', ...types: readonly string[]): Set<string | null> =>
    new Set(events.filter(event => types.includes(event.type)).map(event => event[of]));

  const vms = subjects('vmId', 'vm.propagating', 'vm.starting', 'vm.running');
  const vmsGone = subjects('vmId', 'vm.terminated', 'vm.failed');
  const nodes = subjects('node', 'node.reserving', 'node.reserved');
  const nodesReleased = subjects('node', 'node.released', 'node.failed');
  const whole = subjects('vmId', 'vm.context.ok').size >= agents;
  return {
    held: first('slot.requested') === null && first('vm.placed') !== null,
    kept: first('slot.idle') !== null,
    vms: vms.size,
    nodes: nodes.size,
    created: requested?.at ?? null,
    durable: requested?.recordedAt ?? null,
    jobId: first('slot.queued'),
    firstReserving: first('node.reserving', 'node.reserved'),
    allReserved: first('slot.ready') === null ? null : last('node.reserved'),
    firstPropagating: first('vm.propagating'),
    firstStarting: first('vm.starting'),
    allRunning: first('workspace.running') === null ? null : last('vm.running'),
    allContext: whole ? last('vm.context.ok') : null,
    ending: first('workspace.ending') ?? first('workspace.ended'),
    vmsGone: covers(vmsGone, vms) ? last('vm.terminated', 'vm.failed') : null,
    nodesReleased: covers(nodesReleased, nodes) ? last('node.released', 'node.failed') : null,
    jobGone: first('slot.released', 'slot.failed'),
  };
}

function covers(whole: ReadonlySet<string | null>, part: ReadonlySet<string | null>): boolean {
  return [...part].every(member => whole.has(member));
}
