import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineBench, FakePilot, must } from '../../../test/support/engine.ts';

describe('the pilot hub', () => {
  let bench: EngineBench;
  let slotId: string;
  let workspaceId: string;
  let pilot: FakePilot;
  beforeEach(async () => {
    bench = await new EngineBench().start();
    ({ slotId, id: workspaceId } = await bench.create());
    pilot = new FakePilot(bench.engine, slotId, 'n0');
  });
  afterEach(() => bench.close());

  it('lets in the slot’s secret and nothing else', async () => {
    const [, secret] = must(
      [...(await bench.store.load()).secrets].find(([key]) => key === `slot:${slotId}`),
    );
    expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const { pilots } = bench.engine;
    expect(pilots.authenticate(slotId, secret)).toBe(true);
    for (const wrong of ['', 'x', `${secret}x`, secret.slice(1)])
      expect(pilots.authenticate(slotId, wrong)).toBe(false);
    expect(pilots.authenticate('slot-aaaaaaaaaa', secret)).toBe(false);
    expect(pilots.authenticate('slot-aaaaaaaaaa', '')).toBe(false);
  });

  it('original defect 6, answered before anything is durable: acknowledges only what is', async () => {
    pilot.hello();
    await bench.settle();
    expect(pilot.heard).toEqual([{ type: 'welcome', ackedSeq: 0, now: bench.clock.now(), protocol: 2 }]);
    bench.store.hold();
    pilot.notify({ kind: 'node', state: 'reserving' });
    pilot.notify({ kind: 'node', state: 'reserved' });
    await bench.settle();
    expect(pilot.acks).toEqual([]);
    bench.store.release();
    await bench.settle();
    expect(pilot.acks).toEqual([1, 2]);
    expect(bench.slot(slotId).nodes).toMatchObject([{ name: 'n0', state: 'reserved', appliedSeq: 2 }]);
  });

  it('passes a signal of the LRM on to the other pilots of the slot before it is stored', async () => {
    ({ slotId } = await bench.create(2));
    pilot = new FakePilot(bench.engine, slotId, 'n0');
    const other = new FakePilot(bench.engine, slotId, 'n1');
    pilot.hello();
    other.hello();
    await bench.settle();
    bench.store.hold();
    pilot.notify({ kind: 'node', state: 'preempting' });
    await bench.settle();
    expect(other.commands).toMatchObject([{ body: { kind: 'release', graceMs: 10_000 } }]);
    expect(pilot.heard.map(({ type }) => type)).toEqual(['welcome']);
    bench.store.release();
    await bench.settle();
    expect(bench.slot(slotId).state).toBe('preempting');
    // The scheduler's own signal comes there too: nobody is told twice, or of what he said himself.
    other.notify({ kind: 'node', state: 'preempting' });
    pilot.notify({ kind: 'node', state: 'releasing' });
    await bench.settle();
    expect([pilot.commands.length, other.commands.length]).toEqual([0, 1]);
  });

  it('passes on what is decided, once: the order has the same key when it is stored, and is pending until it is taken', async () => {
    ({ slotId } = await bench.create(2));
    const pilots = ['n0', 'n1', 'n2'].map(node => new FakePilot(bench.engine, slotId, node));
    const [first, second, later] = pilots;
    for (const each of [first, second]) each?.hello();
    await bench.settle();
    bench.store.hold();
    for (const each of [first, second]) each?.notify({ kind: 'node', state: 'preempting' });
    await bench.settle();
    expect(pilots.map(({ commands }) => commands.length)).toEqual([0, 1, 0]);
    bench.store.release();
    await bench.settle();
    const pending = (await bench.pendingEffects()).filter(({ kind }) => kind === 'pilot');
    expect(pending.map(({ key }) => key)).toEqual(second?.commands.map(({ key }) => key));
    // One that comes now hears it as well; who has not said that it was taken hears it again.
    later?.hello();
    second?.connect(bench.engine);
    second?.hello();
    await bench.settle();
    expect(pilots.map(({ commands }) => commands.length)).toEqual([0, 2, 1]);
    for (const { key } of second?.commands ?? []) second?.acknowledge(key);
    later?.notify({ kind: 'node', state: 'reserving' });
    await bench.settle();
    const left = (await bench.pendingEffects()).filter(({ kind }) => kind === 'pilot');
    expect(left.map(({ key }) => key)).toEqual(later?.commands.map(({ key }) => key));
  });

  it('original defect 7, handlers run unordered and nothing is replayed: a notification is applied once, and acknowledged each time', async () => {
    pilot.hello();
    await bench.settle();
    pilot.send(1, { kind: 'node', state: 'reserving' });
    await bench.settle();
    const history = await bench.engine.events({ after: 0, limit: 100 });
    pilot.connect(bench.engine);
    pilot.hello();
    pilot.send(1, { kind: 'node', state: 'reserving' });
    await bench.settle();
    expect(pilot.acks).toEqual([1, 1]);
    expect(pilot.heard.filter(({ type }) => type === 'welcome')).toMatchObject([
      { ackedSeq: 0 },
      { ackedSeq: 1 },
    ]);
    const types = (await bench.engine.events({ after: 0, limit: 100 })).map(({ type }) => type);
    expect(types.filter(type => type === 'node.reserving')).toHaveLength(1);
    expect(types.slice(0, history.length)).toEqual(history.map(({ type }) => type));
  });

  it('breaks off with a pilot whose message could not be stored, so that it comes again', async () => {
    pilot.hello();
    await bench.settle();
    bench.store.failure = new Error('disk full');
    pilot.notify({ kind: 'node', state: 'reserving' });
    await bench.settle();
    expect(pilot.acks).toEqual([]);
    expect(pilot.closedBecause).toContain('could not record');
    bench.store.failure = undefined;
    pilot.connect(bench.engine);
    pilot.hello();
    pilot.send(1, { kind: 'node', state: 'reserving' });
    await bench.settle();
    expect(pilot.acks).toEqual([1]);
  });

  it('wants hello first, and the right one', () => {
    pilot.notify({ kind: 'node', state: 'reserving' });
    expect(pilot.closedBecause).toContain('must be hello');
    const other = new FakePilot(bench.engine, slotId, 'n1');
    other.session.received({
      type: 'hello',
      slotId,
      node: 'n2',
      pilotVersion: '0',
      address: '10.0.0.1',
      vms: [],
    });
    expect(other.closedBecause).toContain('another slot or node');
  });

  it('sends a pilot away once, whatever it still has to say', async () => {
    pilot.hello();
    await bench.settle();
    bench.lrm.change('1', { state: 'failed' });
    await bench.advance(1_000);
    pilot.notify({ kind: 'node', state: 'releasing' });
    await bench.settle();
    expect(pilot.acks).toEqual([1]);
    expect(pilot.heard.filter(({ type }) => type === 'dismiss')).toHaveLength(1);
  });

  it('records a lost connection, but not one that a newer one has replaced', async () => {
    pilot.hello();
    await bench.settle();
    const older = pilot.session;
    pilot.connect(bench.engine);
    expect(pilot.closedBecause).toContain('newer connection');
    pilot.hello();
    older.closed();
    await bench.settle();
    expect(bench.slot(slotId).nodes).toMatchObject([{ connected: true }]);
    pilot.session.closed();
    await bench.settle();
    expect(bench.slot(slotId).nodes).toMatchObject([{ connected: false }]);
  });

  it('asks the LRM why a pilot has gone, but not one that had said nothing', async () => {
    // Until the LRM is asked now and then only.
    await bench.advance(60_000);
    const lists = bench.lrm.lists;
    pilot.session.closed();
    await bench.advance(200);
    expect(bench.lrm.lists).toBe(lists);
    pilot.connect(bench.engine);
    pilot.hello();
    await bench.settle();
    pilot.session.closed();
    await bench.advance(200);
    expect(bench.lrm.lists).toBeGreaterThan(lists);
  });

  it('reaches a pilot that has come again, though the end of its older connection is noticed afterwards', async () => {
    pilot.hello();
    await bench.settle();
    const older = pilot.session;
    pilot.connect(bench.engine);
    pilot.hello();
    await bench.settle();
    older.closed();
    const stream = bench.engine.pilots.openStream(slotId, 'n0', { kind: 'console', vmId: 'vm' });
    stream.catch(() => undefined);
    expect(pilot.heard.at(-1)).toMatchObject({ type: 'open-stream' });
    // The next end is that of the newer one.
    pilot.session.closed();
    await expect(stream).rejects.toMatchObject({ code: 'unreachable' });
  });

  it('does not take a pilot for connected that has gone while its hello was being stored', async () => {
    bench.store.hold();
    pilot.hello();
    await bench.settle();
    pilot.session.closed();
    bench.store.release();
    await bench.settle();
    expect(pilot.heard).toEqual([]);
    expect(bench.slot(slotId).nodes).toMatchObject([{ connected: false }]);
    expect(bench.logged.map(({ message }) => message)).not.toContain('pilot connected');
  });

  it('acknowledges in its welcome what this node has said, not what another has', async () => {
    ({ slotId } = await bench.create(2));
    const pilots = ['n0', 'n1'].map(node => new FakePilot(bench.engine, slotId, node));
    pilots[0]?.hello();
    for (const state of ['reserving', 'reserved'] as const) pilots[0]?.notify({ kind: 'node', state });
    await bench.settle();
    pilots[1]?.hello();
    await bench.settle();
    expect(pilots[1]?.heard[0]).toMatchObject({ type: 'welcome', ackedSeq: 0 });
    for (const each of pilots) each.connect(bench.engine);
    for (const each of pilots) each.hello();
    await bench.settle();
    expect(pilots.map(({ heard }) => heard.findLast(({ type }) => type === 'welcome'))).toMatchObject([
      { ackedSeq: 2 },
      { ackedSeq: 0 },
    ]);
  });

  it.each([
    ['10.0.0.1', true],
    // A proxy, or a network that translates: it may be that, and not the node, that has closed it.
    ['10.9.9.9', false],
    [undefined, false],
  ])(
    'report D: a node at 10.0.0.1 whose connection from %s is closed by the peer has hung up: %s',
    async (peerAddress, hungUp) => {
      pilot.connect(bench.engine, peerAddress);
      pilot.hello();
      await bench.settle();
      pilot.session.closed(true);
      await bench.settle();
      expect(bench.slot(slotId).nodes).toMatchObject([{ connected: false, hungUp }]);
    },
  );

  it('dismisses pilots of a slot that is over, those that are there and those that come', async () => {
    pilot.hello();
    await bench.settle();
    bench.lrm.change('1', { state: 'failed' });
    await bench.advance(1_000);
    expect(bench.slot(slotId).state).toBe('failed');
    expect(pilot.heard.at(-1)).toMatchObject({ type: 'dismiss' });
    const late = new FakePilot(bench.engine, slotId, 'n1');
    late.hello();
    await bench.settle();
    expect(late.heard).toMatchObject([
      { type: 'welcome', ackedSeq: 0 },
      { type: 'dismiss', message: 'the slot has ended' },
    ]);
  });

  describe('streams', () => {
    const target = { kind: 'console', vmId: 'ws-aaaaaaaaaa.w-0' } as const;
    const asked = (): string => {
      const message = pilot.heard.at(-1);
      if (message?.type !== 'open-stream') throw new Error('no open-stream');
      expect(message.target).toEqual(target);
      return message.streamId;
    };
    beforeEach(async () => {
      pilot.hello();
      await bench.settle();
    });

    it('are joined with who asked, once, and for the right slot only', async () => {
      const { pilots } = bench.engine;
      const opened = pilots.openStream(slotId, 'n0', target);
      const stream = new PassThrough();
      const streamId = asked();
      expect(pilots.acceptStream('slot-aaaaaaaaaa', streamId, stream)).toBe(false);
      expect(pilots.acceptStream(slotId, streamId, stream)).toBe(true);
      expect(await opened).toBe(stream);
      expect(pilots.acceptStream(slotId, streamId, stream)).toBe(false);
    });

    it('fail with the pilot’s reason, with the pilot, and at the deadline', async () => {
      const { pilots } = bench.engine;
      const failure = async (opened: Promise<unknown>, cause: () => unknown): Promise<unknown> => {
        const caught = opened.catch((error: unknown) => error);
        await cause();
        return caught;
      };
      expect(
        await failure(pilots.openStream(slotId, 'n0', target), () =>
          pilot.session.received({ type: 'stream-error', streamId: asked(), message: 'no such VM' }),
        ),
      ).toMatchObject({ code: 'unreachable', message: 'no such VM' });
      expect(
        await failure(pilots.openStream(slotId, 'n0', target), () => bench.advance(10_000)),
      ).toMatchObject({ code: 'timeout' });
      expect(
        await failure(pilots.openStream(slotId, 'n0', target), () => pilot.session.closed()),
      ).toMatchObject({ code: 'unreachable' });
      await expect(pilots.openStream(slotId, 'n0', target)).rejects.toMatchObject({ code: 'unreachable' });
    });

    it('are waited for when another node’s pilot has gone', async () => {
      const { pilots } = bench.engine;
      const other = new FakePilot(bench.engine, slotId, 'n1');
      other.hello();
      await bench.settle();
      const opened = pilots.openStream(slotId, 'n0', target);
      other.session.closed();
      await bench.settle();
      const stream = new PassThrough();
      expect(pilots.acceptStream(slotId, asked(), stream)).toBe(true);
      expect(await opened).toBe(stream);
    });

    it('are limited', async () => {
      const { pilots } = bench.engine;
      const opening = Array.from({ length: 256 }, () => pilots.openStream(slotId, 'n0', target));
      const outcomes = Promise.allSettled(opening);
      await expect(pilots.openStream(slotId, 'n0', target)).rejects.toMatchObject({ code: 'busy' });
      pilot.session.closed();
      expect((await outcomes).every(({ status }) => status === 'rejected')).toBe(true);
    });
  });

  describe('security 9: a pilot that floods', () => {
    const flood = (count: number, vmId: string): void => {
      for (let index = 0; index < count; index++)
        pilot.notify({
          kind: 'vm',
          report: { vmId, state: 'running', context: index % 2 === 0 ? 'ok' : 'error' },
        });
    };

    it('does not stand in front of others', async () => {
      pilot.hello();
      await bench.settle();
      flood(1_500, must(bench.workspace(workspaceId).vmIds[0]));
      let before = 0;
      const created = bench.create().then(() => {
        before = pilot.acks.length;
      });
      await bench.settle();
      await created;
      expect(before).toBeLessThan(1_500);
      const inBatch = (at: number): number => must(bench.store.commits[at]).events.length;
      expect(Math.max(...bench.store.commits.map((_, at) => inBatch(at)))).toBeLessThan(64);
      await bench.settle();
    });

    it('is not read on until there is room for more of it, and loses nothing', async () => {
      pilot.hello();
      await bench.settle();
      bench.store.hold();
      flood(1_000, must(bench.workspace(workspaceId).vmIds[0]));
      await bench.settle();
      expect(pilot.isPaused).toBe(true);
      bench.store.release();
      for (let turn = 0; turn < 100 && pilot.isPaused; turn++) await bench.settle();
      expect(pilot.isPaused).toBe(false);
      expect(pilot.acks).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1));
    });

    it('has a rate in the long run, also over several connections', async () => {
      pilot.hello();
      await bench.settle();
      const vmId = must(bench.workspace(workspaceId).vmIds[0]);
      flood(10_000, vmId);
      for (let turn = 0; turn < 100; turn++) await bench.settle();
      const first = pilot.acks.length;
      expect(first).toBeLessThan(4_100);
      pilot.session.closed();
      pilot.connect(bench.engine);
      pilot.hello();
      flood(1_000, vmId);
      for (let turn = 0; turn < 100; turn++) await bench.settle();
      expect(pilot.acks.length - first).toBeLessThan(100);
      await bench.advance(10_000);
      expect(pilot.acks.length - first).toBeGreaterThan(100);
      expect(pilot.acks.length - first).toBeLessThan(300);
    });

    it('with all that its hellos tell of is not heard until it has been quiet for as long', async () => {
      pilot.hello();
      await bench.settle();
      pilot.connect(bench.engine);
      const vmId = must(bench.workspace(workspaceId).vmIds[0]);
      pilot.hello(Array.from({ length: 2_200 }, () => ({ vmId, state: 'running', context: 'ok' })));
      pilot.notify({ kind: 'node', state: 'reserving' });
      await bench.settle();
      expect(pilot.acks).toEqual([]);
      await bench.advance(15_000);
      expect(pilot.acks).toEqual([1]);
    });

    it.each([
      ['none', () => 'ws-zzzzzzzzzz.x-0'],
      ["another slot's", async () => must(bench.workspace((await bench.create()).id).vmIds[0])],
    ])('with reports about VMs that are %s is not heard, and answered in its turn', async (_whose, vm) => {
      const vmId = await vm();
      pilot.hello();
      await bench.settle();
      const before = bench.store.commits.length;
      flood(500, vmId);
      for (let turn = 0; turn < 20; turn++) await bench.settle();
      expect(pilot.acks).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
      expect(bench.store.commits.length - before).toBeLessThan(20);
      expect(bench.slot(slotId).nodes[0]?.appliedSeq).toBeLessThan(20);
      expect(bench.logged.map(({ message }) => message)).toContain(
        "reports about VMs that are not the slot's are dropped",
      );
    });

    it('with hellos and farewells does not have the LRM asked each time', async () => {
      const lists = bench.lrm.lists;
      for (let round = 0; round < 500; round++) {
        pilot.hello();
        await bench.settle();
        pilot.session.closed();
        await bench.clock.advanceBy(100);
        pilot.connect(bench.engine);
      }
      expect(bench.lrm.lists - lists).toBeLessThan(150);
    });

    it('under more and more names does not have the LRM asked for each of them', async () => {
      const lists = bench.lrm.lists;
      for (let round = 0; round < 500; round++) {
        const other = new FakePilot(bench.engine, slotId, `x${round}`);
        other.hello();
        await bench.settle();
        other.session.closed();
        await bench.clock.advanceBy(100);
      }
      expect(bench.lrm.lists - lists).toBeLessThan(150);
    });
  });

  it('security 9: has room for hundreds of nodes that report all at once', async () => {
    bench.lrm.caps = { ...bench.lrm.caps, nodes: 1_000 };
    await bench.restart();
    const group = { name: 'w', image: 'mini', count: 200, memoryMiB: 256, cpus: 1, networks: [] };
    const { slotId: large } = await bench.create(1, { groups: [group] });
    const pilots = Array.from({ length: 200 }, (_, index) => new FakePilot(bench.engine, large, `n${index}`));
    for (const each of pilots) {
      each.hello();
      each.notify({ kind: 'node', state: 'reserving' });
      each.notify({ kind: 'node', state: 'reserved' });
    }
    for (let turn = 0; turn < 20; turn++) await bench.settle();
    expect(bench.slot(large).state).toBe('ready');
    for (const each of pilots)
      for (const { body } of each.commands)
        if (body.kind === 'start-vm')
          for (const state of ['propagating', 'starting', 'running'] as const) each.vm(body.vm.vmId, state);
    for (let turn = 0; turn < 20; turn++) await bench.settle();
    expect(pilots.every(({ isPaused }) => !isPaused)).toBe(true);
    expect([...bench.engine.state.workspaces.values()].map(({ state }) => state)).toContain('running');
  });

  it('security 18: sends a pilot away that is on none of the slot’s nodes, without taking what it says, until the LRM names it', async () => {
    pilot.hello();
    await bench.settle();
    const job = must(bench.lrm.jobs[0]).jobId;
    bench.lrm.change(job, { state: 'running', nodes: ['n0'] });
    await bench.advance(1_000);
    const other = new FakePilot(bench.engine, slotId, 'n7');
    other.hello();
    other.notify({ kind: 'node', state: 'reserved' });
    await bench.settle();
    expect(other.closedBecause).toContain('has not given the slot this node');
    expect([other.acks, other.heard]).toEqual([[], []]);
    bench.lrm.change(job, { nodes: ['n7'] });
    await bench.advance(1_000);
    other.connect(bench.engine);
    other.hello();
    other.send(1, { kind: 'node', state: 'reserved' });
    await bench.settle();
    expect(other.acks).toEqual([1]);
  });
});
