import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EventView, SlotView, WorkspaceView } from '../../src/protocol/api.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** What has to make way for a job of a higher partition, on a real Slurm with real guests (PreemptMode=REQUEUE, GraceTime). */

let site: TestSite;
beforeAll(async () => {
  site = await startSite({ lrm: 'slurm', nodes: 2 });
});
afterAll(() => site?.stop());

const create = ['create', '--image', 'mini', '--memory', '160M', '--wait'];
const urgentJob = async (): Promise<string> => {
  const submitted = await site.cluster?.run(
    ['sbatch', '--parsable', '-p', 'urgent', '--nodes=2', '--exclusive', '--chdir=/', '--output=/dev/null'],
    '#!/bin/sh\nsleep 600\n',
  );
  return submitted?.stdout.trim() ?? '';
};
const untilRunning = (jobId: string): Promise<unknown> =>
  expect
    .poll(async () => (await site.cluster?.run(['squeue', '-h', '-j', jobId, '-o', '%T']))?.stdout.trim(), {
      timeout: 60_000,
      interval: 200,
    })
    .toBe('RUNNING');

it('guests are shut down within the grace time, on every node; the urgent job finds the nodes as they were', async () => {
  const running = await site.json<WorkspaceView>([...create, '--count', '2', '--name', 'first']);
  const urgent = await urgentJob();
  const ended = await site.json<WorkspaceView>(['wait', 'first', '--for', 'ended', '--timeout', '60s']);
  expect(ended).toMatchObject({ cause: 'preempted', reason: { code: 'lrm_signal' } });
  expect(ended.reason?.message).toContain('SIGTERM');
  await untilRunning(urgent);
  const { events } = await site.json<{ events: EventView[] }>(['events', running.id]);
  const types = events.map(({ type }) => type);
  // Both had the time to shut down: none was killed with its node.
  expect(types.filter(type => type === 'vm.stopping')).toHaveLength(2);
  expect(types.filter(type => type === 'vm.terminated')).toHaveLength(2);
  expect(types).not.toContain('vm.failed');
  const ours = (await site.leftovers()).filter(line => !line.includes(`LRM job ${urgent} `));
  expect(ours).toEqual([]);
  await site.cluster?.endJob(urgent);
  await site.cluster?.untilIdle();
});

it('a job that is preempted before its guests are there ends its workspace with that reason', async () => {
  const slots = async (): Promise<readonly SlotView[]> =>
    (await site.json<{ slots: SlotView[] }>(['slots'])).slots;
  await site.json(['create', '--image', 'mini', '--memory', '160M', '--name', 'early']);
  await expect.poll(async () => (await slots())[0]?.lrmJobId ?? null, { timeout: 20_000 }).not.toBeNull();
  await untilRunning((await slots())[0]?.lrmJobId ?? '');
  const urgent = await urgentJob();
  const ended = await site.json<WorkspaceView>(['wait', 'early', '--for', 'ended', '--timeout', '60s']);
  expect(ended.cause).toBe('preempted');
  await site.cluster?.endJob(urgent);
  await site.cluster?.untilIdle();
  expect(await site.leftovers()).toEqual([]);
  // And the next one has the nodes again.
  await site.json([...create, '--name', 'after']);
  await site.json(['destroy', 'after', '--wait']);
});

it('a workspace with --requeue is started anew when the urgent job is over: the same names and addresses, another slot', async () => {
  const first = await site.json<WorkspaceView>([...create, '--requeue', '--count', '2', '--name', 'again']);
  const addressesOf = ({ vms }: WorkspaceView): readonly unknown[] => vms.map(vm => [vm.name, vm.addresses]);
  const urgent = await urgentJob();
  const waiting = await site
    .client()
    .waitForWorkspace(first.id, ({ state, requeues }) => state === 'queued' && requeues === 1, {
      timeoutMs: 60_000,
    });
  expect(waiting).toMatchObject({ state: 'queued', cause: null, reason: { code: 'requeued' } });
  await site.cluster?.endJob(urgent);
  const second = await site.json<WorkspaceView>(['wait', 'again', '--for', 'running', '--timeout', '90s']);
  expect(addressesOf(second)).toEqual(addressesOf(first));
  expect(second.slot?.id).not.toBe(first.slot?.id);
  const reached = await site.wsp(['ssh', 'again/vm-1', '--', 'hostname'], { deadlineMs: 60_000 });
  expect(reached.stdout).toBe('vm-1\n');
  await site.json(['destroy', 'again', '--wait']);
  await site.cluster?.untilIdle();
  expect(await site.leftovers()).toEqual([]);
});
