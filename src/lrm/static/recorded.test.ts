import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Compile } from 'typebox/compile';
import { expect, it } from 'vitest';
import { recorded } from '../../../test/support/recorded.ts';
import { Agent } from '../../pilot/agent/agent.ts';
import type { ChildExit } from '../../platform/children.ts';
import { silentLog } from '../../platform/log.ts';
import { createVirtualClock, settle } from '../../platform/virtual-clock.ts';
import { AgentMessage, type ServiceToAgent } from '../../protocol/agent.ts';
import { gangRequest } from '../lrm.contract.ts';
import { StaticLrm } from './static.ts';

/**
 * The conversation: the agent joins; a job runs and exits; another runs, the connection breaks and
 * is made again, and that job is cancelled.
 */
const [first, second] = ['1795885026205', '1795885026206'] as const;

it('an agent of protocol 1 is served: its jobs run and end as it says', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-recorded-'));
  const clock = createVirtualClock(Number(first) - 1);
  try {
    const lrm = new StaticLrm({ directory, killDelayMs: 30_000, lostAfterMs: 60_000 }, clock);
    const request = { ...gangRequest(), nodes: 1, memoryMiBPerNode: 256, cpusPerNode: 1 };
    const heard: ServiceToAgent[] = [];
    const join_ = () => lrm.attach('n02', { send: message => heard.push(message), close: () => undefined });
    let session = join_();
    const message = Compile(AgentMessage);
    for (const { from, message: said } of recorded<'agent' | 'service'>('agent-1.jsonl')) {
      if (from === 'agent') {
        if (said.type === 'hello') session = join_();
        session.received(message.Parse(said));
      } else if (said.type === 'run') expect(await lrm.submit(request)).toBe(said['jobId']);
      else await lrm.cancel(String(said['jobId']));
      await settle();
    }
    expect(heard.filter(({ type }) => type === 'run' || type === 'end')).toMatchObject([
      { type: 'run', jobId: first, killDelayMs: 30_000 },
      { type: 'run', jobId: second },
      { type: 'end', jobId: second },
    ]);
    expect((await lrm.list()).map(({ jobId, state }) => [jobId, state])).toEqual([
      [first, 'completed'],
      [second, 'cancelled'],
    ]);
    await lrm.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

it('a service of protocol 1 is obeyed: its agent says what it said then', async () => {
  const said: AgentMessage[] = [];
  const endings: ((exit: ChildExit) => void)[] = [];
  const agent = new Agent({
    ...{ name: 'n02', memoryMiB: 600, cpus: 2, node: 'node' },
    clock: createVirtualClock(Number(first)),
    log: silentLog,
    startChild: () =>
      Promise.resolve({
        ...{ pid: 7, stdin: null, stdout: null, stderr: null, extra: null },
        exited: new Promise<ChildExit>(resolve => endings.push(resolve)),
        kill: () => true,
        unref: () => undefined,
      }),
  });
  const lines = recorded<'agent' | 'service'>('agent-1.jsonl');
  for (const { from, message } of lines) {
    if (from === 'service') agent.obey(message as unknown as ServiceToAgent);
    else if (message.type === 'ended') endings.shift()?.({ code: 0, signal: null });
    else {
      agent.disconnected();
      agent.connected(each => said.push(each));
    }
    await settle();
  }
  expect(said).toMatchObject(lines.filter(({ from }) => from === 'agent').map(({ message }) => message));
});
