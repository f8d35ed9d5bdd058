import { beforeEach, describe, expect, it } from 'vitest';
import { countingRandom } from '../../../test/support/engine.ts';
import type { PilotEffect } from '../../lease/decision.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { SiteState } from '../../lease/model.ts';
import { type Log, silentLog } from '../../platform/log.ts';
import { createVirtualClock, settle, type VirtualClock } from '../../platform/virtual-clock.ts';
import type { PilotHello, PilotMessage, ServiceMessage } from '../../protocol/pilot.ts';
import { PilotCommands } from './commands.ts';
import { Hub } from './hub.ts';
import { StreamWaitingRoom } from './streams.ts';

/** A hub with nothing behind it but what the test says; before an engine in hub.test.ts. */

interface StubSlot {
  id: string;
  state: string;
  nodesWanted: number;
  nodes: { name: string; appliedSeq: number }[];
}

let clock: VirtualClock;
let slot: StubSlot;
let vms: Map<string, { slotId: string }>;
let submitted: LeaseInput[];
let outcome: () => Promise<unknown>;
let gone: string[];
let logged: string[];
let commands: PilotCommands;
let hub: Hub;
beforeEach(() => {
  clock = createVirtualClock(1_000);
  slot = {
    id: 'slot-a',
    state: 'ready',
    nodesWanted: 2,
    nodes: ['n0', 'n1'].map(name => ({ name, appliedSeq: 7 })),
  };
  vms = new Map([['vm-own', { slotId: 'slot-a' }]]);
  [submitted, gone, logged] = [[], [], []];
  outcome = () => Promise.resolve();
  const log: Log = {
    ...silentLog,
    warn: message => void logged.push(message),
    info: message => void logged.push(message),
    with: () => log,
  };
  commands = new PilotCommands({ log, orderOf: ({ order }) => order as never, done: () => undefined });
  hub = new Hub({
    clock,
    log,
    state: () => ({ slots: new Map([['slot-a', slot]]), vms }) as unknown as SiteState,
    slotSecret: id => (id === 'slot-a' ? 'secret' : undefined),
    submit: input => {
      submitted.push(input);
      return outcome();
    },
    commands,
    streams: new StreamWaitingRoom(clock, countingRandom()),
    pilotGone: slotId => void gone.push(slotId),
  });
});

function pilot(node = 'n0', slotId = 'slot-a') {
  const heard: ServiceMessage[] = [];
  const closed: string[] = [];
  const session = hub.attach(slotId, node, {
    peerAddress: '10.0.0.1',
    send: message => heard.push(message),
    close: why => closed.push(why),
  });
  const say = async (...messages: readonly PilotMessage[]): Promise<void> => {
    for (const message of messages) session.received(message);
    await settle();
  };
  const greeting: PilotHello = {
    type: 'hello',
    slotId,
    node,
    pilotVersion: '1',
    address: '10.0.0.1',
    vms: [],
  };
  return { heard, closed, session, say, hello: () => say(greeting), greeting };
}

const report = (seq: number, vmId = 'vm-own'): PilotMessage => ({
  type: 'notification',
  seq,
  at: 1_000,
  body: { kind: 'vm', report: { vmId, state: 'running', context: 'ok' } },
});
const types = (of: { readonly type: string }[]): string[] => of.map(({ type }) => type);
const order = (node: string, key = 'k'): PilotEffect => ({
  kind: 'pilot',
  key,
  slotId: 'slot-a',
  node,
  order: { kind: 'stop-vm', vmId: 'vm-own', graceMs: 0 },
});
const console_ = { kind: 'console', vmId: 'vm-own' } as const;

