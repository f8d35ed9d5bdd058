import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { testApi, type TestApi } from '../../test/support/api.ts';
import { type CutProxy, startCutProxy } from '../../test/support/cut-proxy.ts';
import { EngineBench, must } from '../../test/support/engine.ts';
import type { WorkspaceControl } from '../control/control.ts';
import { type Clock, systemClock } from '../platform/clock.ts';
import { silentLog } from '../platform/log.ts';
import { createVirtualClock } from '../platform/virtual-clock.ts';
import type { PilotMessage, ServiceMessage, SlotAssignment, VmReport } from '../protocol/pilot.ts';
import { memoryJournal, type NotificationJournal } from './journal.ts';
import { PilotSession } from './session.ts';
import { type Link, NotAcceptedError, type Transport } from './transport.ts';

/** A transport under test. */
export interface TransportUnderTest {
  /** The port on the loopback where its way to the service at this URL begins. */
  begin(serviceUrl: string): number;
  /** The transport, dialling `port` instead: a proxy before the place where its way begins. */
  make(assignment: SlotAssignment, node: string, port: number, clock: Clock): Transport;
}

const node = 'n0';
const soon = { timeout: 10_000 };
const target = { kind: 'console', vmId: 'x' } as const;

/** What every transport must do, before the service's real API, hub and core. */
export function transportContract(name: string, open: () => TransportUnderTest): void {
  let bench: EngineBench;
  let api: TestApi;
  let proxy: CutProxy;
  let assignment: SlotAssignment;
  const links: Link[] = [];

  beforeEach(async () => {
    bench = await new EngineBench().start();
    await bench.create();
    api = await testApi();
    // All else of the engine is not asked for here.
    Object.assign(api.engine, { pilots: bench.engine.pilots });
    const serviceUrl = await api.listen();
    proxy = await startCutProxy(open().begin(serviceUrl));
    const [, json = ''] =
      /^globalThis\.wspAssignment=(.*);$/m.exec(bench.lrm.submitted[0]?.program ?? '') ?? [];
    assignment = { ...(JSON.parse(json) as SlotAssignment), serviceUrl };
  });
  afterEach(async () => {
    for (const link of links.splice(0)) link.close();
    await api.app.close();
    await proxy.close();
    await bench.close();
  });

  const transport = (changes: Partial<SlotAssignment> = {}, clock: Clock = systemClock): Transport =>
    open().make({ ...assignment, ...changes }, node, proxy.port, clock);
  const slotNode = () => bench.slot(assignment.slotId).nodes.find(each => each.name === node);
  const connected = async (made = transport()) => {
    const heard: ServiceMessage[] = [];
    const closed: string[] = [];
    const link = await made.connect({ message: one => heard.push(one), closed: why => closed.push(why) });
    links.push(link);
    return { link, heard, closed, made };
  };
  const hello = (vms: VmReport[] = []): PilotMessage => ({
    type: 'hello',
    slotId: assignment.slotId,
    node,
    pilotVersion: '1',
    address: '127.0.0.1',
    vms,
  });
  const greeted = async (made?: Transport) => {
    const pilot = await connected(made);
    pilot.link.send(hello());
    await vi.waitUntil(() => pilot.heard.length > 0, soon);
    return pilot;
  };
  const notification = (seq: number): PilotMessage => ({
    type: 'notification',
    seq,
    at: 1,
    body: { kind: 'node', state: 'reserving' },
  });
  /** Both ends of a stream. */
  const streams = async (): Promise<readonly [Duplex, Duplex]> => {
    const { heard, made } = await greeted();
    const service = bench.engine.pilots.openStream(assignment.slotId, node, target);
    await vi.waitUntil(() => heard.some(({ type }) => type === 'open-stream'), soon);
    const { streamId } = must(heard.find(message => message.type === 'open-stream'));
    const pilot = await made.openStream(streamId);
    return [await service, pilot];
  };

  describe(`transport contract: ${name}`, () => {
    it('carries messages both ways, in order, and says where the node is', async () => {
      const { link, heard } = await greeted();
      expect(heard).toEqual([{ type: 'welcome', ackedSeq: 0, now: expect.any(Number), protocol: 2 }]);
      expect(link.localAddress).toBe('127.0.0.1');
      const seqs = Array.from({ length: 100 }, (_, index) => index + 1);
      for (const seq of seqs) link.send(notification(seq));
      await vi.waitUntil(() => heard.length > 100, soon);
      expect(heard.slice(1)).toEqual(seqs.map(seq => ({ type: 'ack', seq })));
      expect(slotNode()?.appliedSeq).toBe(100);
    });

    it('carries the largest message there is, and closes for both when the pilot closes', async () => {
      const { link, heard } = await connected();
      const reason = { code: 'x', message: 'ü'.repeat(3_500) };
      const vms = Array.from({ length: 256 }, (_, index) => ({
        vmId: `ws-aaaaaaaaaa.w-${index}`,
        state: 'running' as const,
        context: 'ok' as const,
        reason,
      }));
      link.send(hello(vms));
      await vi.waitUntil(() => heard.length > 0, soon);
      expect(heard[0]?.type).toBe('welcome');
      expect(slotNode()?.connected).toBe(true);
      link.close();
      await vi.waitUntil(() => slotNode()?.connected === false, soon);
    });

    it('closes for both when the service closes, or is told what is no message, and says why', async () => {
      const first = await greeted();
      const second = await greeted();
      await vi.waitUntil(() => first.closed.length > 0, soon);
      expect(first.closed).toEqual([
        expect.stringContaining('a newer connection of this pilot has taken over'),
      ]);
      expect(second.closed).toEqual([]);
      expect(slotNode()?.connected).toBe(true);
      second.link.send({ type: 'other' } as never);
      await vi.waitUntil(() => second.closed.length > 0, soon);
      expect(second.closed).toEqual([expect.stringContaining('a message is not one of the protocol')]);
    });

    it("notices the service's end, and the end of the way to it, once", async () => {
      const one = await greeted();
      proxy.behave('refuse');
      proxy.cut();
      await vi.waitUntil(() => one.closed.length > 0, soon);
      await vi.waitUntil(() => slotNode()?.connected === false, { timeout: 20_000 });
      await expect(
        transport().connect({ message: () => undefined, closed: () => undefined }),
      ).rejects.toBeInstanceOf(Error);
      proxy.behave('pass');
      const other = await greeted();
      await api.app.close();
      await vi.waitUntil(() => other.closed.length > 0, soon);
      expect([one.closed.length, other.closed.length]).toEqual([1, 1]);
    });

    it('tells a refused secret from a service that is not there', async () => {
      const handlers = { message: () => undefined, closed: () => undefined };
      const refused = transport({ secret: 'another-secret-of-a-slot' }).connect(handlers);
      await expect(refused).rejects.toBeInstanceOf(NotAcceptedError);
      proxy.behave('refuse');
      const away: unknown = await transport()
        .connect(handlers)
        .catch((cause: unknown) => cause);
      expect(away).toBeInstanceOf(Error);
      expect(away).not.toBeInstanceOf(NotAcceptedError);
    });

    it('does not wait for ever for a host that takes the connection and says nothing', async () => {
      proxy.behave('silent');
      const clock = createVirtualClock(0);
      const attempt = transport({}, clock).connect({ message: () => undefined, closed: () => undefined });
      const outcome = attempt.then(
        () => 'connected',
        () => 'rejected',
      );
      await vi.waitUntil(() => proxy.accepted > 0, soon);
      await clock.advanceBy(60_000);
      expect(await outcome).toBe('rejected');
    });

    it('carries bytes both ways, more than any buffer holds, and ends each direction by itself', async () => {
      const [service, pilot] = await streams();
      const bytes = Buffer.alloc(3 * 1024 * 1024, 'wsp-');
      const [there, back] = [bytesOf(pilot), bytesOf(service)];
      pilot.write(bytes);
      service.end(bytes);
      expect((await there).equals(bytes)).toBe(true);
      pilot.end(bytes);
      expect((await back).equals(Buffer.concat([bytes, bytes]))).toBe(true);
    });

    it('holds back who writes what nobody reads', async () => {
      const [service, pilot] = await streams();
      let written = 0;
      const chunk = Buffer.alloc(1024 * 1024);
      for (let count = 0; count < 64; count++) pilot.write(chunk, () => (written += chunk.length));
      await vi.waitUntil(() => service.readableLength > 0, soon);
      expect(written).toBeLessThan(16 * chunk.length);
      for (const end of [service, pilot]) end.on('error', () => undefined);
      const closed = new Promise(resolve => pilot.once('close', resolve));
      service.destroy();
      await closed;
    });

    it('brings a stream through a cut whole, or breaks it: never a quiet end', async () => {
      const [service, pilot] = await streams();
      const bytes = Buffer.alloc(4 * 1024 * 1024, 'wsp-');
      pilot.on('error', () => undefined);
      const arrived = bytesOf(service).then(
        whole => whole.equals(bytes),
        () => 'broken',
      );
      service.once('data', () => proxy.cut());
      pilot.end(bytes);
      expect([true, 'broken']).toContain(await arrived);
    });

    it('loses and doubles nothing when it is cut again and again', async () => {
      const seen = watchHub(bench);
      const pilot = startSession(transport(), assignment);
      const [vmId = ''] = bench.engine.state.vms.keys();
      const cuts = 3;
      for (let cut = 1; cut <= cuts; cut++) {
        for (let count = 0; count < 20; count++) pilot.report(vmId);
        await vi.waitUntil(() => seen.size >= cut * 5, soon);
        proxy.cut();
      }
      for (let count = 0; count < 20; count++) pilot.report(vmId);
      await vi.waitUntil(() => pilot.unacknowledged() === 0, { timeout: 20_000 });
      const all = pilot.notified();
      expect(slotNode()?.appliedSeq).toBe(all);
      expect([...seen].toSorted((one, other) => one - other)).toEqual(
        Array.from({ length: all }, (_, index) => index + 1),
      );
      const events = await bench.engine.events({ after: 0, limit: 1_000 });
      expect(events.filter(({ type }) => type === 'node.reserved')).toHaveLength(1);
      expect(pilot.started).toEqual([expect.stringMatching(/w-0$/)]);
      await pilot.leave();
    });
  });
}

