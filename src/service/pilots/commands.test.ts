import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../platform/log.ts';
import type { ServiceMessage } from '../../protocol/pilot.ts';
import type { PilotEffect } from '../../lease/decision.ts';
import { PilotCommands } from './commands.ts';

const order = (key: string, node = 'n0'): PilotEffect => ({
  kind: 'pilot',
  key,
  slotId: 'slot',
  node,
  order: { kind: 'stop-vm', vmId: 'vm', graceMs: 0 },
});

describe('what is pending for pilots', () => {
  let done: string[];
  let heard: string[];
  let logged: string[];
  let commands: PilotCommands;
  const send = (message: ServiceMessage): void => {
    if (message.type === 'command') heard.push(message.key);
  };
  beforeEach(() => {
    done = [];
    heard = [];
    logged = [];
    commands = new PilotCommands({
      log: { ...silentLog, error: message => void logged.push(message) },
      orderOf: ({ key }) => {
        if (key === 'broken') throw new Error('no plan');
        return key === 'gone' ? undefined : { kind: 'stop-vm', vmId: 'vm', graceMs: 0 };
      },
      done: key => done.push(key),
    });
  });

  it('is said once to one that is connected, and again when it comes back, until it is acknowledged', () => {
    commands.connected('slot', 'n0', send);
    commands.add(order('a'));
    // The same decision is pending once, however often it is made.
    commands.add(order('a'));
    expect(heard).toEqual(['a']);
    commands.disconnected('slot', 'n0');
    commands.add(order('b'));
    expect(heard).toEqual(['a']);
    commands.connected('slot', 'n0', send);
    expect(heard).toEqual(['a', 'a', 'b']);
    commands.acknowledged('slot', 'n0', 'a');
    commands.acknowledged('slot', 'n0', 'a');
    commands.acknowledged('slot', 'n1', 'b');
    expect(done).toEqual(['a']);
    commands.connected('slot', 'n0', send);
    expect(heard.slice(3)).toEqual(['b']);
  });

  it('is pending no more when the slot is over, on any of its nodes', () => {
    commands.add(order('a'));
    commands.add(order('b', 'n1'));
    commands.slotOver('slot');
    expect(done).toEqual(['a', 'b']);
    commands.connected('slot', 'n0', send);
    expect(heard).toEqual([]);
  });

  it('is pending no more when what it was for is gone', () => {
    commands.add(order('gone'));
    commands.connected('slot', 'n0', send);
    expect([heard, done]).toEqual([[], ['gone']]);
  });

  it('is pending no more when it cannot be made, which is logged, and holds nothing else up', () => {
    for (const key of ['a', 'broken', 'b']) commands.add(order(key));
    commands.connected('slot', 'n0', send);
    expect([heard, done, logged.length]).toEqual([['a', 'b'], ['broken'], 1]);
    commands.connected('slot', 'n0', send);
    expect([heard.slice(2), done]).toEqual([['a', 'b'], ['broken']]);
  });

  it('is nothing for slots and nodes of which nothing is known', () => {
    commands.add(order('a'));
    commands.acknowledged('other', 'n0', 'a');
    commands.disconnected('other', 'n0');
    commands.disconnected('slot', 'n7');
    commands.slotOver('other');
    expect(done).toEqual([]);
    commands.connected('slot', 'n0', send);
    expect(heard).toEqual(['a']);
  });
});