describe('a pilot that says hello', () => {
  it('is recorded as where it is, and welcomed with what of it is durable, and its orders', async () => {
    commands.add(order('n0'));
    const { hello, heard, session } = pilot();
    await hello();
    expect(submitted).toEqual([
      { type: 'pilot.connected', slotId: 'slot-a', node: 'n0', address: '10.0.0.1', vms: [] },
    ]);
    expect(heard).toEqual([
      { type: 'welcome', ackedSeq: 7, now: 1_000, protocol: 2 },
      { type: 'command', key: 'k', body: order('n0').order },
    ]);
    expect(logged).toEqual(['pilot connected']);
    session.closed();
    expect(submitted.at(-1)).toEqual({
      type: 'pilot.disconnected',
      slotId: 'slot-a',
      node: 'n0',
      hungUp: false,
    });
    expect(gone).toEqual(['slot-a']);
    session.closed();
    expect([submitted.length, gone.length]).toEqual([2, 1]);
  });

  it.each([
    [undefined, true],
    [1, true],
    [3, true],
    [4, false],
  ])('of protocol %s is welcome: %s', async (protocol, isWelcome) => {
    const one = pilot();
    await one.say(protocol === undefined ? one.greeting : { ...one.greeting, protocol });
    expect(types(one.heard)).toEqual(isWelcome ? ['welcome'] : []);
    expect(one.closed).toEqual(
      isWelcome
        ? []
        : ['the pilot on n0 speaks protocol 4 and this end protocols 1 and 2: this end is to be upgraded'],
    );
    expect(submitted).toHaveLength(isWelcome ? 1 : 0);
  });

  it('is not reached before that is durable', async () => {
    let stored = (): void => undefined;
    outcome = () => new Promise<void>(resolve => (stored = resolve));
    const { hello, heard } = pilot();
    await hello();
    commands.add(order('n0'));
    await expect(hub.openStream('slot-a', 'n0', console_)).rejects.toMatchObject({ code: 'unreachable' });
    expect(heard).toEqual([]);
    stored();
    await settle();
    expect(types(heard)).toEqual(['welcome', 'command']);
    hub.openStream('slot-a', 'n0', console_).catch(() => undefined);
    expect(types(heard)).toEqual(['welcome', 'command', 'open-stream']);
    await expect(hub.openStream('slot-a', 'n1', console_)).rejects.toMatchObject({ code: 'unreachable' });
    await expect(hub.openStream('slot-b', 'n0', console_)).rejects.toMatchObject({ code: 'unreachable' });
  });

  it('is asked only for what it has said that it can do', async () => {
    const statistics = { kind: 'statistics', vmId: 'vm-own' } as const;
    const { hello, heard, say, greeting } = pilot();
    await hello();
    await expect(hub.openStream('slot-a', 'n0', statistics)).rejects.toMatchObject({
      code: 'unreachable',
      message: 'the pilot on n0 is of a version that tells no statistics',
    });
    expect(types(heard)).toEqual(['welcome']);
    await say({ ...greeting, features: ['something-new', 'statistics'] });
    hub.openStream('slot-a', 'n0', statistics).catch(() => undefined);
    expect(types(heard)).toEqual(['welcome', 'welcome', 'open-stream']);
  });

  it.each(['released', 'failed', undefined])('is sent away from a slot that is %s', async state => {
    if (state === undefined) slot = { ...slot, id: 'slot-other' };
    else slot.state = state;
    const nobody = state === undefined ? pilot('n0', 'slot-b') : pilot();
    await nobody.hello();
    expect(nobody.heard.at(-1)).toEqual({ type: 'dismiss', message: 'the slot has ended' });
    expect(nobody.heard).toHaveLength(2);
    expect(logged).toEqual([]);
  });

  it('is sent away, and not welcomed, when its slot ends as it is recorded', async () => {
    outcome = () => {
      slot.state = 'failed';
      hub.slotOver('slot-a');
      return Promise.resolve();
    };
    const { hello, heard } = pilot();
    await hello();
    expect(heard).toEqual([{ type: 'dismiss', message: 'the slot has ended' }]);
  });

  it('is not taken for another slot’s or node’s, and is not counted on then', async () => {
    for (const wrong of [{ slotId: 'slot-b' }, { node: 'n1' }]) {
      const { say, greeting, closed } = pilot();
      await say({ ...greeting, ...wrong });
      expect(closed).toEqual(['hello names another slot or node']);
    }
    expect([submitted, gone]).toEqual([[], []]);
  });

  it('comes again when it could not be recorded', async () => {
    outcome = () => Promise.reject(new Error('disk full'));
    const { hello, heard, closed } = pilot();
    await hello();
    expect([heard, closed]).toEqual([[], ['the service could not record a message; come again']]);
    expect(types(submitted)).toEqual(['pilot.connected', 'pilot.disconnected']);
    expect(logged).toEqual(['a message could not be recorded', 'a lost connection could not be recorded']);
  });
});