/** All that comes until its end; node:stream/consumers would close the other direction too. */
function bytesOf(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', () => resolve(Buffer.concat(chunks)));
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('closed without an end')));
  });
}

/** Numbers of the notifications that have come in. */
function watchHub({ engine }: EngineBench): Set<number> {
  const seen = new Set<number>();
  const { pilots } = engine;
  const attach = pilots.attach.bind(pilots);
  pilots.attach = (slotId, name, connection) => {
    const session = attach(slotId, name, connection);
    return {
      received(message) {
        if (message.type === 'notification') seen.add(message.seq);
        session.received(message);
      },
      closed: () => session.closed(),
    };
  };
  return seen;
}

/** A real pilot's session with a control that does nothing but count. */
function startSession(transport: Transport, assignment: SlotAssignment) {
  const journal = memoryJournal();
  const started: string[] = [];
  let notified = 0;
  let report: (report: VmReport) => void = () => undefined;
  const counting: NotificationJournal = {
    acknowledge: seq => journal.acknowledge(seq),
    unacknowledged: () => journal.unacknowledged(),
    append: (...args: Parameters<typeof journal.append>) => {
      notified += 1;
      return journal.append(...args);
    },
  };
  const control: WorkspaceControl = {
    reserve: () => Promise.resolve(),
    orders: {
      'start-vm': ({ vm }) => started.push(vm.vmId),
      'stop-vm': () => undefined,
      'operate-vm': () => undefined,
      'set-peers': () => undefined,
      'tell-guest': () => undefined,
    },
    release: () => Promise.resolve(),
    reports: () => [],
    openStream: () => Promise.reject(new Error('none')),
  };
  const session = new PilotSession({
    assignment,
    node,
    jobEndsAt: systemClock.now() + 3_600_000,
    clock: systemClock,
    log: silentLog,
    journal: counting,
    transport,
    makeControl: given => {
      report = given;
      return control;
    },
    version: 'test',
  });
  const over = session.run();
  return {
    started,
    /** Of a VM of the slot's: of others the hub takes a few only. */
    report: (vmId: string) => report({ vmId, state: 'running', context: 'ok' }),
    notified: () => notified,
    unacknowledged: () => journal.unacknowledged().length,
    leave() {
      session.preempt('SIGTERM');
      return over;
    },
  };
}
