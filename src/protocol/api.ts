import Type from 'typebox';
import { HealPolicy } from './cluster.ts';
import { literals, MaybeText, MaybeTime, orNull, Text, Time } from './schema.ts';
import {
  contextStates,
  endCauses,
  ownNodeStates,
  slotNodeStates,
  shownVmStates,
  shownWorkspaceStates,
  slotStates,
} from './states.ts';

/**
 * The shapes of the HTTP API's answers. Every list takes `limit` and `cursor`, and has `next`, the
 * cursor of its next page or null (src/service/api/paging.ts). Times are ISO 8601 in UTC with
 * milliseconds; a time that is not known (yet) is null.
 *
 *   POST   /v1/workspaces                     WorkspaceRequest → 201 Workspace
 *   GET    /v1/workspaces?state=S&owner=U&name=N&since=T&all=true → { workspaces: Workspace[], next }   live ones; with all=true the ended ones too
 *   GET    /v1/workspaces/:workspace          id or name → Workspace (a name means its newest)
 *   DELETE /v1/workspaces/:workspace          → 202 Workspace (destroying what has ended already succeeds)
 *   POST   /v1/workspaces/dry-run             WorkspaceRequest → DryRun
 *   POST   /v1/workspaces/:workspace/groups   AddRequest → Workspace      while it is pending
 *   POST   /v1/workspaces/:workspace/launch   → Workspace
 *   POST   /v1/workspaces/:workspace/extend   ExtendRequest → Workspace
 *   POST   /v1/workspaces/:workspace/operations OperateRequest → 202 Workspace
 *   GET    /v1/workspaces/:workspace/timeline → Timeline
 *   GET    /v1/workspaces/:workspace/known-hosts → { lines: string[] }    OpenSSH lines `<workspaceId>.<vm> ssh-ed25519 …`
 *   GET    /v1/events?after=SEQ&workspace=W&waitMs=N&limit=N → { events: Event[], next: SEQ }   long poll: answers at once when there are events
 *   GET    /v1/events/stream?workspace=W      server-sent events; Last-Event-ID goes on after that one
 *   GET    /v1/types                          → Types
 *   GET    /v1/slots, /v1/nodes, /v1/images   → { slots }, { nodes }, { images }
 *   GET    /v1/whoami                         → Whoami
 *   GET    /v1/users, /v1/projects            → { users }, { projects }          PUT /v1/users/:user, /v1/projects/:project (admin)
 *   GET    /v1/tokens · POST /v1/tokens · DELETE /v1/tokens/:id                  their tokens are in the answer to POST alone
 *   GET    /v1/webhooks · POST /v1/webhooks · DELETE /v1/webhooks/:id            … /:id/resume, /:id/dead-letters
 *   GET    /v1/usage?since=T&until=T          → Usage
 *   GET    /v1/audit?before=SEQ&limit=N&user=U&since=T → { entries: Audit[], next: SEQ }             operators
 *   GET    /v1/health (no token)              → { status: 'ok', version }
 *   WS     /v1/workspaces/:workspace/vms/:vm/stream?target=tcp&port=22 | target=console    bytes, both ways
 *   GET    /openapi.json (no token)
 */

const MaybeReason = orNull(Type.Object({ code: Text, message: Text }));

export const VmView = Type.Object({
  id: Text,
  name: Text,
  group: Text,
  state: literals(shownVmStates),
  context: literals(contextStates),
  reason: MaybeReason,
  node: MaybeText,
  /** Since when its node's pilot is not heard; null: it is connected, or the VM has no node. */
  unheardSince: MaybeTime,
  image: Text,
  memoryMiB: Type.Integer(),
  cpus: Type.Integer(),
  /** The first interface's address of the hardware; null for a VM without network. */
  mac: MaybeText,
  addresses: Type.Array(Type.Object({ network: Text, address: Text, mac: Text })),
});
export type VmView = Type.Static<typeof VmView>;

/** The batch scheduler could not be asked, or has put a request off; it is tried again. */
const LrmTroubleView = Type.Object({
  /** What was tried: to submit the job, to cancel it, or to hear how it is. */
  doing: literals(['submit', 'cancel', 'list'] as const),
  kind: literals(['deferred', 'unavailable'] as const),
  /** The scheduler's words. */
  message: Text,
  since: Time,
});