describe('what a pilot says', () => {
  it('is nothing when its connection is over', async () => {
    const one = pilot();
    await one.hello();
    one.session.closed(true);
    await one.say(report(8));
    expect(types(submitted)).toEqual(['pilot.connected', 'pilot.disconnected']);
    expect(submitted.at(-1)).toMatchObject({ hungUp: true });
  });

  it('is acknowledged when it is stored, and has orders owed no more', async () => {
    commands.add(order('n0'));
    const { hello, say, heard } = pilot();
    await hello();
    await say(report(8), { type: 'command-ack', key: 'k' });
    expect(submitted.at(-1)).toEqual({
      ...{ type: 'pilot.notified', slotId: 'slot-a', node: 'n0', seq: 8, at: 1_000 },
      body: { kind: 'vm', report: { vmId: 'vm-own', state: 'running', context: 'ok' } },
    });
    expect(types(heard)).toEqual(['welcome', 'command', 'ack']);
    const again = pilot();
    await again.hello();
    expect(types(again.heard)).toEqual(['welcome']);
  });

  it('about VMs that are none of its slot’s is looked at sixteen times, then dropped in its turn', async () => {
    const { hello, say, heard } = pilot();
    await hello();
    for (let seq = 1; seq <= 16; seq++) await say(report(seq, 'vm-other'));
    expect(submitted).toHaveLength(17);
    expect(logged).toEqual(['pilot connected']);
    let stored = (): void => undefined;
    outcome = () => new Promise<void>(resolve => (stored = resolve));
    await say(report(17), report(18, 'vm-other'));
    expect([submitted.length, types(heard).filter(type => type === 'ack').length]).toEqual([18, 16]);
    stored();
    await settle();
    expect(heard.slice(-2)).toEqual([
      { type: 'ack', seq: 17 },
      { type: 'ack', seq: 18 },
    ]);
    for (let seq = 19; seq <= 28; seq++) await say(report(seq, 'vm-other'));
    // At the first, and at the tenth.
    expect(logged.filter(message => message.startsWith('reports about VMs'))).toHaveLength(2);
    const other = pilot('n1');
    await other.hello();
    stored();
    await settle();
    await other.say(report(1, 'vm-other'));
    expect(submitted.at(-1)).toMatchObject({ type: 'pilot.notified', node: 'n1' });
  });

  it('is not taken from a node that the slot has not, which is told when to come again', async () => {
    const { hello, say, heard, closed } = pilot();
    await hello();
    slot.nodes = slot.nodes.filter(({ name }) => name !== 'n0');
    await say(report(8));
    expect(closed).toEqual([expect.stringContaining('has not given the slot this node')]);
    expect(types(heard)).toEqual(['welcome']);
    expect(types(submitted)).toEqual(['pilot.connected', 'pilot.notified', 'pilot.disconnected']);
  });
});

describe('what is passed on of an LRM that takes a slot back (the rest in hub.test.ts)', () => {
  it('is nothing of what else nodes say of themselves', async () => {
    const [first, second] = [pilot('n0'), pilot('n1')];
    for (const each of [first, second]) await each.hello();
    await first.say({ type: 'notification', seq: 8, at: 1_000, body: { kind: 'node', state: 'releasing' } });
    expect(types(second.heard)).toEqual(['welcome']);
    commands.add(order('n0'));
    expect(types(first.heard)).toEqual(['welcome', 'ack', 'command']);
  });
});

describe('connections that end', () => {
  it('by a newer one take what was asked of them along, and leave the newer one its orders', async () => {
    const older = pilot();
    await older.hello();
    const stream = hub.openStream('slot-a', 'n0', console_);
    const newer = pilot();
    await expect(stream).rejects.toMatchObject({ code: 'unreachable' });
    expect(older.closed).toEqual(['a newer connection of this pilot has taken over']);
    await newer.hello();
    older.session.closed();
    commands.add(order('n0'));
    expect([types(older.heard), types(newer.heard)]).toEqual([
      ['welcome', 'open-stream'],
      ['welcome', 'command'],
    ]);
    expect([types(submitted), gone]).toEqual([['pilot.connected', 'pilot.connected'], []]);
  });

  it('by the service’s end are told why, and not recorded', async () => {
    const all = [pilot('n0'), pilot('n1')];
    for (const each of all) await each.hello();
    hub.closeAll('the service stops');
    for (const { closed, session } of all) {
      session.closed();
      expect(closed).toEqual(['the service stops']);
    }
    expect([types(submitted), gone]).toEqual([['pilot.connected', 'pilot.connected'], []]);
    await expect(hub.openStream('slot-a', 'n0', console_)).rejects.toMatchObject({ code: 'unreachable' });
  });

  it('with their slot are for the pilots to end, each told once', async () => {
    const all = [pilot('n0'), pilot('n1')];
    for (const each of all) await each.hello();
    slot.state = 'failed';
    hub.slotOver('slot-a');
    hub.slotOver('slot-a');
    for (const { heard, closed } of all) {
      expect(types(heard)).toEqual(['welcome', 'dismiss']);
      expect(closed).toEqual([]);
    }
    await all[0]?.say(report(8));
    expect(all[0]?.heard.at(-1)).toEqual({ type: 'ack', seq: 8 });
  });

  it('again and again have the LRM asked sixteen times at once, for each node of the slot', async () => {
    for (const node of ['n0', 'n1'])
      for (let time = 0; time < 30; time++) {
        const one = pilot(node);
        await one.hello();
        one.session.closed();
      }
    expect(gone).toHaveLength(32);
    // A slot that is another one by then begins anew.
    hub.slotOver('slot-a');
    const one = pilot();
    await one.hello();
    one.session.closed();
    expect(gone).toHaveLength(33);
  });
});

it('a slot’s secret lets in, and nothing else', () => {
  expect(
    [
      ['slot-a', 'secret'],
      ['slot-a', 'Secret'],
      ['slot-b', ''],
      ['slot-b', 'secret'],
    ].map(([slotId = '', secret = '']) => hub.authenticate(slotId, secret)),
  ).toEqual([true, false, false, false]);
});
