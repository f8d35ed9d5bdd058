import type { Decision, LeaseInput } from '../lease/types.ts';
import type { Random } from '../platform/random.ts';
import type { WorkspaceRequest } from '../protocol/cluster.ts';
import type { SlotId, WorkspaceId } from '../protocol/ids.ts';
import type { KeyPair } from '../protocol/plan.ts';
import type { MakeKeyPair } from './context.ts';
import type { Commit, Secret } from './store/store.ts';

/** What a workspace has that others must not see. Made and stored with it, in the same transaction; deleted when it has ended. */
export interface WorkspaceSecrets {
  /** As the client sent it: with user data and SSH keys. */
  readonly request: WorkspaceRequest;
  readonly clusterKey: KeyPair;
  /** By VM name. */
  readonly hostKeys: Readonly<Record<string, KeyPair>>;
}

const slotSecretBytes = 32;

/**
 * The committed secrets, in memory. Invariant: a workspace that lives has its secrets, a slot has its secret as long as it is known (a pilot
 * that comes back late must still be told by name that its slot is over).
 */
export class Secrets {
  readonly #random: Random;
  readonly #makeKeyPair: MakeKeyPair;
  #values = new Map<string, string>();

  constructor(random: Random, makeKeyPair: MakeKeyPair) {
    this.#random = random;
    this.#makeKeyPair = makeKeyPair;
  }

  load(values: ReadonlyMap<string, string>): void {
    this.#values = new Map(values);
  }

  slot(slotId: SlotId): string | undefined {
    return this.#values.get(slotKey(slotId));
  }

  workspace(workspaceId: WorkspaceId): WorkspaceSecrets | undefined {
    const value = this.#values.get(workspaceKey(workspaceId));
    return value === undefined ? undefined : (JSON.parse(value) as WorkspaceSecrets);
  }

  /** What must be stored and deleted together with this decision. */
  companions(input: LeaseInput, decision: Decision): Pick<Commit, 'secrets' | 'forgotten'> {
    return {
      secrets: isNew(input, decision) ? this.#newSecrets(input, decision) : [],
      forgotten: decision.workspaces
        .filter(({ state }) => state === 'ended')
        .map(({ id }) => workspaceKey(id)),
    };
  }

  committed({ secrets, forgotten }: Commit): void {
    for (const { key, value } of secrets) this.#values.set(key, value);
    for (const key of forgotten) this.#values.delete(key);
  }

  #newSecrets(input: Extract<LeaseInput, { type: 'create' }>, decision: Decision): readonly Secret[] {
    const secrets: WorkspaceSecrets = {
      request: input.request,
      clusterKey: this.#makeKeyPair(input.workspaceId),
      hostKeys: Object.fromEntries(
        decision.vms.map(vm => [vm.name, this.#makeKeyPair(vm.id)] satisfies [string, KeyPair]),
      ),
    };
    return [
      { key: workspaceKey(input.workspaceId), value: JSON.stringify(secrets) },
      {
        key: slotKey(input.slotId),
        value: Buffer.from(this.#random.bytes(slotSecretBytes)).toString('base64url'),
      },
    ];
  }
}

/** A create that comes again with its client token makes nothing new. */
function isNew(input: LeaseInput, decision: Decision): input is Extract<LeaseInput, { type: 'create' }> {
  return input.type === 'create' && decision.workspaces.some(({ id }) => id === input.workspaceId);
}

function workspaceKey(id: WorkspaceId): string {
  return `workspace:${id}`;
}
function slotKey(id: SlotId): string {
  return `slot:${id}`;
}
