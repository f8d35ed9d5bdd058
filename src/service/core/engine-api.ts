import type { Duplex } from 'node:stream';
import type { HistoryEvent, Refusal } from '../../lease/decision.ts';
import type { SiteState, Slot, Workspace } from '../../lease/model.ts';
import type { Quotas } from '../../lease/settings.ts';
import type { LrmCapabilities, LrmError } from '../../lrm/lrm.ts';
import type { GroupRequest, OperateRequest, WorkspaceRequest } from '../../protocol/cluster.ts';
import type { PilotMessage, ServiceMessage, StreamTarget } from '../../protocol/pilot.ts';
import type { WorkspaceState } from '../../protocol/states.ts';

/**
 * The seam between the service's inside (writer, store, outbox, reconcilers, pilot hub:
 * `engine.ts`) and its outside (HTTP, WebSockets: `api/`). The simulated world drives the same seam
 * without a network.
 */
export interface Engine {
  /** Loads the store, starts the reconcilers, runs the effects that are still pending. */
  start(): Promise<void>;
  /** Finishes the transaction in hand and stops. Leases go on; nothing is lost. */
  stop(): Promise<void>;
  /** The newest committed state. Read it, never keep it across an await. */
  readonly state: SiteState;
  /** What users and projects may have, from now on. */
  changeQuotas(quotas: Quotas): void;
  /** What each pool's LRM can give, and what of it is free, asked now. */
  capacity(): Promise<readonly PoolCapacity[]>;
  /** The kind of a pool's LRM: `slurm`. */
  lrmOf(pool: string): string;
  readonly workspaces: WorkspaceService;
  /**
   * The workspace of an id, or the newest of a name, also when it ended long ago; of this owner, or
   * of anybody.
   */
  find(idOrName: string, owner?: string): Promise<KnownWorkspace | undefined>;
  /** Workspaces, also those that ended long ago. */
  list(query: WorkspaceQuery): Promise<readonly KnownWorkspace[]>;
  /** What VMs of retired workspaces, but of these, have run in a period (milliseconds since the epoch). */
  pastUse(since: number, until: number, except: readonly string[]): Promise<readonly PastUse[]>;
  /** History in order, after `after`, at most `limit`. */
  events(query: {
    readonly after: number;
    readonly workspaceId?: string;
    readonly workspaceIds?: readonly string[];
    readonly types?: readonly string[];
    readonly limit: number;
  }): Promise<readonly StoredEvent[]>;
  /** Called after each commit that added history. Returns the way to stop. */
  onEvents(listener: () => void): () => void;
  /** OpenSSH known_hosts lines of a workspace's VMs, host part `<workspaceId>.<vm name>`. */
  knownHosts(workspaceId: string): Promise<readonly string[]>;
  readonly pilots: PilotHub;
}

/** What clients ask for (paper §2.1). Who may ask it is the API's business. */
export interface WorkspaceService {
  /**
   * What `create` would answer to this request now, and what the LRM says of the job that it would
   * come to; changes nothing.
   */
  tryCreate(owner: string, request: WorkspaceRequest): Promise<Trial>;
  /** Throws `WspError` with the refusal's code. Resolves once the workspace is durable. */
  create(owner: string, request: WorkspaceRequest): Promise<Workspace>;
  /**
   * Adds groups to a workspace that has not been launched. Throws `WspError` with the refusal's
   * code. Resolves once they are durable.
   */
  add(workspaceId: string, by: string, groups: readonly GroupRequest[]): Promise<Workspace>;
  /** Launches a pending workspace. Throws `WspError` with the refusal's code. Resolves once it is durable. */
  launch(workspaceId: string, by: string): Promise<Workspace>;
  /** Makes a lease longer. Throws `WspError` with the refusal's code. Resolves once it is durable. */
  extend(workspaceId: string, by: string, durationMs: number): Promise<Workspace>;
  /** Has something done to VMs. Throws `WspError` with the refusal's code. Resolves once the order is durable. */
  operate(workspaceId: string, by: string, request: OperateRequest): Promise<Workspace>;
  /**
   * Resolves once the order is durable. What has ended already is returned as it is. Throws
   * `WspError` (`not_found`).
   */
  destroy(workspaceId: string, by: string): Promise<Workspace>;
}

