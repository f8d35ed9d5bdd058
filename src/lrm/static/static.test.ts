import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Agent } from '../../pilot/agent/agent.ts';
import { startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { silentLog } from '../../platform/log.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import type { AgentHello } from '../../protocol/agent.ts';
import { endOf, gangRequest, jobWhen, lrmContract } from '../lrm.contract.ts';
import { StaticLrm } from './static.ts';

const nodes = ['n01', 'n02', 'n03'];

/** A real agent, that runs real processes; only its connection is a call. */
class AgentNode {
  readonly name: string;
  readonly agent: Agent;
  #cut: () => void = () => undefined;

  constructor(name: string, memoryMiB = 1_024) {
    this.name = name;
    const parts = { clock: systemClock, log: silentLog, startChild };
    this.agent = new Agent({ name, memoryMiB, cpus: 2, node: process.execPath, ...parts });
  }

  join(lrm: StaticLrm): this {
    const session = lrm.attach(this.name, { send: order => this.agent.obey(order), close: () => this.cut() });
    this.#cut = () => {
      this.agent.disconnected();
      session.closed();
    };
    this.agent.connected(message => session.received(message));
    return this;
  }

  cut(): void {
    this.#cut();
    this.#cut = () => undefined;
  }
}

let scratch: string;
let contract: { readonly lrm: StaticLrm; readonly agents: readonly AgentNode[] };
const opened: { readonly lrm: StaticLrm; readonly agents: readonly AgentNode[] }[] = [];

function open(directory: string, lostAfterMs = 60_000): StaticLrm {
  return new StaticLrm({ directory, killDelayMs: 500, lostAfterMs }, systemClock);
}
function pool(lostAfterMs?: number) {
  const directory = mkdtempSync(join(scratch, 'pool-'));
  const lrm = open(directory, lostAfterMs);
  const agents = nodes.map(name => new AgentNode(name).join(lrm));
  opened.push({ lrm, agents });
  return { directory, lrm, agents };
}
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'wsp-static-'));
  contract = pool();
});
afterAll(async () => {
  for (const { lrm, agents } of opened) {
    await Promise.all(agents.map(({ agent }) => agent.stop()));
    await lrm.close();
  }
  rmSync(scratch, { recursive: true, force: true });
});

lrmContract('static', () => ({ lrm: contract.lrm, nodes, scratch }));

