import * as fc from 'fast-check';
import { afterEach, describe, expect, it, test } from 'vitest';
import { apiOver } from '../../../test/support/api.ts';
import { EngineBench, FakePilot, must } from '../../../test/support/engine.ts';
import { startedAt } from '../../../test/support/lease.ts';
import type { Policy } from '../../lease/policies/index.ts';
import { noQuota, noQuotas } from '../../lease/quota.ts';
import type { WorkspaceView } from '../../protocol/api.ts';
import { jobNameOf } from '../../protocol/ids.ts';
import { formatMoment } from '../../protocol/units.ts';

const users = ['ann', 'bob'] as const;
const minute = 60_000;
const group = { name: 'w', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 };

/** A whole service, and what clients, pilots and the scheduler do to it. */
class Site {
  readonly bench: EngineBench;
  readonly #made: WorkspaceView[] = [];
  readonly #pilots = new Map<string, readonly FakePilot[]>();
  readonly #answers: string[] = [];
  #api: Awaited<ReturnType<typeof apiOver>> | undefined;

  constructor(retireAfterMs: number, policy: Policy) {
    this.bench = new EngineBench({ retireAfterMs, policy });
  }

  async open(): Promise<this> {
    await this.bench.start();
    this.bench.engine.changeQuotas({ ...noQuotas, user: { ...noQuota, vmMinutes: 200, workspaces: 4 } });
    this.#api = await apiOver(this.bench.engine, this.bench.clock);
    return this;
  }

  async close(): Promise<void> {
    await this.#api?.app.close();
    await this.bench.close();
  }

  /** Everything that has been answered; ids by the order in which they were heard of. */
  get answers(): readonly string[] {
    const names = new Map<string, string>();
    const named = (id: string): string => {
      const name = names.get(id) ?? `id${names.size}`;
      names.set(id, name);
      return name;
    };
    return this.#answers.map(text => text.replaceAll(/\b(?:ws|slot)-[a-z0-9]{10}\b/g, named));
  }

