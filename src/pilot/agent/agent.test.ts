import { beforeEach, describe, expect, it } from 'vitest';
import type { Child, ChildExit } from '../../platform/children.ts';
import { silentLog } from '../../platform/log.ts';
import { createVirtualClock, settle, type VirtualClock } from '../../platform/virtual-clock.ts';
import type { AgentMessage } from '../../protocol/agent.ts';
import { Agent } from './agent.ts';

/** An agent whose programs are there, and end, when a test says so; with real ones: src/lrm/static/static.test.ts. */
let clock: VirtualClock;
let agent: Agent;
let signals: string[];
let isThere: () => void;
let ends: (exit: ChildExit) => void;

beforeEach(() => {
  clock = createVirtualClock(0);
  signals = [];
  const there = new Promise<void>(resolve => {
    isThere = resolve;
  });
  const exited = new Promise<ChildExit>(resolve => {
    ends = resolve;
  });
  const child: Child = {
    pid: 7,
    stdin: null,
    stdout: null,
    stderr: null,
    extra: null,
    exited,
    kill: (signal = 'SIGTERM') => signals.push(`${signal} at ${clock.now()}`) > 0,
    unref: () => undefined,
  };
  agent = new Agent({
    name: 'n01',
    memoryMiB: 1_024,
    cpus: 2,
    node: 'node',
    clock,
    log: silentLog,
    startChild: () => there.then(() => child),
  });
  agent.obey({ type: 'run', jobId: '1', program: '', endsAt: 10_000, killDelayMs: 3_000 });
});

function heard(): readonly AgentMessage[] {
  const messages: AgentMessage[] = [];
  agent.connected(message => messages.push(message));
  return messages;
}

describe('a pilot that is still being started', () => {
  it('is warned as soon as it is there when it was told to go, and killed after its delay', async () => {
    agent.obey({ type: 'end', jobId: '1' });
    await clock.advanceBy(1_000);
    expect(signals).toEqual([]);
    isThere();
    await clock.advanceBy(20_000);
    expect(signals).toEqual(['SIGTERM at 1000', 'SIGKILL at 4000']);
    ends({ code: null, signal: 'SIGKILL' });
    await settle();
    expect(heard()).toMatchObject([{ running: [], ended: [{ jobId: '1', why: 'cancelled' }] }]);
  });

  it('begins with the end that it was given meanwhile', async () => {
    agent.obey({ type: 'until', jobId: '1', endsAt: 15_000 });
    isThere();
    await clock.advanceBy(30_000);
    expect(signals).toEqual(['SIGTERM at 15000', 'SIGKILL at 18000']);
  });
});

describe('a pilot that has ended', () => {
  it('while nobody heard is told to the first who does, and to no other', async () => {
    isThere();
    await settle();
    ends({ code: 3, signal: null });
    await settle();
    expect(heard()).toMatchObject([{ ended: [{ jobId: '1', code: 3, why: 'exited' }] }]);
    agent.disconnected();
    expect(heard()).toMatchObject([{ ended: [] }]);
  });

  it('by itself is not killed later', async () => {
    isThere();
    await settle();
    ends({ code: 0, signal: null });
    await clock.advanceBy(60_000);
    expect([signals, clock.nextAt()]).toEqual([[], undefined]);
  });
});

describe('an agent', () => {
  const hello = { type: 'hello', protocol: 2, node: 'n01', memoryMiB: 1_024, cpus: 2 };

  it('says what it has, and tells the end of a pilot at once to who hears it', async () => {
    const messages = heard();
    expect(messages).toEqual([{ ...hello, running: ['1'], ended: [] }]);
    isThere();
    await settle();
    ends({ code: 0, signal: null });
    await settle();
    expect(messages.slice(1)).toEqual([{ type: 'ended', jobId: '1', code: 0, why: 'exited' }]);
    expect(heard()).toEqual([{ ...hello, running: [], ended: [] }]);
  });

  it('ends a pilot when its time is over, or moved so that it is, and says so', async () => {
    isThere();
    await clock.advanceBy(4_000);
    agent.obey({ type: 'until', jobId: '1', endsAt: 1_000 });
    await clock.advanceBy(1_000);
    // Neither another end nor another time changes anything then.
    agent.obey({ type: 'end', jobId: '1' });
    agent.obey({ type: 'until', jobId: '1', endsAt: 60_000 });
    await clock.advanceBy(3_000);
    expect(signals).toEqual(['SIGTERM at 4000', 'SIGKILL at 7000']);
    ends({ code: null, signal: 'SIGKILL' });
    await settle();
    expect([heard(), clock.nextAt()]).toEqual([
      [{ ...hello, running: [], ended: [{ jobId: '1', code: null, why: 'timeout' }] }],
      undefined,
    ]);
  });

  it('does not do twice what it is doing, and nothing about what it does not know', async () => {
    isThere();
    await settle();
    agent.obey({ type: 'run', jobId: '1', program: '', endsAt: 1, killDelayMs: 0 });
    agent.obey({ type: 'end', jobId: '2' });
    agent.obey({ type: 'until', jobId: '2', endsAt: 0 });
    await clock.advanceBy(9_999);
    expect([signals, heard()]).toMatchObject([[], [{ running: ['1'] }]]);
  });

  it('stops when its last pilot has gone, each warned', async () => {
    isThere();
    await settle();
    let stopped = false;
    const over = agent.stop().then(() => {
      stopped = true;
    });
    await settle();
    expect([signals, stopped]).toEqual([['SIGTERM at 0'], false]);
    ends({ code: 0, signal: null });
    await over;
    await agent.stop();
    expect(heard()).toMatchObject([{ ended: [{ jobId: '1', why: 'cancelled' }] }]);
  });
});

it('a pilot that could not be started is told, with why', async () => {
  const failing = new Agent({
    name: 'n01',
    memoryMiB: 1_024,
    cpus: 2,
    node: 'node',
    clock,
    log: silentLog,
    startChild: () => Promise.reject(new Error('no such program')),
  });
  const messages: AgentMessage[] = [];
  failing.connected(message => messages.push(message));
  failing.obey({ type: 'run', jobId: '1', program: '', endsAt: 10_000, killDelayMs: 3_000 });
  await settle();
  expect(messages.slice(1)).toEqual([
    {
      ...{ type: 'ended', jobId: '1', code: null, why: 'failed' },
      message: 'a pilot could not be started on n01: no such program',
    },
  ]);
  await failing.stop();
});
