import { describe, expect, it } from 'vitest';
import type { SlotView, VmView, WorkspaceView } from '../protocol/api.ts';
import { describeSlot, describeWorkspace } from './describe.ts';

const slot = (more: Partial<SlotView>): SlotView => ({
  id: 'slot-aaaaaaaaaa',
  workspaces: ['ws-aaaaaaaaaa'],
  owner: 'ann',
  warm: false,
  state: 'ready',
  reason: null,
  pool: 'default',
  lrm: 'slurm',
  lrmJobId: '7',
  lrmState: 'running',
  lrmReason: null,
  lrmOutlook: null,
  lrmTrouble: null,
  suspendedSince: null,
  nodesWanted: 2,
  nodes: [
    { name: 'n1', state: 'reserved', connected: true, address: null, reason: null },
    { name: 'n2', state: 'reserving', connected: true, address: null, reason: null },
  ],
  memoryMiBPerNode: 128,
  cpusPerNode: 1,
  walltimeMs: 60_000,
  createdAt: '2026-11-24T10:00:00.000Z',
  estimatedStartAt: null,
  jobEndsAt: null,
  deadlineAt: null,
  ...more,
});
const at = '2026-11-24T12:00:00.000Z';
const why = { code: 'x', message: 'the batch scheduler wants node n1 back' };

describe('a slot is explained', () => {
  it.each<[string, Partial<SlotView>, string]>([
    ['requested', { state: 'requested' }, 'The service is submitting it to the batch scheduler.'],
    [
      'queued',
      { state: 'queued', lrmState: 'waiting', lrmReason: 'it waits for nodes' },
      'Waiting in the queue as job 7. The batch scheduler says: it waits for nodes.',
    ],
    [
      'queued without a reason',
      { state: 'queued', lrmState: null },
      'Waiting in the queue as job 7. The batch scheduler gives no reason yet.',
    ],
    [
      'site S7 making its nodes ready',
      { state: 'queued', lrmState: 'starting', lrmReason: 'its prolog runs' },
      'The batch scheduler makes the nodes of job 7 ready: its prolog runs. The pilots start after that.',
    ],
    [
      'queued, when somebody has to act',
      { state: 'queued', lrmState: 'waiting', lrmReason: 'held by its owner', lrmOutlook: 'needs-somebody' },
      'Waiting in the queue as job 7. The batch scheduler says: held by its owner. Somebody has to act: it will not start by itself.',
    ],
    [
      'site S3 suspended',
      { suspendedSince: at },
      `In use. Suspended by the batch scheduler since ${at}: pilots and guests stand still until it lets the job run on.`,
    ],
    [
      'report B not to be asked about',
      { lrmTrouble: { doing: 'list', kind: 'unavailable', message: 'squeue: no controller', since: at } },
      `In use. The batch scheduler does not answer since ${at}: squeue: no controller. What runs goes on.`,
    ],
    [
      'report 1 put off',
      {
        state: 'requested',
        lrmTrouble: { doing: 'submit', kind: 'deferred', message: 'job limit reached', since: at },
      },
      `The batch scheduler has put off the job since ${at}: job limit reached. The service asks it again until it accepts the job.`,
    ],
    [
      'reserving',
      { state: 'reserving', deadlineAt: at },
      `1 of 2 nodes are reserved; if not all are by ${at}, the slot is given up.`,
    ],
    ['in use', { jobEndsAt: at }, `In use. The job ends at ${at}.`],
    ['warm', { warm: true, workspaces: [] }, 'Ready for the first workspace.'],
    ['kept', { deadlineAt: at }, `No workspace is in it: it is kept for the next one until ${at}.`],
    [
      'silent',
      {
        deadlineAt: at,
        nodes: [{ name: 'n1', state: 'reserved', connected: false, address: null, reason: null }],
      },
      `The service hears nothing from n1: the slot is given up at ${at}, unless the pilot comes back.`,
    ],
    [
      'drained',
      {
        nodes: [
          {
            name: 'n03',
            state: 'reserved',
            connected: true,
            address: null,
            reason: { code: 'draining', message: 'an administrator drains it: kernel update' },
          },
        ],
      },
      'In use. Node n03: an administrator drains it: kernel update. VMs there go on to their end; no new ones start there.',
    ],
    [
      'preempting',
      { state: 'preempting', reason: why },
      'The batch scheduler takes it back: guests are shutting down. Why: the batch scheduler wants node n1 back.',
    ],
    [
      'releasing',
      { state: 'releasing', deadlineAt: at },
      `The nodes are being given back; job 7 is cancelled if it has not ended by ${at}.`,
    ],
    ['released', { state: 'released' }, 'The nodes are given back.'],
    [
      'not undone',
      {
        state: 'releasing',
        nodes: [
          {
            name: 'n1',
            state: 'releasing',
            connected: true,
            address: null,
            reason: { code: 'undo_failed', message: 'process 7 does not end; tried again in 2 s' },
          },
        ],
      },
      'The nodes are being given back; job 7 is cancelled if it has not ended. Node n1: process 7 does not end; tried again in 2 s.',
    ],
    [
      'failed',
      { state: 'failed', reason: why },
      'The slot is lost. Why: the batch scheduler wants node n1 back.',
    ],
  ])('%s', (_, more, text) => {
    expect(describeSlot(slot(more))).toBe(text);
  });
});

describe('a workspace that heals, or is on a drained node, is explained', () => {
  const workspace = (more: Partial<WorkspaceView>): WorkspaceView => ({
    ...({
      state: 'running',
      cause: null,
      reason: null,
      slot: null,
      contextualized: true,
      endsAt: at,
    } as WorkspaceView),
    ...({ requeue: false, requeues: 0, heal: 'replace', startsAt: at, vms: [] } as Partial<WorkspaceView>),
    ...more,
  });
  const vm = (state: VmView['state']): VmView =>
    ({
      state,
      reason: { code: 'replaced', message: 'g-0 failed on node n1: gone; replaced on node n2' },
    }) as VmView;

  it('while a VM is replaced', () => {
    expect(describeWorkspace(workspace({ vms: [vm('starting')] }))).toBe(
      `Running until ${at}. g-0 failed on node n1: gone; replaced on node n2.`,
    );
    expect(describeWorkspace(workspace({ vms: [vm('running')] }))).toBe(`Running until ${at}.`);
  });

  it('when a node of its slot is drained', () => {
    const message = 'node n03: an administrator drains it: kernel update';
    expect(describeWorkspace(workspace({ reason: { code: 'node_drained', message } }))).toBe(
      `Running until ${at}. Node n03: an administrator drains it: kernel update. VMs there go on to their end; no new ones start there.`,
    );
  });

  it('when its slot was lost', () => {
    const lost = { state: 'ending', cause: 'failed', reason: why } as const;
    expect(describeWorkspace(workspace(lost))).toMatch(/can be started anew/);
    expect(describeWorkspace(workspace({ ...lost, heal: 'fail' }))).not.toMatch(/anew/);
  });
});
