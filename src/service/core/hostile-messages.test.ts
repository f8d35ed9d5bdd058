import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { apiOver, type TestApi } from '../../../test/support/api.ts';
import { EngineBench, FakePilot, must } from '../../../test/support/engine.ts';
import { startedAt } from '../../../test/support/lease.ts';
import { contextStates, slotNodeStates, vmStates } from '../../protocol/states.ts';
import { latestMoment } from '../../protocol/units.ts';
import { readPilotMessage } from '../api/node/pilot-socket.ts';
import type { Commit } from '../store/store.ts';

/** Of what a pilot sends nothing throws, and whatever it has sent, every view still answers. */

let bench: EngineBench;
let api: Omit<TestApi, 'engine'>;
let workspaceId: string;
let slotId: string;
let vmIds: readonly string[];
beforeEach(async () => {
  bench = await new EngineBench().start();
  ({ id: workspaceId, slotId, vmIds } = await bench.create(2));
  api = await apiOver(bench.engine, bench.clock);
});
afterEach(async () => {
  await api.app.close();
  await bench.close();
});

const paths = (): readonly string[] => [
  '/v1/events',
  `/v1/events?workspace=${workspaceId}`,
  '/v1/workspaces',
  `/v1/workspaces/${workspaceId}`,
  `/v1/workspaces/${workspaceId}/timeline`,
  '/v1/slots',
  '/v1/nodes',
  '/v1/usage',
];

/**
 * Every view answers, to the owner and to an operator. Resolves with what `GET /v1/events` says to
 * the owner.
 */
async function everyViewAnswers(): Promise<{ events: { type: string; at: string }[]; next: number }> {
  for (const user of ['ann', 'olga'])
    for (const url of paths()) {
      const { statusCode, body } = await api.app.inject({ method: 'GET', url, headers: api.as(user) });
      expect({ user, url, statusCode, body }).toMatchObject({ statusCode: 200 });
    }
  return (await api.app.inject({ url: '/v1/events', headers: api.as('ann') })).json();
}

/** Feeds a text to the session as a socket does. Returns whether it is one of the protocol. */
function heard(pilot: FakePilot, text: string): boolean {
  const message = readPilotMessage(text, slotId, pilot.node);
  if (typeof message === 'string') return false;
  pilot.session.received(message);
  return true;
}

const notification = (seq: number, at: number, body: object): string =>
  JSON.stringify({ type: 'notification', seq, at, body }).replace('"at":null', '"at":1e300');

describe('what a pilot says', () => {
  it.each([9e15, 1e300, -1, 1.5, Number.MAX_SAFE_INTEGER + 2, latestMoment + 1])(
    'security 8: of a time that no calendar has (%d) is refused',
    async at => {
      const pilot = new FakePilot(bench.engine, slotId, 'n0');
      pilot.hello();
      for (const body of [
        { kind: 'node', state: 'reserving' },
        { kind: 'vm', report: { vmId: vmIds[0], state: 'running', context: 'ok' } },
      ])
        expect(heard(pilot, notification(1, at, body))).toBe(false);
      expect(
        heard(pilot, notification(1, startedAt, { kind: 'node', state: 'reserved', jobEndsAt: at })),
      ).toBe(false);
      await bench.settle();
      await everyViewAnswers();
    },
  );

  it.each([
    ['the beginning of time', 0],
    ['the year 5138', 1e14],
    ['the end of time', latestMoment],
    ['a day before the slot', startedAt - 86_400_000],
  ])('security 8: of %s has happened when it was heard', async (_what, at) => {
    const pilot = new FakePilot(bench.engine, slotId, 'n0');
    pilot.hello();
    expect(heard(pilot, notification(1, at, { kind: 'node', state: 'reserved', jobEndsAt: at }))).toBe(true);
    await bench.settle();
    const { events } = await everyViewAnswers();
    const reserved = events.find(({ type }) => type === 'node.reserved');
    expect(reserved?.at).toBe(new Date(startedAt).toISOString());
    const { jobEndsAt, walltimeMs } = bench.slot(slotId);
    expect(jobEndsAt).toBeGreaterThanOrEqual(startedAt);
    expect(jobEndsAt).toBeLessThanOrEqual(startedAt + walltimeMs + 900_000);
  });

  it('security 8: that an earlier version has stored is shown, by the service that is started again too', async () => {
    const about = { workspaceId, slotId, vmId: must(vmIds[0]), node: 'n0', reason: null };
    const slot = bench.slot(slotId);
    const vm = must(bench.engine.state.vms.get(about.vmId));
    const poison: Commit = {
      at: startedAt,
      workspaces: [],
      slots: [{ ...slot, jobEndsAt: 1e300, estimatedStartAt: -9e15, suspendedSince: 9e15 }],
      vms: [{ ...vm, reason: { code: '', message: '\u001b]0;x\u0007'.repeat(10_000) } }],
      events: [9e15, -9e15, 8.64e15 + 1].flatMap(at =>
        (['vm.running', 'vm.terminated', 'node.reserved'] as const).map(type => ({ ...about, type, at })),
      ),
      effects: [],
      retired: [],
      done: [],
      secrets: [],
      forgotten: [],
    };
    await bench.store.commit(poison);
    await everyViewAnswers();
    await bench.restart();
    await api.app.close();
    api = await apiOver(bench.engine, bench.clock);
    const { events, next } = await everyViewAnswers();
    expect(events.map(({ at }) => at)).toContain('9999-12-31T23:59:59.999Z');
    // The stream goes past them.
    const url = await api.listen();
    const stop = new AbortController();
    const { body } = await fetch(`${url}/v1/events/stream`, { headers: api.as('ann'), signal: stop.signal });
    let text = '';
    for await (const chunk of body ?? []) {
      text += new TextDecoder().decode(chunk);
      if (text.includes(`id: ${next}\n`)) break;
    }
    stop.abort();
    expect(text).toContain('9999-12-31');
  });
});