/** A workspace, and where its slot and its VMs are found: in memory, or as they were read from the store. */
export interface KnownWorkspace {
  readonly workspace: Workspace;
  readonly among: Pick<SiteState, 'slots' | 'vms'>;
}

/** Which workspaces; each condition that is there must hold. */
export interface WorkspaceQuery {
  readonly id?: string;
  readonly name?: string;
  readonly owner?: string;
  readonly clientToken?: string;
  readonly states?: readonly WorkspaceState[];
  /** Made at this time (milliseconds since the epoch) or later. */
  readonly sinceAt?: number;
  /** Those that come after it in the order of their making. */
  readonly after?: Pick<Workspace, 'createdAt' | 'id'>;
  /** The newest first. Absent: the oldest. */
  readonly newestFirst?: boolean;
  readonly limit: number;
}

/** What VMs of one owner's workspaces in one project have run. */
export interface PastUse extends Pick<Workspace, 'owner' | 'project'> {
  readonly vmMs: number;
  /** Each VM's time, times its processors and its memory. */
  readonly cpuMs: number;
  readonly memoryMiBMs: number;
}

/** A pool and what its LRM says; `now` is undefined when it does not answer. */
export interface PoolCapacity {
  readonly name: string;
  readonly lrm: string;
  readonly now: LrmCapabilities | undefined;
  readonly trouble: PoolTrouble | undefined;
}

/**
 * Why an LRM does not tell what it can give: it cannot be asked, or (`refused`) the site file asks
 * for what it does not have.
 */
export interface PoolTrouble {
  readonly kind: LrmError['kind'];
  /** The LRM's words. */
  readonly message: string;
  /** Since when, milliseconds since the epoch. */
  readonly since: number;
}

/** What would become of a request. */
export interface Trial {
  readonly refusal: Refusal | undefined;
  /** What would be asked of the LRM; undefined when it is refused, or would wait for its launch. */
  readonly slot: Slot | undefined;
  /**
   * Why the LRM would not take its job now, but perhaps later; undefined: it would, or was not to
   * be asked.
   */
  readonly doubt: string | undefined;
}

/** An event as the store has it: numbered, and with the service's own time (milliseconds since the epoch). */
export interface StoredEvent extends Omit<HistoryEvent, 'type'> {
  /** One of `eventTypes`, or of an older release's. */
  readonly type: string;
  readonly seq: number;
  readonly recordedAt: number;
  /** Whose workspace it is of, or whose slot; null: nobody's. */
  readonly owner: string | null;
}

/** The pilots' connections, whatever carries them. */
export interface PilotHub {
  /** True when the secret is the slot's. Compared in constant time. */
  authenticate(slotId: string, secret: string): boolean;
  /**
   * Takes over a connection that has authenticated for this slot and node; an older one of the same
   * node is closed.
   */
  attach(slotId: string, node: string, connection: PilotConnection): PilotConnectionHandler;
  /** Opens a byte stream through a VM's pilot. Throws `WspError` (`unreachable`, `timeout`). */
  openStream(slotId: string, node: string, target: StreamTarget): Promise<Duplex>;
  /** The pilot's side of a stream has arrived. False: nobody waits for it. */
  acceptStream(slotId: string, streamId: string, stream: Duplex): boolean;
}

/** The service's end of one connection. Messages are parsed and have passed the schema. */
export interface PilotConnection {
  /** The address that it comes from; absent: something else carries it. */
  readonly peerAddress?: string | undefined;
  send(message: ServiceMessage): void;
  close(why: string): void;
  /**
   * Stops reading, so that the pilot has to wait with what it says; and goes on. Absent: it cannot.
   */
  pause?(): void;
  resume?(): void;
}

/** Where a connection's messages go. */
export interface PilotConnectionHandler {
  received(message: PilotMessage): void;
  /**
   * `byPeer`: the other end's kernel closed it, without the closing handshake of a program that
   * lives.
   */
  closed(byPeer?: boolean): void;
}