/** What the batch scheduler says of a slot's job, and whether it can be asked. */
const lrmWords = {
  lrmState: MaybeText,
  /** Why the job waits, or what is done before it runs. */
  lrmReason: MaybeText,
  /** Whether a job that waits will start by itself; null: nobody knows. */
  lrmOutlook: orNull(literals(['passes', 'needs-somebody', 'never'] as const)),
  lrmTrouble: orNull(LrmTroubleView),
  /** Since when the scheduler has the job's processes stopped. */
  suspendedSince: MaybeTime,
};

const WorkspaceSlotView = Type.Object({
  id: Text,
  pool: Text,
  lrmJobId: MaybeText,
  state: literals(slotStates),
  ...lrmWords,
  estimatedStartAt: MaybeTime,
});

export const WorkspaceView = Type.Object({
  id: Text,
  name: Text,
  owner: Text,
  project: MaybeText,
  state: literals(shownWorkspaceStates),
  /** How it ended; null while it lives. */
  cause: orNull(literals(endCauses)),
  /** Why it is in this state: why it waits, or how it came to end. */
  reason: MaybeReason,
  groups: Type.Array(
    Type.Object({
      name: Text,
      image: Text,
      count: Type.Integer(),
      memoryMiB: Type.Integer(),
      cpus: Type.Integer(),
      networks: Type.Array(Text),
      roles: Type.Array(Text),
    }),
  ),
  vms: Type.Array(VmView),
  slot: orNull(WorkspaceSlotView),
  /** Every VM with an agent has reported that its context is in place. */
  contextualized: Type.Boolean(),
  durationMs: Type.Integer(),
  /** A VM that fails takes only itself out. */
  keepPartial: Type.Boolean(),
  /** It is started anew when the batch scheduler takes its nodes back; `requeues`: how often that was done. */
  requeue: Type.Boolean(),
  requeues: Type.Integer({ minimum: 0 }),
  /** What becomes of it when a VM is lost while it runs. */
  heal: HealPolicy,
  createdAt: Time,
  /** The lease begins by then, or never. */
  startBy: MaybeTime,
  startsAt: MaybeTime,
  endsAt: MaybeTime,
  endedAt: MaybeTime,
});
export type WorkspaceView = Type.Static<typeof WorkspaceView>;

/** One line of the history; `at` is the clock of whoever saw it (the node, for what pilots report), `recordedAt` the service's. */
export const EventView = Type.Object({
  seq: Type.Integer(),
  at: Time,
  recordedAt: Time,
  /** For example `workspace.running`, `slot.ready`, `node.reserved`, `vm.starting`, `vm.context.ok`, `slot.lrm`. */
  type: Text,
  workspace: MaybeText,
  slot: MaybeText,
  vm: MaybeText,
  node: MaybeText,
  reason: MaybeReason,
});
export type EventView = Type.Static<typeof EventView>;

const PoolView = Type.Object({
  name: Text,
  /** The kind of its LRM, such as `slurm`. */
  lrm: Text,
  /** How nodes are asked for; see the site's documentation. */
  policy: Text,
  /** The networks that its nodes reach. */
  networks: Type.Array(Text),
  /** What the LRM said now; null when it does not answer. */
  nodes: orNull(
    Type.Object({
      /** How many one workspace could ever have, and how many do nothing now (null: the LRM does not tell). */
      count: Type.Integer(),
      idle: orNull(Type.Integer()),
      /** The most that one VM can have. */
      vmMemoryMiB: Type.Integer(),
      vmCpus: Type.Integer(),
      /** Its sizes of nodes, the largest first; empty: all nodes are alike. */
      sizes: Type.Array(
        Type.Object({
          count: Type.Integer(),
          idle: orNull(Type.Integer()),
          memoryMiB: Type.Integer(),
          cpus: Type.Integer(),
        }),
      ),
    }),
  ),
  /** Why, and since when, it does not answer or is set up wrongly (`refused`); null: it answers. */
  trouble: orNull(
    Type.Object({
      kind: literals(['refused', 'deferred', 'unavailable'] as const),
      message: Text,
      since: Time,
    }),
  ),
});

