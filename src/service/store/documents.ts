import type { Effect } from '../../lease/decision.ts';
import type { Slot, Vm, Workspace } from '../../lease/model.ts';
import { WspError } from '../../protocol/errors.ts';

/**
 * What the store keeps as a whole is a JSON document beside the version that it was written in. One
 * that this program cannot read stops the start, with its id: a service that goes on without it
 * would lose a lease, and one that goes on with half of it would fail in the middle of another.
 *
 * A release that changes a document's fields counts `documentVersion` up, in a migration that
 * rewrites what is there (`migrations.ts`).
 */
export const documentVersion = 1;

/** A document as it lies in a table. */
export interface DocumentRow {
  readonly id: string;
  readonly version: number;
  readonly body: string;
}

/** What a field must be; `?`: or null. */
type Kind = 'text' | 'text?' | 'number' | 'number?' | 'flag' | 'list' | 'object' | 'object?';
type Fields<Entity> = Readonly<Record<keyof Entity, Kind>>;

const workspace: Fields<Workspace> = {
  id: 'text',
  name: 'text',
  owner: 'text',
  project: 'text?',
  state: 'text',
  cause: 'text?',
  reason: 'object?',
  groups: 'list',
  pools: 'list',
  slotId: 'text',
  vmIds: 'list',
  durationMs: 'number',
  createdAt: 'number',
  startsAt: 'number?',
  endsAt: 'number?',
  suspendedMs: 'number',
  endingDeadlineAt: 'number?',
  endedAt: 'number?',
  deployDeadlineAt: 'number?',
  startBy: 'number?',
  keepPartial: 'flag',
  requeue: 'flag',
  requeues: 'number',
  heal: 'text',
  clientToken: 'text?',
  requestDigest: 'text?',
  vnis: 'object',
  noticesGivenMs: 'list',
};

const slot: Fields<Slot> = {
  id: 'text',
  pool: 'text',
  workspaceIds: 'list',
  owner: 'text?',
  warm: 'flag',
  state: 'text',
  reason: 'object?',
  lrmJobId: 'text?',
  lrmState: 'text?',
  lrmReason: 'text?',
  lrmOutlook: 'text?',
  lrmTrouble: 'object?',
  suspendedSince: 'number?',
  cancelOrdered: 'flag',
  estimatedStartAt: 'number?',
  jobEndsAt: 'number?',
  nodesWanted: 'number',
  memoryMiBPerNode: 'number',
  cpusPerNode: 'number',
  walltimeMs: 'number',
  jobNodes: 'list',
  nodes: 'list',
  createdAt: 'number',
  submittedAt: 'number?',
  deadlineAt: 'number?',
  endedAt: 'number?',
};

const vm: Fields<Vm> = {
  id: 'text',
  workspaceId: 'text',
  slotId: 'text',
  group: 'text',
  index: 'number',
  name: 'text',
  state: 'text',
  context: 'text',
  reason: 'object?',
  node: 'text?',
  image: 'text',
  memoryMiB: 'number',
  cpus: 'number',
  nics: 'list',
  orders: 'number',
  replaces: 'number',
  told: 'number',
};

const effect: Fields<Pick<Effect, 'kind' | 'key' | 'slotId'>> = {
  kind: 'text',
  key: 'text',
  slotId: 'text',
};

export const readWorkspace = reader<Workspace>('workspace', workspace);
export const readSlot = reader<Slot>('slot', slot);
export const readVm = reader<Vm>('VM', vm);
export const readEffect = reader<Effect>('effect', effect);
/** A document of `access/` or `notify/`, whose fields are their business. */
export const readAccess = reader<unknown>('access', {});

/** Reads documents of a kind. Throws `WspError` (`failed`) for one that cannot be read. */
function reader<Entity>(what: string, fields: Partial<Fields<Entity>>) {
  return ({ id, version, body }: DocumentRow): Entity => {
    const unreadable = (why: string): WspError =>
      new WspError(
        'failed',
        `the service's database has a document that cannot be read: ${what} ${id}: ${why}`,
        {
          hint: 'start the program that wrote it, or restore the state directory from a backup',
        },
      );
    if (version !== documentVersion)
      throw unreadable(`it is of version ${version}; this program reads version ${documentVersion}`);
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch {
      throw unreadable('it is not JSON');
    }
    if (!isObject(value)) throw unreadable('it is not an object');
    for (const [field, kind] of Object.entries(fields) as [string, Kind][])
      if (!isKind(value[field], kind)) throw unreadable(`its field ${field} is not ${kind}`);
    return value as Entity;
  };
}

function isKind(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'text':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'flag':
      return typeof value === 'boolean';
    case 'list':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'text?':
      return value === null || typeof value === 'string';
    case 'number?':
      return value === null || typeof value === 'number';
    case 'object?':
      return value === null || isObject(value);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