describe('a pool of static nodes', () => {
  it('keeps what waits and what runs when the service ends, and goes on with it in its next life', async () => {
    const { directory, lrm, agents } = pool();
    const whole = { nodes: nodes.length, cpusPerNode: 2 };
    const running = await lrm.submit(gangRequest(whole));
    const waiting = await lrm.submit(gangRequest(whole));
    for (const file of readdirSync(directory))
      expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600);
    for (const agent of agents) agent.cut();
    await lrm.close();

    const next = open(directory);
    opened.push({ lrm: next, agents });
    expect(await next.list()).toMatchObject([
      { jobId: running, state: 'running', nodes },
      { jobId: waiting, state: 'waiting' },
    ]);
    for (const agent of agents) agent.join(next);
    expect((await jobWhen(next, running, () => true))?.state).toBe('running');
    await next.cancel(running);
    expect(await endOf(next, running)).toBe('cancelled');
    await jobWhen(next, waiting, ({ state }) => state === 'running');
    await next.cancel(waiting);
    await endOf(next, waiting);
    // An order that is pending for an ended job never reaches a new one.
    expect(Number(await next.submit(gangRequest()))).toBeGreaterThan(Number(waiting));
  });

  it.each(['7.job', 'nodes.json'])('does not open with a %s that cannot be read, and names it', name => {
    const directory = mkdtempSync(join(scratch, 'pool-'));
    writeFileSync(join(directory, name), '{', { mode: 0o600 });
    expect(() => open(directory)).toThrow(
      `what is kept of static nodes cannot be read: ${join(directory, name)}: it is not JSON`,
    );
  });

  it('has a job ended that was cancelled while a node of it was away', async () => {
    const { lrm, agents } = pool();
    const jobId = await lrm.submit(gangRequest());
    const [on] = (await jobWhen(lrm, jobId, ({ state }) => state === 'running'))?.nodes ?? [];
    const away = agents.find(({ name }) => name === on);
    away?.cut();
    await lrm.cancel(jobId);
    expect((await jobWhen(lrm, jobId, () => true))?.state).toBe('ending');
    away?.join(lrm);
    expect(await endOf(lrm, jobId)).toBe('cancelled');
  });

  it('hears of what has ended while a node was away, and how', async () => {
    const { lrm, agents } = pool();
    const jobId = await lrm.submit(gangRequest({ program: 'process.exit(3);' }));
    const on = agents.find(({ name }) => name === 'n01');
    on?.cut();
    await on?.agent.stop();
    on?.join(lrm);
    const job = await jobWhen(lrm, jobId, ({ state }) => state === 'failed');
    expect(job?.reason).toContain('n01');
  });

  it('gives up the jobs of a node of which nothing is heard, on its other nodes too', async () => {
    const { lrm, agents } = pool(200);
    const jobId = await lrm.submit(gangRequest({ nodes: 2 }));
    await jobWhen(lrm, jobId, ({ state }) => state === 'running');
    agents[0]?.cut();
    const job = await jobWhen(lrm, jobId, ({ state }) => state === 'failed');
    expect(job?.reason).toBe('nothing was heard of node n01 for 200ms');
    expect((await lrm.capabilities()).nodes).toBe(2);
  });

  it('ends what nobody knows any more when its node joins', async () => {
    const { lrm, agents } = pool();
    const jobId = await lrm.submit(gangRequest());
    await jobWhen(lrm, jobId, ({ state }) => state === 'running');
    for (const agent of agents) agent.cut();
    const other = pool();
    const [n01] = agents;
    n01?.join(other.lrm);
    await n01?.agent.stop();
    expect(await other.lrm.list()).toEqual([]);
  });

  it('puts the nodes of a larger kind to use for what needs them, and says what is free on each', async () => {
    const { lrm, agents } = pool();
    const big = new AgentNode('n09', 4_096).join(lrm);
    opened.push({ lrm, agents: [big] });
    expect(agents).toHaveLength(nodes.length);
    const jobId = await lrm.submit(gangRequest({ memoryMiBPerNode: 2_048 }));
    expect((await jobWhen(lrm, jobId, ({ state }) => state === 'running'))?.nodes).toEqual(['n09']);
    expect((await lrm.capabilities()).free).toContainEqual(
      expect.objectContaining({ memoryMiB: 2_048, cpus: 1 }),
    );
    await expect(lrm.submit(gangRequest({ nodes: 2, memoryMiBPerNode: 2_048 }))).rejects.toThrow(
      /refused|wanted/,
    );
    await lrm.cancel(jobId);
    await endOf(lrm, jobId);
  });

  it('ends a job at its time limit, and later when it was given more', async () => {
    const { lrm } = pool();
    const jobId = await lrm.submit(gangRequest({ walltimeMs: 1_000 }));
    const before = await jobWhen(lrm, jobId, ({ state }) => state === 'running');
    const until = (before?.endsAt ?? 0) + 1_000;
    expect(await lrm.extend(jobId, until)).toBe(until);
    expect(await endOf(lrm, jobId)).toBe('timeout');
    expect(systemClock.now()).toBeGreaterThanOrEqual(until);
    await expect(lrm.extend(jobId, until)).rejects.toMatchObject({ kind: 'refused' });
  });

  it('tells nobody of anything, and waits for nothing, when it is closed', async () => {
    const clock = createVirtualClock(0);
    const directory = mkdtempSync(join(scratch, 'pool-'));
    const lrm = new StaticLrm({ directory, killDelayMs: 500, lostAfterMs: 60_000 }, clock);
    const session = lrm.attach('n01', { send: () => undefined, close: () => undefined });
    let told = 0;
    lrm.onChange?.(() => (told += 1));
    session.received({ type: 'hello', node: 'n01', memoryMiB: 1_024, cpus: 2, running: [], ended: [] });
    session.closed();
    expect(clock.nextAt()).toBe(60_000);
    const before = told;
    await lrm.close();
    await lrm.submit(gangRequest());
    expect([told, clock.nextAt()]).toEqual([before, undefined]);
  });
});

it('an agent that speaks another protocol is told so, and does not join; one of the version before joins', () => {
  const { lrm } = pool();
  const hello: AgentHello = { type: 'hello', node: 'n09', memoryMiB: 1_024, cpus: 1, running: [], ended: [] };
  const heard: unknown[] = [];
  const closed: string[] = [];
  const session = lrm.attach('n09', { send: message => heard.push(message), close: why => closed.push(why) });
  session.received({ ...hello, protocol: 4 });
  expect([heard, closed]).toEqual([
    [],
    ['the agent on n09 speaks protocol 4 and this end protocols 1 and 2: this end is to be upgraded'],
  ]);
  session.received(hello);
  expect([heard, closed.length]).toEqual([[{ type: 'welcome', protocol: 2 }], 1]);
});
