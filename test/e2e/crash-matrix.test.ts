import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { EventView, WorkspaceView } from '../../src/protocol/api.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { SlurmCluster } from '../cluster/slurm.ts';
import { findVictim, mend, nodeName, type Place } from '../crash/kill.ts';
import { type CrashPoint, crashPoints, type Sight } from '../crash/points.ts';
import { startSite, type TestSite } from '../support/site.ts';

/**
 * At each crash point somebody is killed with SIGKILL, on a real Slurm with real guests, one a node. Then the workspace runs, or has ended, as the service says;
 * once its slot is over, nothing is left anywhere within five seconds, and the next create, which is the next point's, succeeds.
 * `make crash-matrix`: all points on 16 nodes. Without it: a choice of them on four.
 */
const all = process.env['CRASH_MATRIX'] === 'all';
const only = process.env['CRASH_POINT'];
const nodes = Number(process.env['CRASH_NODES'] ?? 4);
const points = crashPoints.filter(point =>
  only === undefined ? all || point.chosen : titleOf(point).includes(only),
);

const leftDeadlineMs = 5_000;
/** Guests boot more slowly the more of them share this machine's processors. */
const settleDeadlineMs = 60_000 + nodes * 8_000;

interface Row {
  readonly point: string;
  readonly node: string;
  readonly outcome: string;
  readonly nothingLeftAfterMs: number;
}

let site: TestSite;
let cluster: SlurmCluster;
const rows: Row[] = [];
let nextNode = 0;

beforeAll(async () => {
  // Short, so that a pilot which was killed alone is given up soon.
  const leases = { pilotSilence: '5s', reserveTimeout: '20s' };
  site = await startSite({ lrm: 'slurm', nodes, leases, slurm: { limitCores: false } });
  cluster = site.cluster as SlurmCluster;
});
afterAll(async () => {
  printTable();
  await site?.stop();
});

function titleOf({ victim, moment }: CrashPoint): string {
  return `${victim} killed: ${moment.name}`;
}

/** One workspace over all nodes, watched. */
class Lease {
  readonly name: string;
  id = '';
  readonly #events: EventView[] = [];
  #after = 0;

  constructor(name: string) {
    this.name = name;
  }

  async create(): Promise<void> {
    const size = ['--count', String(nodes), '--memory', '160M'];
    const made = await site.json<WorkspaceView>(['create', '--name', this.name, '--image', 'mini', ...size]);
    this.id = made.id;
  }

  get slotId(): string | undefined {
    return this.#events.find(({ slot }) => slot !== null)?.slot ?? undefined;
  }

  get events(): readonly EventView[] {
    return this.#events;
  }

