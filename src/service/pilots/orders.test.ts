import { describe, expect, it, vi } from 'vitest';
import type { PilotEffect } from '../../lease/decision.ts';
import type { SiteState } from '../../lease/model.ts';
import type { PlanSite } from './plan.ts';
import { completeOrder, type OrderParts } from './orders.ts';

/** What plans hold is plan.test.ts's; here, whether there is one, and of what. */
vi.mock('./plan.ts', () => ({
  planVm: (vm: object, of: object) => ({ vm, of }),
  planPeers: (node: string, of: object) => (node === 'alone' ? [] : [{ node, of }]),
}));

const site = {} as PlanSite;
const kept = { host: 'keys' };
const vm = { id: 'vm-1', workspaceId: 'ws-1', state: 'requested' };
const other = { id: 'vm-2', workspaceId: 'ws-1', state: 'failed' };
const workspace = { id: 'ws-1', slotId: 'slot-1', vmIds: ['vm-1', 'vm-2', 'vm-gone'] };
const slot = { id: 'slot-1' };

interface Given {
  readonly vm?: object;
  readonly workspace?: object | undefined;
  readonly slot?: object | undefined;
  readonly secrets?: object | undefined;
}

function parts(given: Given = {}): OrderParts {
  const all = { vm, workspace, slot, secrets: kept, ...given };
  const map = (entries: readonly (object | undefined)[]) =>
    new Map(entries.flatMap(each => (each ? [[(each as { id: string }).id, each]] : [])));
  const state = { vms: map([all.vm, other]), workspaces: map([all.workspace]), slots: map([all.slot]) };
  return {
    state: state as unknown as SiteState,
    secrets: { workspace: id => (id === 'ws-1' ? all.secrets : undefined) as never },
    plan: site,
  };
}

const effect = (order: object, node = 'n0'): PilotEffect =>
  ({ kind: 'pilot', key: 'k', slotId: 'slot-1', node, order }) as PilotEffect;
const start = effect({ kind: 'start-vm', vmId: 'vm-1' });
const peers = (node: string) => effect({ kind: 'set-peers', workspaceId: 'ws-1' }, node);

describe('an order to start a VM', () => {
  it.each(['requested', 'propagating', 'running'])('has its plan, of all of its workspace: %s', state => {
    const begun = { ...vm, state };
    expect(completeOrder(start, parts({ vm: begun }))).toEqual({
      kind: 'start-vm',
      vm: { vm: begun, of: { workspace, vms: [begun, other], slot, secrets: kept } },
    });
  });

  it.each(['stopping', 'terminated', 'failed'])('is none any more for one that is %s', state => {
    expect(completeOrder(start, parts({ vm: { ...vm, state } }))).toBeUndefined();
  });

  it.each<Given>([
    { vm: { id: 'x' } },
    { workspace: undefined },
    { slot: undefined },
    { secrets: undefined },
  ])('is none when something that it needs is gone: %j', given => {
    expect(completeOrder(start, parts(given))).toBeUndefined();
  });
});

describe('an order to send to other peers', () => {
  it('has the bridges of the workspace on that node', () => {
    expect(completeOrder(peers('n0'), parts())).toEqual({
      kind: 'set-peers',
      bridges: [{ node: 'n0', of: { workspace, vms: [vm, other], slot } }],
    });
  });

  it.each<[string, Given]>([
    ['alone', {}],
    ['n0', { workspace: undefined }],
    ['n0', { slot: undefined }],
    ['n0', { workspace: { ...workspace, slotId: 'slot-2' } }],
  ])('is none on a node (%s) where there are none: %j', (node, given) => {
    expect(completeOrder(peers(node), parts(given))).toBeUndefined();
  });
});

it('every other order is as it was decided', () => {
  const order = { kind: 'stop-vm', vmId: 'vm-none', graceMs: 7 };
  expect(completeOrder(effect(order), parts())).toBe(order);
});