/** What can be leased here, and what is free at this moment. */
export const TypesView = Type.Object({
  images: Type.Array(Type.Object({ name: Text, agent: Type.Boolean() })),
  networks: Type.Array(
    Type.Object({
      name: Text,
      /** In all, and not held by a live VM. */
      addresses: Type.Integer(),
      freeAddresses: Type.Integer(),
    }),
  ),
  defaultNetwork: MaybeText,
  /** Where VMs can run, in the site's order of preference. */
  pools: Type.Array(PoolView),
  defaultDurationMs: Type.Integer(),
  maxDurationMs: Type.Integer(),
  /** How long before its end a lease is announced. */
  endNoticesMs: Type.Array(Type.Integer()),
});
export type TypesView = Type.Static<typeof TypesView>;

/** Whether a request would be accepted now, and what would be asked of the batch scheduler. */
export const DryRunView = Type.Object({
  accepted: Type.Boolean(),
  refusal: orNull(Type.Object({ code: Text, message: Text, hint: Type.Optional(Text) })),
  /** Why its job would not be taken now, but perhaps later; null: it would, or nobody is asked. */
  doubt: MaybeText,
  /** Null when it is refused, or would wait for its launch. */
  slot: orNull(
    Type.Object({
      /** The slot that is there already; null when it would be asked for. */
      held: MaybeText,
      nodes: Type.Integer(),
      memoryMiBPerNode: Type.Integer(),
      cpusPerNode: Type.Integer(),
      walltimeMs: Type.Integer(),
    }),
  ),
});
export type DryRunView = Type.Static<typeof DryRunView>;

/** The paper's breakdown of one lease (Figures 2 to 5): hops in order, each with its length. */
export const TimelineView = Type.Object({
  workspace: Text,
  hops: Type.Array(
    Type.Object({
      /** `request`, `submit`, `lrm`, `pilot`, `place`, `propagate`, `create`, `context`, `lease`, `stop`, `release`, `lrm-end`. */
      hop: Text,
      /** What the hop is, in words. */
      meaning: Text,
      startedAt: Time,
      endedAt: MaybeTime,
      durationMs: orNull(Type.Integer()),
    }),
  ),
});
export type TimelineView = Type.Static<typeof TimelineView>;

export const SlotView = Type.Object({
  id: Text,
  /** In it now; when none is, the last one that was. */
  workspaces: Type.Array(Text),
  /** Whose workspace was the first in it. */
  owner: MaybeText,
  /** Asked for before anybody needed it. */
  warm: Type.Boolean(),
  state: literals(slotStates),
  reason: MaybeReason,
  pool: Text,
  lrm: Text,
  lrmJobId: MaybeText,
  ...lrmWords,
  nodesWanted: Type.Integer(),
  nodes: Type.Array(
    Type.Object({
      name: Text,
      state: literals(slotNodeStates),
      /** Why it is in that state: what failed, what cannot be undone yet. */
      reason: MaybeReason,
      connected: Type.Boolean(),
      address: MaybeText,
    }),
  ),
  memoryMiBPerNode: Type.Integer(),
  cpusPerNode: Type.Integer(),
  walltimeMs: Type.Integer(),
  createdAt: Time,
  estimatedStartAt: MaybeTime,
  jobEndsAt: MaybeTime,
  /** When something happens to it by itself: it is given up, cancelled, or no longer kept. */
  deadlineAt: MaybeTime,
});
export type SlotView = Type.Static<typeof SlotView>;

export const NodeView = Type.Object({
  name: Text,
  pool: Text,
  /** Null: a node of our own that is in none. */
  slot: MaybeText,
  state: literals([...slotNodeStates, ...ownNodeStates]),
  connected: Type.Boolean(),
  address: MaybeText,
  vms: Type.Array(Text),
});
export type NodeView = Type.Static<typeof NodeView>;

export const ImageView = Type.Object({
  name: Text,
  description: Text,
  boot: Type.Union([Type.Literal('kernel'), Type.Literal('disk')]),
  sizeBytes: Type.Integer(),
});
export type ImageView = Type.Static<typeof ImageView>;

/** The JSON shape of every error; `ErrorBody` in errors.ts is its type. */
export const ErrorView = Type.Object({
  error: Type.Object({
    code: Text,
    message: Text,
    hint: Type.Optional(Text),
    details: Type.Optional(Type.Array(Type.Object({ path: Text, message: Text }))),
  }),
});
