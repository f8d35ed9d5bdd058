import type { Decision } from '../../lease/decision.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { Random } from '../../platform/random.ts';
import type { WorkspaceRequest } from '../../protocol/cluster.ts';
import type { SlotId, WorkspaceId } from '../../protocol/ids.ts';
import type { KeyPair } from '../../protocol/plan.ts';
import type { MakeKeyPair } from '../pilots/ssh-keys.ts';
import type { Commit, Secret } from '../store/store.ts';

/**
 * What a workspace has that others must not see. Made and stored with it, in the same transaction;
 * deleted when it has ended.
 */
export interface WorkspaceSecrets {
  /** As the client sent it: with user data and SSH keys. */
  readonly request: WorkspaceRequest;
  readonly clusterKey: KeyPair;
  /** By VM name. */
  readonly hostKeys: Readonly<Record<string, KeyPair>>;
}

const slotSecretBytes = 32;

/**
 * The committed secrets, in memory. Invariant: a workspace that lives has its secrets, a slot has its
 * secret until it is retired (a pilot that comes back late must still be told by name that its slot
 * is over; one that comes back later is not let in, and leaves for that).
 */
export class Secrets {
  readonly #random: Random;
  readonly #makeKeyPair: MakeKeyPair;
  #values = new Map<string, string>();
  /** Given to a commit that is not done. */
  readonly #staged = new Map<string, string>();

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
    const secrets = [...this.#changed(input, decision), ...this.#newSlots(decision)];
    for (const { key, value } of secrets) this.#staged.set(key, value);
    return {
      secrets,
      forgotten: [
        ...decision.workspaces.filter(({ state }) => state === 'ended').map(({ id }) => workspaceKey(id)),
        ...decision.retired.flatMap(({ slotId }) => (slotId === null ? [] : slotKey(slotId))),
      ],
    };
  }

  committed({ secrets, forgotten }: Commit): void {
    for (const { key, value } of secrets) {
      this.#values.set(key, value);
      if (this.#staged.get(key) === value) this.#staged.delete(key);
    }
    for (const key of forgotten) this.#values.delete(key);
  }

  /**
   * The commit that they were given to has failed: nothing of it has happened, and who asks again
   * is given new ones.
   */
  rollBack(): void {
    this.#staged.clear();
  }

  #changed(input: LeaseInput, decision: Decision): readonly Secret[] {
    switch (input.type) {
      case 'create':
        return isNew(input, decision) ? this.#newSecrets(input, decision) : [];
      case 'add': {
        const before = this.#newest(input.workspaceId);
        if (!before || decision.workspaces.length === 0) return [];
        const groups = [...before.request.groups, ...input.groups];
        return [workspaceSecret(input.workspaceId, { ...before, request: { ...before.request, groups } })];
      }
      case 'launch': {
        const before = this.#newest(input.workspaceId);
        if (!before || decision.vms.length === 0) return [];
        return [workspaceSecret(input.workspaceId, { ...before, hostKeys: this.#hostKeys(decision) })];
      }
      default:
        return [];
    }
  }

  #newSecrets(input: Extract<LeaseInput, { type: 'create' }>, decision: Decision): readonly Secret[] {
    return [
      workspaceSecret(input.workspaceId, {
        request: input.request,
        clusterKey: this.#makeKeyPair(input.workspaceId),
        hostKeys: this.#hostKeys(decision),
      }),
    ];
  }

  #newSlots({ slots }: Decision): readonly Secret[] {
    return slots
      .map(({ id }) => slotKey(id))
      .filter(key => !this.#values.has(key) && !this.#staged.has(key))
      .map(key => ({
        key,
        value: Buffer.from(this.#random.bytes(slotSecretBytes)).toString('base64url'),
      }));
  }

  #hostKeys({ vms }: Decision): Record<string, KeyPair> {
    return Object.fromEntries(vms.map(vm => [vm.name, this.#makeKeyPair(vm.id)] satisfies [string, KeyPair]));
  }

  /** What several inputs of one commit change, each changes on top of the one before. */
  #newest(id: WorkspaceId): WorkspaceSecrets | undefined {
    const value = this.#staged.get(workspaceKey(id)) ?? this.#values.get(workspaceKey(id));
    return value === undefined ? undefined : (JSON.parse(value) as WorkspaceSecrets);
  }
}

function workspaceSecret(id: WorkspaceId, secrets: WorkspaceSecrets): Secret {
  return { key: workspaceKey(id), value: JSON.stringify(secrets) };
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