  async ask(method: 'GET' | 'POST' | 'DELETE', url: string, user = 'ann', payload?: object) {
    const { app, as } = must(this.#api);
    const request = { method, url, headers: as(user), ...(payload ? { payload } : {}) };
    const { statusCode, body } = await app.inject(request);
    if (method !== 'GET') await this.bench.settle();
    this.#answers.push(`${method} ${url} ${user}: ${statusCode} ${body}`);
    return { statusCode, body: JSON.parse(body) as WorkspaceView & { readonly next: string | null } };
  }

  async create(user: string, payload: object): Promise<void> {
    const { statusCode, body } = await this.ask('POST', '/v1/workspaces', user, payload);
    if (statusCode === 201) this.#made.push(body);
  }

  /** The workspace of a number, if there is one yet. */
  made(number: number): WorkspaceView | undefined {
    return this.#made[number % Math.max(1, this.#made.length)];
  }

  /** The job of a workspace runs, and so do its VMs. */
  async runs(number: number): Promise<void> {
    const workspace = this.made(number);
    const slot = this.bench.engine.state.workspaces.get(workspace?.id ?? '')?.slotId ?? '';
    const { state, nodesWanted = 0 } = this.bench.engine.state.slots.get(slot) ?? {};
    if (state === 'queued') {
      const pilots = Array.from(
        { length: nodesWanted },
        (_, index) => new FakePilot(this.bench.engine, slot, `n${index}`),
      );
      this.#pilots.set(slot, pilots);
      for (const pilot of pilots) {
        pilot.hello();
        pilot.notify({ kind: 'node', state: 'reserved' });
      }
      await this.bench.settle();
    }
    for (const pilot of this.#pilots.get(slot) ?? [])
      for (const { key, body } of pilot.commands)
        if (body.kind === 'start-vm') {
          pilot.acknowledge(key);
          pilot.vm(body.vm.vmId, 'running', 'ok');
        }
    await this.bench.settle();
  }

  /** A guest fails, or shuts itself down. */
  async guest(number: number, state: 'failed' | 'terminated'): Promise<void> {
    const { slotId = '', vmIds = [] } =
      this.bench.engine.state.workspaces.get(this.made(number)?.id ?? '') ?? {};
    this.#pilots.get(slotId)?.[0]?.vm(vmIds[0] ?? '', state);
    await this.bench.settle();
  }

  /** The job of a workspace is over, and its pilots are gone. */
  async ends(number: number): Promise<void> {
    const slotId = this.made(number)?.slot?.id ?? '';
    const job = this.bench.lrm.jobs.find(({ jobName }) => jobName === jobNameOf(slotId));
    for (const pilot of this.#pilots.get(slotId) ?? []) pilot.session.closed();
    this.#pilots.delete(slotId);
    await this.bench.settle();
    if (job) this.bench.lrm.change(job.jobId, { state: 'completed' });
    await this.bench.advance(1_000);
  }

  /** All is destroyed and over, and some time has passed. */
  async finish(): Promise<void> {
    for (const [index, { id }] of this.#made.entries()) {
      await this.ask('DELETE', `/v1/workspaces/${id}`, 'olga');
      await this.ends(index);
    }
    await this.bench.advance(700_000);
  }

  /** Asks for all that there is to be asked for. */
  async look(): Promise<void> {
    for (const user of ['ann', 'olga']) {
      for (const list of [
        'all=true',
        'all=true&owner=bob',
        'state=ended&state=queued',
        'name=one&all=true',
        'limit=9',
      ])
        for (let next: string | null = ''; next !== null; )
          ({ next } = (
            await this.ask(
              'GET',
              `/v1/workspaces?${list}${list === 'limit=9' ? '' : '&limit=2'}${next === '' ? '' : `&cursor=${next}`}`,
              user,
            )
          ).body);
      const ids = this.#made.map(({ id }) => id);
      for (const which of [...ids, 'one', 'two'])
        for (const what of ['', '/timeline', '/known-hosts'])
          await this.ask('GET', `/v1/workspaces/${which}${what}`, user);
      const middle = `since=${moment(60_000)}&until=${moment(400_000)}`;
      for (const path of ['events', 'events?workspace=one', 'usage', `usage?${middle}`, 'slots', 'nodes'])
        await this.ask('GET', `/v1/${path}`, user);
    }
  }
}

const moment = (afterMs: number): string => encodeURIComponent(formatMoment(startedAt + afterMs));

type Deed = (site: Site) => Promise<unknown>;
const number = fc.nat(5);
const about = (does: (site: Site, path: string, id: string) => Promise<unknown>): fc.Arbitrary<Deed> =>
  number.map(index => site => {
    const id = site.made(index)?.id;
    return id === undefined ? Promise.resolve() : does(site, `/v1/workspaces/${id}`, id);
  });

const create: fc.Arbitrary<Deed> = fc
  .record({
    user: fc.constantFrom(...users),
    name: fc.constantFrom('one', 'two', undefined),
    clientToken: fc.constantFrom('token-1', 'token-2', undefined),
    count: fc.integer({ min: 1, max: 2 }),
    pending: fc.constantFrom(true, false, false, false),
    dry: fc.constantFrom(true, false, false, false),
  })
  .map(({ user, name, clientToken, count, pending, dry }) => site => {
    const payload = {
      groups: [{ ...group, count }],
      durationMs: 1_800_000,
      ...(name ? { name } : {}),
      ...(clientToken ? { clientToken } : {}),
      ...(pending ? { pending } : {}),
    };
    return dry ? site.ask('POST', '/v1/workspaces/dry-run', user, payload) : site.create(user, payload);
  });

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: create },
  { weight: 4, arbitrary: number.map(index => (site: Site) => site.runs(index)) },
  { weight: 4, arbitrary: number.map(index => (site: Site) => site.ends(index)) },
  { weight: 2, arbitrary: about((site, path) => site.ask('DELETE', path)) },
  {
    weight: 1,
    arbitrary: about((site, path) => site.ask('POST', `${path}/launch`)),
  },
  {
    weight: 1,
    arbitrary: about((site, path) =>
      site.ask('POST', `${path}/groups`, 'ann', { groups: [{ ...group, name: 'x' }] }),
    ),
  },
  {
    weight: 1,
    arbitrary: about((site, path) => site.ask('POST', `${path}/extend`, 'ann', { durationMs: 60_000 })),
  },
  {
    weight: 1,
    arbitrary: about((site, path) => site.ask('POST', `${path}/operations`, 'ann', { operation: 'destroy' })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(number, fc.constantFrom('failed' as const, 'terminated' as const)).map(
      ([index, state]) =>
        (site: Site) =>
          site.guest(index, state),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(1_000, 61_000, 700_000).map(ms => (site: Site) => site.bench.advance(ms)),
  },
  { weight: 1, arbitrary: fc.constant((site: Site) => site.look()) },
);

describe('what is retired', () => {
  const open: Site[] = [];
  const site = async (retireAfterMs: number, policy: Policy = { kind: 'exact' }): Promise<Site> => {
    const opened = await new Site(retireAfterMs, policy).open();
    open.push(opened);
    return opened;
  };
  afterEach(async () => {
    for (const each of open.splice(0)) await each.close();
  });

  const policies: readonly Policy[] = [
    { kind: 'exact' },
    { kind: 'reuse', keepMs: 60_000, factor: 4, vmsPerNode: 2, shared: true },
  ];

  test.each(policies)(
    'is answered for as if it were not, whatever is done and whenever it leaves (property): $kind',
    async policy => {
      let retired = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(deed, { minLength: 5, maxLength: 30 }), async deeds => {
          const [kept, leaving] = [await site(Number.POSITIVE_INFINITY, policy), await site(0, policy)];
          for (const each of [kept, leaving]) {
            for (const does of deeds) await does(each);
            await each.finish();
            await each.look();
          }
          expect(leaving.answers).toEqual(kept.answers);
          const { engine } = leaving.bench;
          retired += kept.bench.engine.state.workspaces.size - engine.state.workspaces.size;
          for (const each of open.splice(0)) await each.close();
        }),
        { numRuns: 8, seed: 7 },
      );
      expect(retired).toBeGreaterThan(5);
    },
    120_000,
  );

  it('is not there after a restart either, and is found', async () => {
    const { bench } = await site(0);
    const { id } = await bench.create(1, { name: 'one', clientToken: 'token' });
    await bench.engine.workspaces.destroy(id, 'ann');
    await bench.advance(1_000);
    bench.lrm.change('1', { state: 'cancelled' });
    await bench.advance(120_000);
    expect([...bench.engine.state.workspaces.keys(), ...bench.engine.state.slots.keys()]).toEqual([]);
    await bench.restart();
    const { workspaces, slots, vms, used } = bench.engine.state;
    expect([workspaces.size, slots.size, vms.size, [...used.keys()]]).toEqual([0, 0, 0, ['ann ']]);
    expect((await bench.store.load()).secrets.size).toBe(0);
    expect((await bench.engine.find('one', 'ann'))?.workspace).toMatchObject({ id, state: 'ended' });
    expect(await bench.engine.find('one', 'bob')).toBeUndefined();
    const again = await bench.create(1, { name: 'one', clientToken: 'token' });
    expect(again.id).toBe(id);
    expect(bench.lrm.submitted).toHaveLength(1);
  });

  it('comes back into memory when it could not be stored', async () => {
    const { bench } = await site(minute);
    const { id } = await bench.create();
    await bench.engine.workspaces.destroy(id, 'ann');
    await bench.advance(1_000);
    bench.lrm.change('1', { state: 'cancelled' });
    await bench.advance(2_000);
    expect(bench.workspace(id).state).toBe('ended');
    bench.store.failure = new Error('database or disk is full');
    await bench.advance(minute - (bench.clock.now() % minute) + minute + 1_500);
    const { workspaces, used } = bench.engine.state;
    expect([workspaces.get(id)?.state, used.size]).toEqual(['ended', 0]);
    bench.store.failure = undefined;
    await bench.advance(2_000);
    expect(bench.engine.state.workspaces.size).toBe(0);
    expect((await bench.store.load()).used).toEqual([{ owner: 'ann', project: null, vmMs: 0 }]);
  });

  it('is known to the LRM’s list: a job of it that is there again is cancelled', async () => {
    const { bench } = await site(0);
    const { id } = await bench.create();
    await bench.engine.workspaces.destroy(id, 'ann');
    await bench.advance(1_000);
    bench.lrm.change('1', { state: 'cancelled' });
    await bench.advance(120_000);
    expect(bench.engine.state.slots.size).toBe(0);
    const before = bench.lrm.cancelled.length;
    bench.lrm.change('1', { state: 'running' });
    await bench.advance(2_000);
    expect(bench.lrm.cancelled.slice(before)).toEqual(['1']);
  });
});