  /** What has happened since, as the service tells it. */
  async refresh(): Promise<void> {
    const page = await site.client().events({ workspace: this.id, after: this.#after });
    this.#events.push(...page.events);
    this.#after = page.next;
  }

  view(): Promise<WorkspaceView> {
    return site.client().getWorkspace(this.id);
  }

  async untilReached(point: CrashPoint, node: string): Promise<void> {
    const sight: Sight = { site, node, slotId: () => this.slotId, events: () => this.events };
    // What the node's own files tell is not to wait for the service, which is busy: the moment may be over by then.
    const look = async (): Promise<boolean> => {
      if (point.moment.isReached(sight)) return true;
      await this.refresh();
      return point.moment.isReached(sight);
    };
    await expect.poll(look, { timeout: settleDeadlineMs, interval: 5, message: titleOf(point) }).toBe(true);
  }

  /** Runs, every guest set up, or is over. */
  async settled(): Promise<WorkspaceView> {
    const over = async (): Promise<boolean> => {
      const { state, vms } = await this.view();
      return state === 'ended' || (state === 'running' && vms.every(({ context }) => context !== 'pending'));
    };
    await expect.poll(over, { timeout: settleDeadlineMs, interval: 100 }).toBe(true);
    return this.view();
  }

  async ended(because?: string): Promise<WorkspaceView> {
    await expect
      .poll(() => this.view().then(({ state }) => state), {
        timeout: settleDeadlineMs,
        interval: 20,
        ...(because === undefined ? {} : { message: because }),
      })
      .toBe('ended');
    return this.view();
  }
}

describe(`a crash at each of ${points.length} points, ${nodes} nodes`, () => {
  it.each(points.map(point => [titleOf(point), point] as const))(
    '%s',
    async (title, point) => {
      const index = nextNode++ % nodes;
      const lease = new Lease(`crash-${nextNode}`);
      await lease.create();
      if (point.moment.phase !== 'start') expect((await lease.settled()).state).toBe('running');
      await lease.refresh();
      const place = (): Place => ({ site, cluster, index, slotId: lease.slotId ?? '' });
      // What ends is over soon.
      const found = point.moment.phase === 'end' ? await findVictim(point.victim, place()) : undefined;
      if (found) await site.client().destroyWorkspace(lease.id);
      onTestFinished(async () => {
        // A point that fails leaves the nodes to the next one.
        await site
          .client()
          .destroyWorkspace(lease.id)
          .catch(() => undefined);
      });
      await lease.untilReached(point, nodeName({ cluster, index }));
      const kill = found ?? (await findVictim(point.victim, place()));
      expect(await kill()).toBeGreaterThan(0);
      if (point.victim === 'service' || point.victim === 'node') await mend(point.victim, place());
      const outcome = await outcomeOf(lease, point);
      if (point.victim === 'pilot and helper') await mend(point.victim, place());
      await slotOver(place().slotId);
      const since = systemClock.monotonicMs();
      await expect.poll(() => site.leftovers(), { timeout: leftDeadlineMs, interval: 50 }).toEqual([]);
      const nothingLeftAfterMs = Math.round(systemClock.monotonicMs() - since);
      rows.push({ point: title, node: nodeName({ cluster, index }), outcome, nothingLeftAfterMs });
    },
    settleDeadlineMs * 3,
  );

  it('afterwards a workspace over all nodes comes up', async () => {
    const lease = new Lease('after');
    await lease.create();
    expect((await lease.settled()).state).toBe('running');
    await site.client().destroyWorkspace(lease.id);
    await lease.ended();
    await expect.poll(() => site.leftovers(), { timeout: leftDeadlineMs, interval: 50 }).toEqual([]);
  }, 300_000);
});

/** A workspace without VMs has ended before its slot: the scheduler may not know for a while that a node without power has nothing of the job any more. */
async function slotOver(slotId: string): Promise<void> {
  const state = async (): Promise<string | undefined> =>
    (await site.client().listSlots()).find(({ id }) => id === slotId)?.state;
  await expect
    .poll(state, { timeout: settleDeadlineMs, interval: 20, message: `slot ${slotId} is over` })
    .toSatisfy(now => now === undefined || now === 'released' || now === 'failed');
}

/** What became of the lease; a lease that runs is tried, and destroyed. */
async function outcomeOf(lease: Lease, point: CrashPoint): Promise<string> {
  if (point.moment.phase === 'end') {
    const over = await lease.ended();
    return `ended: ${over.cause}`;
  }
  const settled = await lease.settled();
  // Killed while it ran: whether it still does, the service has to find out first.
  const untrue = settled.state === 'running' ? await untrueOf(settled) : 'it has ended';
  if (untrue === undefined) {
    await site.client().destroyWorkspace(lease.id);
    await lease.ended();
    return 'ran on';
  }
  const over = await lease.ended(untrue);
  expect(over.vms.every(({ state }) => state === 'terminated' || state === 'failed')).toBe(true);
  return `ended: ${over.cause} (${over.reason?.code ?? 'no reason'})`;
}

/** What is not as it is shown: undefined when every guest that is shown as running answers. */
async function untrueOf({ name, vms }: WorkspaceView): Promise<string | undefined> {
  const answers = await Promise.all(
    vms.map(vm => site.wsp(['ssh', `${name}/${vm.name}`, '--', 'hostname'], { deadlineMs: 60_000 })),
  );
  return answers.find(({ code }) => code !== 0)?.stderr;
}

function printTable(): void {
  const width = (pick: (row: Row) => string): number => Math.max(0, ...rows.map(row => pick(row).length));
  const [title, outcome] = [width(row => row.point), width(row => row.outcome)];
  const lines = rows.map(
    row =>
      `${row.point.padEnd(title)}  ${row.node}  ${row.outcome.padEnd(outcome)}  nothing left after ${row.nothingLeftAfterMs} ms`,
  );
  console.log(`${lines.join('\n')}\n${rows.length} of ${points.length} crash points held, ${nodes} nodes`);
}
