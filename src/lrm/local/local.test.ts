import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { endOf, gangRequest, jobWhen, lrmContract } from '../lrm.contract.ts';
import type { Lrm } from '../lrm.ts';
import { LocalLrm } from './local.ts';

const nodes = ['n01', 'n02', 'n03'];
let scratch: string;
let lrm: Lrm;
let closed = 0;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'wsp-lrm-'));
  lrm = localLrm();
});
afterAll(async () => {
  await lrm.close();
  rmSync(scratch, { recursive: true, force: true });
});

function localLrm(): Lrm {
  return new LocalLrm(
    {
      nodes: nodes.map(name => ({ name })),
      memoryMiBPerNode: 1_024,
      cpusPerNode: 2,
      node: process.execPath,
      killDelayMs: 500,
    },
    { clock: systemClock, startChild, afterClose: async () => void (closed += 1) },
  );
}

lrmContract('local', () => ({ lrm, nodes, scratch }));

describe('the embedded LRM', () => {
  it('ends a job at its walltime', async () => {
    const jobId = await lrm.submit(gangRequest({ walltimeMs: 500 }));
    expect(await endOf(lrm, jobId)).toBe('timeout');
  });

  it('starts jobs in the order in which they came: a small one does not overtake', async () => {
    const all = { nodes: nodes.length, cpusPerNode: 2 };
    const first = await lrm.submit(gangRequest(all));
    const second = await lrm.submit(gangRequest(all));
    const small = await lrm.submit(gangRequest());
    await lrm.cancel(first);
    await jobWhen(lrm, second, ({ state }) => state === 'running');
    expect((await lrm.list()).find(({ jobId }) => jobId === small)?.state).toBe('waiting');
    await lrm.cancel(second);
    await jobWhen(lrm, small, ({ state }) => state === 'running');
    await lrm.cancel(small);
    await endOf(lrm, small);
  });

  it('has a job begin when the one before it in the queue is cancelled', async () => {
    const first = await lrm.submit(gangRequest());
    const large = await lrm.submit(gangRequest({ nodes: nodes.length, cpusPerNode: 2 }));
    const small = await lrm.submit(gangRequest());
    await lrm.cancel(large);
    await jobWhen(lrm, small, ({ state }) => state === 'running');
    for (const jobId of [first, small]) await lrm.cancel(jobId);
    for (const jobId of [first, small]) await endOf(lrm, jobId);
  });

  it('puts jobs side by side on a node that has room for both', async () => {
    const half = { nodes: nodes.length, cpusPerNode: 1, memoryMiBPerNode: 512 };
    const jobs = [await lrm.submit(gangRequest(half)), await lrm.submit(gangRequest(half))];
    for (const jobId of jobs) await jobWhen(lrm, jobId, ({ state }) => state === 'running');
    for (const jobId of jobs) await lrm.cancel(jobId);
    for (const jobId of jobs) await endOf(lrm, jobId);
  });

  it('tells at once when a job changes', async () => {
    let changes = 0;
    const stop = lrm.onChange(() => (changes += 1));
    const jobId = await lrm.submit(gangRequest());
    expect(changes).toBeGreaterThan(0);
    stop();
    const before = changes;
    await lrm.cancel(jobId);
    await endOf(lrm, jobId);
    expect(changes).toBe(before);
  });

  it('says of a job whose program cannot be started that it has failed', async () => {
    const broken = new LocalLrm(
      {
        nodes: [{ name: 'n01' }],
        memoryMiBPerNode: 64,
        cpusPerNode: 1,
        node: '/nonexistent',
        killDelayMs: 1,
      },
      { clock: systemClock, startChild },
    );
    const jobId = await broken.submit(gangRequest());
    const job = await jobWhen(broken, jobId, ({ state }) => state === 'failed');
    expect(job?.reason).toMatch(/could not be started/);
    await broken.close();
  });

  it('has a job go at once that was cancelled while its pilots were being started', async () => {
    const signals: string[] = [];
    let start = (): void => undefined;
    const asked = new Promise<void>(resolve => {
      start = resolve;
    });
    const late = new LocalLrm(
      { nodes: [{ name: 'n01' }], memoryMiBPerNode: 64, cpusPerNode: 1, node: 'node', killDelayMs: 60_000 },
      {
        clock: systemClock,
        startChild: async (argv, options) => {
          await asked;
          const child = await startChild([process.execPath, ...argv.slice(1)], options);
          const kill: typeof child.kill = signal => {
            signals.push(signal ?? 'SIGTERM');
            return child.kill('SIGKILL');
          };
          return { ...child, kill };
        },
      },
    );
    const program = 'setInterval(() => undefined, 1_000);';
    const jobId = await late.submit(gangRequest({ memoryMiBPerNode: 64, program }));
    await late.cancel(jobId);
    start();
    expect(await endOf(late, jobId)).toBe('cancelled');
    expect(signals).toEqual(['SIGTERM']);
    await late.close();
  });

  it('ends its jobs and removes its nodes when it is closed', async () => {
    const other = localLrm();
    const jobId = await other.submit(gangRequest());
    await jobWhen(other, jobId, ({ state }) => state === 'running');
    await other.close();
    expect(closed).toBe(1);
    expect((await other.list())[0]).toMatchObject({ state: 'cancelled' });
  });
});
