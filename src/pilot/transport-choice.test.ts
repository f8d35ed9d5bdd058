import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../platform/log.ts';
import { createVirtualClock } from '../platform/virtual-clock.ts';
import { firstThatWorks, type NamedTransport } from './transport-choice.ts';
import { type LinkHandlers, NotAcceptedError, type Transport } from './transport.ts';

/** A transport that does as it is told. */
function fake(name: string, tried: string[]) {
  const state: { refuse: Error | undefined; handlers: LinkHandlers | undefined; closed: number } = {
    refuse: undefined,
    handlers: undefined,
    closed: 0,
  };
  const transport: Transport = {
    connect(handlers) {
      tried.push(name);
      if (state.refuse) return Promise.reject(state.refuse);
      state.handlers = handlers;
      const close = (): void => void (state.closed += 1);
      return Promise.resolve({ localAddress: name, send: () => undefined, close });
    },
    openStream: () => Promise.resolve(Object.assign(new PassThrough(), { via: name })),
  };
  return {
    named: { name, transport },
    state,
    /** The service says something. */
    speak: () => state.handlers?.message({ type: 'ack', seq: 1 }),
    drop: () => state.handlers?.closed('dropped'),
  };
}

function world() {
  const tried: string[] = [];
  const clock = createVirtualClock(0);
  const [one, two, three] = [fake('one', tried), fake('two', tried), fake('three', tried)];
  const choice = firstThatWorks([one.named, two.named, three.named], clock, silentLog);
  const heard = { messages: 0, closed: [] as string[] };
  const connect = (): Promise<string> =>
    choice
      .connect({ message: () => (heard.messages += 1), closed: why => heard.closed.push(why) })
      .then(({ localAddress }) => localAddress);
  const tries = (): string[] => tried.splice(0);
  return { one, two, three, choice, clock, heard, connect, tries };
}

describe('several transports', () => {
  it('are tried in order, and from the one that worked last when it is over', async () => {
    const { one, two, connect, tries, heard } = world();
    one.state.refuse = new Error('a proxy');
    expect(await connect()).toBe('two');
    two.speak();
    two.drop();
    expect(await connect()).toBe('two');
    two.speak();
    two.drop();
    two.state.refuse = new Error('down');
    expect(await connect()).toBe('three');
    expect(tries()).toEqual(['one', 'two', 'two', 'two', 'three']);
    expect(heard).toEqual({ messages: 2, closed: ['dropped', 'dropped'] });
  });

  it('are left when a link ends before the service has said a word', async () => {
    const { one, two, connect, tries, heard } = world();
    expect(await connect()).toBe('one');
    one.drop();
    expect(await connect()).toBe('two');
    two.speak();
    two.drop();
    expect(await connect()).toBe('two');
    expect(tries()).toEqual(['one', 'two', 'two']);
    expect(heard.closed).toHaveLength(2);
  });

  it('are left when a link stays silent; what it says afterwards is not heard', async () => {
    const { one, connect, clock, heard } = world();
    expect(await connect()).toBe('one');
    await clock.advanceBy(19_999);
    expect(heard.closed).toEqual([]);
    await clock.advanceBy(1);
    expect(heard.closed).toEqual(['the service said nothing for 20s']);
    expect(one.state.closed).toBe(1);
    one.speak();
    one.drop();
    expect(heard).toEqual({ messages: 0, closed: ['the service said nothing for 20s'] });
    expect(await connect()).toBe('two');
  });

  it('are not left because a link that works is silent for long', async () => {
    const { one, connect, clock, heard } = world();
    await connect();
    one.speak();
    await clock.advanceBy(3_600_000);
    expect(heard.closed).toEqual([]);
  });

  it('say that the slot is not known when one says so and none connects, and begin where they began', async () => {
    const { one, two, three, connect, tries } = world();
    one.state.refuse = new Error('a proxy');
    two.state.refuse = new NotAcceptedError(401);
    three.state.refuse = new Error('no ssh');
    await expect(connect()).rejects.toBeInstanceOf(NotAcceptedError);
    two.state.refuse = new Error('away');
    await expect(connect()).rejects.toThrow('a proxy');
    expect(tries()).toEqual(['one', 'two', 'three', 'one', 'two', 'three']);
    two.state.refuse = undefined;
    expect(await connect()).toBe('two');
  });

  it('open streams the way that the newest link went', async () => {
    const { one, connect, choice } = world();
    one.state.refuse = new Error('a proxy');
    await connect();
    expect(await choice.openStream('s1')).toMatchObject({ via: 'two' });
  });

  it('are not watched when there is one only', () => {
    const only: NamedTransport = fake('only', []).named;
    expect(firstThatWorks([only], createVirtualClock(0), silentLog)).toBe(only.transport);
  });
});
