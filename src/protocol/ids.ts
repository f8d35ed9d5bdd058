/**
 * Names and identifiers: their shapes, in one place, so that every boundary checks the same thing.
 * All of them end up in file names, interface names or command arguments on a node; none may contain more than this.
 */

/** `ws-` and ten characters of base32, for example `ws-k3v9q2m7xa`. Unique for ever. */
export type WorkspaceId = string;
/** `slot-` and ten characters of base32. Unique for ever; the LRM job is named `wsp-<slotId>`. */
export type SlotId = string;
/** `<workspaceId>.<group>-<index>`, for example `ws-k3v9q2m7xa.worker-0`; `.1` and so on after it: the VMs that have replaced one that was lost. */
export type VmId = string;

export const workspaceIdPattern = '^ws-[a-z2-7]{10}$';
export const slotIdPattern = '^slot-[a-z2-7]{10}$';
export const vmIdPattern = '^ws-[a-z2-7]{10}\\.[a-z][a-z0-9-]{0,30}-[0-9]{1,4}(\\.[0-9]{1,2})?$';
/** A workspace's or group's or network's or image's name: also a DNS label. */
export const namePattern = '^[a-z][a-z0-9-]{0,30}$';
export const nodeNamePattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$';
/** Interface names: at most 15 characters (IFNAMSIZ - 1). */
export const interfacePattern = '^[A-Za-z][A-Za-z0-9._-]{0,14}$';
export const macPattern = '^([0-9a-f]{2}:){5}[0-9a-f]{2}$';

const base32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** Ten base32 characters from at least ten random bytes: the variable part of an id. */
export function idSuffix(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 10), byte => base32[byte & 31]).join('');
}

/** A VM's name inside its workspace: `worker-0`. */
export function vmName(group: string, index: number): string {
  return `${group}-${index}`;
}

/** A VM's id, unique for ever: `ws-k3v9q2m7xa.worker-0`. `replaces`: how many VMs were lost in its place. */
export function vmIdOf(workspaceId: WorkspaceId, group: string, index: number, replaces = 0): VmId {
  const name = `${workspaceId}.${vmName(group, index)}`;
  return replaces === 0 ? name : `${name}.${replaces}`;
}

/** The LRM job's name for a slot: how the LRM's own list is matched with our slots after a crash. */
export function jobNameOf(slotId: SlotId): string {
  return `wsp-${slotId}`;
}

/** The slot that a job name speaks of, or undefined when the job is not one of ours. */
export function slotIdOfJobName(jobName: string): SlotId | undefined {
  const slotId = jobName.startsWith('wsp-') ? jobName.slice(4) : '';
  return new RegExp(slotIdPattern).test(slotId) ? slotId : undefined;
}

/** The pool of a site that has one only and does not name it. */
export const defaultPoolName = 'default';
