import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { world } from '../../test/support/pilot-session.ts';
import { ControlError } from '../control/control.ts';
import { pause } from '../platform/clock.ts';
import { createVirtualClock, settle } from '../platform/virtual-clock.ts';
import type { VmPlan } from '../protocol/plan.ts';

describe('PilotSession, in particular', () => {
  it('says hello with who it is and what runs, and that the node is reserved until when', async () => {
    const w = world();
    void w.session.run();
    await settle();
    expect(w.sent[0]).toEqual({
      type: 'hello',
      slotId: 'slot-aaaaaaaaaa',
      node: 'n01',
      pilotVersion: 'test',
      protocol: 2,
      features: ['statistics'],
      address: '10.0.0.1',
      vms: [{ vmId: 'ws-aaaaaaaaaa.w-0', state: 'running', context: 'ok' }],
    });
    expect(w.bodies()).toEqual([
      { kind: 'node', state: 'reserving' },
      { kind: 'node', state: 'reserved', jobEndsAt: 601_000 },
    ]);
  });

  it.each([
    [undefined, true],
    [1, true],
    [3, true],
    [4, false],
  ])(
    'stays with a service of protocol %s: %s; with another it keeps its VMs and comes again',
    async (protocol, stays) => {
      const clock = createVirtualClock(1_000);
      const w = world({ clock });
      w.state.protocol = protocol;
      void w.session.run();
      await clock.advanceBy(0);
      expect(w.done).toEqual(stays ? [] : ['link closed']);
      w.drop();
      await clock.advanceBy(5_000);
      expect(w.attemptsAt).toEqual(stays ? [1_000, 1_100] : [1_000, 6_000]);
    },
  );

  it('forgets what the welcome says that the service has', async () => {
    const w = world({ acknowledge: false });
    void w.session.run();
    await settle();
    w.state.ackedSeq = 1;
    for (let time = 0; time < 2; time += 1) {
      w.sent.length = 0;
      w.drop();
      w.fire(100);
      await settle();
    }
    expect(w.sent.flatMap(m => (m.type === 'notification' ? [m.seq] : []))).toEqual([2]);
  });

  it('stays, however long, when it has reached the service once', async () => {
    const w = world();
    void w.session.run();
    await settle();
    w.state.reachable = false;
    w.drop();
    w.fire(120_000);
    await settle();
    expect(w.done).toEqual([]);
  });

  it('tries to reach the service at longer and longer distances, to a bound', async () => {
    const clock = createVirtualClock(0);
    const w = world({ clock, reachable: false });
    void w.session.run();
    await clock.advanceBy(20_000);
    expect(w.attemptsAt).toEqual([0, 100, 300, 700, 1_500, 3_100, 6_300, 11_300, 16_300]);
  });

  it('is over when it has left: no timer, no word, no other connection', async () => {
    const clock = createVirtualClock(1_000);
    const w = world({ clock });
    const code = w.session.run();
    await clock.advanceBy(0);
    w.say({ type: 'command', key: 'r', body: { kind: 'release', graceMs: 0 } });
    expect(await code).toBe(0);
    expect(clock.nextAt()).toBeUndefined();
    const [words, what] = [w.sent.length, w.done.length];
    w.session.preempt('SIGTERM');
    w.drop();
    await clock.advanceBy(60_000);
    expect([w.sent.length, w.done.length, w.attemptsAt.length]).toEqual([words, what, 1]);
  });

  it('starts nothing more while it releases, and says that it has heard the order', async () => {
    const w = world({ release: () => new Promise(() => undefined) });
    void w.session.run();
    await settle();
    w.say({ type: 'dismiss', message: 'the slot has ended' });
    const vm = { vmId: 'ws-bbbbbbbbbb.w-0' } as VmPlan;
    w.say({ type: 'command', key: 's', body: { kind: 'start-vm', vm } });
    expect(w.done.filter(what => what.startsWith('start'))).toEqual([]);
    expect(w.sent.at(-1)).toEqual({ type: 'command-ack', key: 's' });
  });

  it('tells guests that are up, and no others, that they have less time', async () => {
    for (const vmState of ['failed', 'starting', 'paused'] as const) {
      const w = world({ vmState, release: () => new Promise(() => undefined) });
      void w.session.run();
      await settle();
      w.say({ type: 'command', key: 'r', body: { kind: 'release', graceMs: 7 } });
      expect(w.done).toEqual(vmState === 'failed' ? [] : ['stop ws-aaaaaaaaaa.w-0 7']);
    }
  });

  it('says of everything when it was', async () => {
    const clock = createVirtualClock(1_000);
    const w = world({ clock, release: () => pause(clock, 20) });
    const code = w.session.run();
    await clock.advanceBy(0);
    await clock.advanceBy(10);
    w.report({ vmId: 'ws-aaaaaaaaaa.w-0', state: 'running', context: 'ok' }, 1_003);
    w.session.preempt('SIGTERM');
    await clock.advanceBy(5);
    w.report({ vmId: 'ws-aaaaaaaaaa.w-0', state: 'stopping', context: 'ok' });
    await clock.advanceBy(5);
    w.report({ vmId: 'ws-aaaaaaaaaa.w-0', state: 'terminated', context: 'ok' }, 1_018);
    w.session.preempt('SIGUSR1');
    await clock.advanceBy(20);
    expect(await code).toBe(0);
    const times = w.sent.flatMap(m => (m.type === 'notification' ? [[m.body.kind, m.at]] : []));
    expect(times).toEqual([
      ['node', 1_000],
      ['node', 1_000],
      ['vm', 1_003],
      ['node', 1_010],
      ['node', 1_010],
      ['vm', 1_015],
      ['vm', 1_018],
      ['node', 1_030],
    ]);
  });

  it.each<[unknown, object]>([
    [new Error('no helper'), { code: 'internal', message: 'no helper' }],
    [Object.assign(new Error('no space'), { code: 'ENOSPC' }), { code: 'ENOSPC', message: 'no space' }],
    [Object.assign(new Error('odd'), { code: 7 }), { code: 'internal', message: 'odd' }],
    ['words', { code: 'internal', message: 'words' }],
    [new ControlError('disk_full', 'x'.repeat(100_000)), { code: 'disk_full' }],
  ])('says why its node could not be reserved, in a message that can be sent', async (cause, reason) => {
    const w = world({ reserve: () => Promise.reject(cause) });
    const code = w.session.run();
    await settle();
    w.fire(200);
    expect(await code).toBe(1);
    expect(w.bodies().at(-1)).toMatchObject({ state: 'failed', reason });
    expect(JSON.stringify(w.sent.at(-1)).length).toBeLessThan(10_000);
  });

  it('joins a stream with the guest that was asked for', async () => {
    const guest = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const asked: unknown[] = [];
    const w = world({
      openStream: target => {
        asked.push(target);
        return Promise.resolve(guest);
      },
    });
    void w.session.run();
    await settle();
    const target = { kind: 'console', vmId: 'ws-aaaaaaaaaa.w-0' } as const;
    w.say({ type: 'open-stream', streamId: 's1', target });
    await settle();
    expect([asked, w.done]).toEqual([[target], ['stream s1']]);
    guest.push('login: ');
    await settle();
    expect(w.brought).toEqual(['login: ']);
    expect(w.sent.map(({ type }) => type)).not.toContain('stream-error');
  });
});
