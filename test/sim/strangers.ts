import { vmMemoryMiB } from '../../src/lease/memory.ts';
import { inPool } from '../../src/lease/settings.ts';
import type { SiteState } from '../../src/lease/model.ts';

/** VMs of different owners in one slot, where the site does not say that they may; more on a node than the slot has of it. */
export function* strangers({ settings, workspaces, slots, vms }: SiteState): Iterable<string> {
  const { policy, memory: taken } = settings.pools[0] ?? inPool(settings, '');
  const owners = new Map<string, string>();
  const memory = new Map<string, number>();
  const cpus = new Map<string, number>();
  for (const vm of vms.values()) {
    const { id, slotId, node, workspaceId, state } = vm;
    if (state === 'terminated' || state === 'failed') continue;
    const owner = workspaces.get(workspaceId)?.owner ?? '';
    const first = owners.get(slotId) ?? owner;
    owners.set(slotId, first);
    if (!('shared' in policy && policy.shared) && first !== owner)
      yield `${id} of ${owner} is in ${slotId} with VMs of ${first}`;
    const before = memory.get(`${slotId} ${node}`) ?? taken.pilotMiB;
    const there = before + vmMemoryMiB(vm, taken);
    memory.set(`${slotId} ${node}`, there);
    const busy = (cpus.get(`${slotId} ${node}`) ?? 0) + vm.cpus;
    cpus.set(`${slotId} ${node}`, busy);
    if (node !== null && busy > (slots.get(slotId)?.cpusPerNode ?? 0))
      yield `the VMs on ${node} have ${busy} processors, more than ${slotId} has of it`;
    if (node !== null && there > (slots.get(slotId)?.memoryMiBPerNode ?? 0))
      yield `the VMs and the pilot on ${node} need ${there} MiB, more than ${slotId} has of it`;
  }
}
