import type { Effect } from '../../lease/decision.ts';
import type { AssignedNic, Slot, SlotNode, Vm, Workspace } from '../../lease/model.ts';
import {
  contextStates,
  endCauses,
  slotNodeStates,
  slotStates,
  vmStates,
  workspaceStates,
} from '../../protocol/states.ts';
import { accessKinds, type AccessRow } from './store.ts';
import { documentOf, type Fields, unreadable } from './fields.ts';

/**
 * What the store keeps as a whole is a JSON document beside the version that it was written in. One
 * that this program cannot read stops the start, with its id: a service that goes on without it
 * would lose a lease, and one that goes on with half of it would fail in the middle of another.
 *
 * A release that changes a document's fields counts `documentVersion` up, in a migration that
 * rewrites what is there (`migrations.ts`).
 */
export const documentVersion = 1;

/** Why a document cannot be read: it is of another version, or else no JSON. */
export function whyUnread(version = documentVersion): string {
  return version === documentVersion
    ? 'it is not JSON'
    : `it is of version ${version}; this program reads version ${documentVersion}`;
}

/** A document as it lies in a table. */
export interface DocumentRow {
  readonly id: string;
  readonly version: number;
  readonly body: string;
}

const group: Fields<Workspace['groups'][number]> = {
  name: 'text',
  image: 'text',
  count: 'number',
  memoryMiB: 'number',
  cpus: 'number',
  networks: { each: 'text' },
  roles: { each: 'text' },
};

const workspace: Fields<Workspace> = {
  id: 'text',
  name: 'text',
  owner: 'text',
  project: 'text?',
  state: { oneOf: workspaceStates },
  cause: { oneOf: [null, ...endCauses] },
  reason: 'object?',
  groups: { each: { with: group } },
  pools: { each: 'text' },
  slotId: 'text',
  vmIds: { each: 'text' },
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
  noticesGivenMs: { each: 'number' },
};

const slotNode: Fields<SlotNode> = {
  name: 'text',
  state: { oneOf: slotNodeStates },
  reason: 'object?',
  address: 'text?',
  connected: 'flag',
  silentSince: 'number?',
  hungUp: 'flag',
  appliedSeq: 'number',
  told: 'number',
};

const slot: Fields<Slot> = {
  id: 'text',
  pool: 'text',
  workspaceIds: { each: 'text' },
  owner: 'text?',
  warm: 'flag',
  state: { oneOf: slotStates },
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
  jobNodes: { each: 'text' },
  nodes: { each: { with: slotNode } },
  createdAt: 'number',
  submittedAt: 'number?',
  deadlineAt: 'number?',
  endedAt: 'number?',
};

const nic: Fields<AssignedNic> = { network: 'text', mac: 'text', address: 'text', tap: 'text' };

const vm: Fields<Vm> = {
  id: 'text',
  workspaceId: 'text',
  slotId: 'text',
  group: 'text',
  index: 'number',
  name: 'text',
  state: { oneOf: vmStates },
  context: { oneOf: contextStates },
  reason: 'object?',
  node: 'text?',
  image: 'text',
  memoryMiB: 'number',
  cpus: 'number',
  nics: { each: { with: nic } },
  orders: 'number',
  replaces: 'number',
  told: 'number',
};

const effect = { kind: 'text', key: 'text', slotId: 'text' } as const;
/** What an effect of each kind has beside these. */
const ofEffect: { readonly [K in Effect['kind']]: Fields<Omit<EffectOf<K>, keyof typeof effect>> } = {
  'lrm.submit': {},
  'lrm.cancel': { jobId: 'text' },
  'lrm.observe': {},
  pilot: { node: 'text', order: { with: { kind: 'text' } } },
};
type EffectOf<K extends Effect['kind']> = Extract<Effect, { readonly kind: K }>;

export const readWorkspace = reader<Workspace>('workspace', workspace);
export const readSlot = reader<Slot>('slot', slot);
export const readVm = reader<Vm>('VM', vm);
/** A document of `access/` or `notify/`, whose fields are their business. */
export function readAccess({ kind, ...row }: DocumentRow & Pick<AccessRow, 'kind'>): AccessRow {
  if (!accessKinds.includes(kind))
    throw unreadable('access', row.id, `its kind is none that this program knows: ${kind}`);
  return { kind, id: row.id, body: anyAccess(row) };
}
const anyAccess = reader<unknown>('access', {});

/** What is owed. Throws as all of these. */
export function readEffect(row: DocumentRow): Effect {
  const found = anyEffect(row);
  if (!Object.hasOwn(ofEffect, found.kind))
    throw unreadable('effect', row.id, `its kind is none that this program knows: ${found.kind}`);
  documentOf<object>('effect', row.id, found, ofEffect[found.kind]);
  return found;
}
const anyEffect = reader<Effect>('effect', effect);

/** Reads documents of a kind. Throws `WspError` (`failed`) for one that cannot be read. */
function reader<Entity>(what: string, fields: Partial<Fields<Entity>>) {
  return ({ id, version, body }: DocumentRow): Entity => {
    if (version !== documentVersion) throw unreadable(what, id, whyUnread(version));
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch {
      throw unreadable(what, id, whyUnread());
    }
    return documentOf<Entity>(what, id, value, fields);
  };
}