describe('words of a pilot', () => {
  it('security 26: are stored without what a terminal obeys', async () => {
    const pilot = new FakePilot(bench.engine, slotId, 'n0');
    pilot.hello();
    const reason = { code: 'x\u001b[2J', message: '\u001b]0;owned\u0007\u009b2J\u202e' };
    expect(heard(pilot, notification(1, startedAt, { kind: 'node', state: 'failed', reason }))).toBe(true);
    await bench.settle();
    const stored = await bench.engine.events({ after: 0, limit: 100 });
    const failed = stored.find(({ type }) => type === 'node.failed');
    expect(failed?.reason?.message).toContain('owned');
    expect(stored.map(event => event.reason?.message ?? '').join('')).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u);
  });
});

const number = fc.oneof(
  fc.constantFrom(0, -1, 1, 9e15, 1e300, -1e300, 0.5, latestMoment, latestMoment + 1, 2 ** 53, 2 ** 31),
  fc.integer({ min: startedAt - 1e9, max: startedAt + 1e9 }),
  fc.double(),
);
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom('', '\u001b[2J', '\ud800', '__proto__', 'x'.repeat(4_096), 'x'.repeat(5_000)),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 });
const orElse = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: fc.jsonValue() });

describe('whatever a pilot says', () => {
  /** Mostly of the protocol's shape, so that it gets far; some parts are anything. */
  function hostile(): fc.Arbitrary<unknown> {
    const reason = maybe(fc.record({ code: text, message: text }));
    const report = fc.record({
      vmId: orElse(fc.constantFrom(...vmIds, 'ws-zzzzzzzzzz.x-0')),
      state: orElse(fc.constantFrom(...vmStates)),
      context: orElse(fc.constantFrom(...contextStates)),
      reason,
    });
    const node = fc.record({
      kind: fc.constant('node'),
      state: orElse(fc.constantFrom(...slotNodeStates)),
      reason,
      address: maybe(text),
      jobEndsAt: maybe(number),
    });
    return fc.oneof(
      fc.record({
        type: fc.constant('notification'),
        seq: fc.oneof(fc.integer({ min: 1, max: 60 }), number),
        at: fc.oneof(fc.integer({ min: startedAt, max: startedAt + 60_000 }), number),
        body: orElse(fc.oneof(node, fc.record({ kind: fc.constant('vm'), report }))),
      }),
      fc.record({
        type: fc.constant('hello'),
        slotId: fc.constant(slotId),
        node: fc.constant('n0'),
        pilotVersion: text,
        address: fc.oneof(fc.constant('10.0.0.1'), text),
        vms: fc.array(orElse(report), { maxLength: 4 }),
      }),
      fc.record({ type: fc.constant('command-ack'), key: orElse(text) }),
      fc.record({ type: fc.constant('stream-error'), streamId: text, message: orElse(text) }),
      fc.jsonValue(),
    );
  }

  it('security 8: nothing throws, and every view still answers', async () => {
    const pilot = new FakePilot(bench.engine, slotId, 'n0');
    pilot.hello();
    await fc.assert(
      fc.asyncProperty(fc.array(hostile(), { minLength: 1, maxLength: 12 }), async messages => {
        for (const message of messages) heard(pilot, JSON.stringify(message) ?? '');
        await bench.settle();
        await everyViewAnswers();
        expect(bench.broken).toEqual([]);
        expect(bench.logged.filter(({ level }) => level === 'error')).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
