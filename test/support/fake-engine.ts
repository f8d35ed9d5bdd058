import { PassThrough, type Duplex } from 'node:stream';
import { noQuotas } from '../../src/lease/quota.ts';
import type { Slot, Vm, Workspace } from '../../src/lease/model.ts';
import { WspError } from '../../src/protocol/errors.ts';
import type { PilotMessage, StreamTarget } from '../../src/protocol/pilot.ts';
import type {
  Engine,
  KnownWorkspace,
  PilotConnection,
  PilotHub,
  StoredEvent,
  Trial,
  WorkspaceQuery,
} from '../../src/service/core/engine-api.ts';

/** The slot's secret that the fake hub takes. */
export const slotSecret = 'the-secret-of-the-slot';

/** What stands behind the API in its tests: state and history are set by the test, orders are recorded. */
export class FakeEngine implements Engine {
  readonly workspaces = new Map<string, Workspace>();
  readonly slots = new Map<string, Slot>();
  readonly vms = new Map<string, Vm>();
  readonly history: StoredEvent[] = [];
  readonly created: { readonly owner: string; readonly request: unknown }[] = [];
  readonly extended: { readonly workspaceId: string; readonly by: string; readonly durationMs: number }[] =
    [];
  readonly destroyed: { readonly workspaceId: string; readonly by: string }[] = [];
  readonly pilots = new FakeHub();
  /** Thrown by the next `create`. */
  refusal: Error | undefined;
  readonly #listeners = new Set<() => void>();

  get state() {
    const { workspaces, slots, vms } = this;
    const settings = {
      networks: [],
      defaultNetwork: null,
      quotas: noQuotas,
      pools: [
        {
          name: 'default',
          policy: { kind: 'exact' as const },
          reaches: null,
          memory: { vmm: { fixedMiB: 96, perCpuMiB: 0, guestShare: 0 }, pilotMiB: 0 },
          site: null,
        },
      ],
      images: [],
      defaultDurationMs: 3_600_000,
      maxDurationMs: 86_400_000,
      walltimePadMs: 0,
      shutdownGraceMs: 0,
      endNoticesMs: [],
      submitTimeoutMs: 3_600_000,
      reserveTimeoutMs: 0,
      pilotSilenceMs: 300_000,
      drain: 'wait' as const,
      suspended: 'wait' as const,
      deployTimeoutMs: 0,
      releaseTimeoutMs: 0,
      retireAfterMs: Number.POSITIVE_INFINITY,
    };
    return { settings, workspaces, slots, vms, used: new Map() };
  }
  get waiting(): number {
    return this.#listeners.size;
  }

  start = (): Promise<void> => Promise.resolve();
  stop = (): Promise<void> => Promise.resolve();

  create(owner: string, request: { readonly name?: string }): Promise<Workspace> {
    if (this.refusal) return Promise.reject(this.refusal);
    this.created.push({ owner, request });
    return Promise.resolve(
      this.addWorkspace({ id: 'ws-aaaaaaaaaa', owner, name: request.name ?? 'ws-aaaaaaaaaa' }),
    );
  }

  changeQuotas = (): void => undefined;

  capacity = (): Promise<readonly []> => Promise.resolve([]);

  lrmOf = (): string => 'fake';

  tryCreate = (): Promise<Trial> =>
    Promise.resolve({ refusal: undefined, slot: undefined, doubt: undefined });

  add(workspaceId: string): Promise<Workspace> {
    return this.destroy(workspaceId, 'add');
  }

  launch(workspaceId: string): Promise<Workspace> {
    return this.destroy(workspaceId, 'launch');
  }

  operate(workspaceId: string): Promise<Workspace> {
    return this.destroy(workspaceId, 'operate');
  }

  extend(workspaceId: string, by: string, durationMs: number): Promise<Workspace> {
    this.extended.push({ workspaceId, by, durationMs });
    const workspace = this.workspaces.get(workspaceId);
    return workspace ? Promise.resolve(workspace) : Promise.reject(new WspError('not_found', 'gone'));
  }

  destroy(workspaceId: string, by: string): Promise<Workspace> {
    this.destroyed.push({ workspaceId, by });
    const workspace = this.workspaces.get(workspaceId);
    return workspace ? Promise.resolve(workspace) : Promise.reject(new WspError('not_found', 'gone'));
  }

  async find(idOrName: string, owner?: string): Promise<KnownWorkspace | undefined> {
    const of = owner === undefined ? {} : { owner };
    const [byId] = await this.list({ ...of, id: idOrName, limit: 1 });
    return byId ?? (await this.list({ ...of, name: idOrName, newestFirst: true, limit: 1 }))[0];
  }

  async list({ id, name, owner, states, sinceAt, after, newestFirst, limit }: WorkspaceQuery) {
    const isMeant = (workspace: Workspace): boolean =>
      (id === undefined || workspace.id === id) &&
      (name === undefined || workspace.name === name) &&
      (owner === undefined || workspace.owner === owner) &&
      (states?.includes(workspace.state) ?? true) &&
      (sinceAt === undefined || workspace.createdAt >= sinceAt) &&
      (after === undefined || isOlder(after, workspace));
    const found = [...this.workspaces.values()]
      .filter(isMeant)
      .toSorted((one, other) => (isOlder(one, other) ? -1 : 1));
    const ordered = newestFirst === true ? found.toReversed() : found;
    return ordered.slice(0, limit).map(workspace => ({ workspace, among: this.state }));
  }

  pastUse = (): Promise<readonly []> => Promise.resolve([]);

  events({
    after,
    workspaceId,
    workspaceIds,
    types,
    limit,
  }: {
    after: number;
    workspaceId?: string;
    workspaceIds?: readonly string[];
    types?: readonly string[];
    limit: number;
  }): Promise<StoredEvent[]> {
    const found = this.history.filter(
      event =>
        event.seq > after &&
        (workspaceId === undefined || event.workspaceId === workspaceId) &&
        (workspaceIds?.includes(event.workspaceId ?? '') ?? true) &&
        (types === undefined || types.includes(event.type)),
    );
    return Promise.resolve(found.slice(0, limit).map(event => ({ ...event, owner: this.#ownerOf(event) })));
  }

  #ownerOf({ workspaceId, slotId }: StoredEvent): string | null {
    const of = workspaceId === null ? this.slots.get(slotId ?? '') : this.workspaces.get(workspaceId);
    return of?.owner ?? null;
  }

  onEvents(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  knownHosts(workspaceId: string): Promise<string[]> {
    return Promise.resolve([`${workspaceId}.a-0 ssh-ed25519 AAAA`]);
  }

  /** Adds history and wakes those who wait. */
  tell(event: Partial<StoredEvent>): void {
    const at = this.history.length + 1;
    this.history.push({
      seq: at,
      at: 1_000 * at,
      recordedAt: 1_000 * at,
      type: 'vm.running',
      workspaceId: null,
      slotId: null,
      vmId: null,
      node: null,
      reason: null,
      owner: null,
      ...event,
    });
    for (const listener of this.#listeners) listener();
  }

  addWorkspace(values: Partial<Workspace> & { readonly id: string }): Workspace {
    const suffix = values.id.slice(3);
    const workspace: Workspace = {
      name: 'osg',
      owner: 'ann',
      project: null,
      pools: [],
      state: 'running',
      cause: null,
      reason: null,
      groups: [
        { name: 'a', image: 'mini', count: 1, memoryMiB: 128, cpus: 1, networks: ['private'], roles: [] },
      ],
      slotId: `slot-${suffix}`,
      vmIds: [`${values.id}.a-0`],
      durationMs: 3_600_000,
      createdAt: 1_000,
      startsAt: 2_000,
      endsAt: 3_602_000,
      suspendedMs: 0,
      endingDeadlineAt: null,
      endedAt: null,
      deployDeadlineAt: null,
      startBy: null,
      keepPartial: false,
      requeue: false,
      requeues: 0,
      heal: 'fail',
      clientToken: null,
      requestDigest: null,
      vnis: {},
      noticesGivenMs: [],
      ...values,
    };
    this.workspaces.set(workspace.id, workspace);
    this.slots.set(workspace.slotId, slotOf(workspace));
    for (const id of workspace.vmIds) this.vms.set(id, vmOf(workspace, id));
    return workspace;
  }

  changeVm(id: string, values: Partial<Vm>): void {
    const vm = this.vms.get(id);
    if (!vm) throw new Error(`no VM ${id}`);
    this.vms.set(id, { ...vm, ...values });
  }
}

/** Keeps what came in. */
export class FakeHub implements PilotHub {
  readonly attached: {
    slotId: string;
    node: string;
    connection: PilotConnection;
    received: PilotMessage[];
    closed: boolean;
  }[] = [];
  readonly opened: { slotId: string; node: string; target: StreamTarget }[] = [];
  readonly accepted: { slotId: string; streamId: string; stream: Duplex }[] = [];
  /** What `openStream` gives; by default what is written comes back. */
  openStream = (slotId: string, node: string, target: StreamTarget): Promise<Duplex> => {
    this.opened.push({ slotId, node, target });
    return Promise.resolve(new PassThrough());
  };

  authenticate(_slotId: string, secret: string): boolean {
    return secret === slotSecret;
  }
  attach(slotId: string, node: string, connection: PilotConnection) {
    const session = { slotId, node, connection, received: [] as PilotMessage[], closed: false };
    this.attached.push(session);
    return {
      received: (message: PilotMessage) => void session.received.push(message),
      closed: () => {
        session.closed = true;
      },
    };
  }
  acceptStream(slotId: string, streamId: string, stream: Duplex): boolean {
    if (streamId === 'unwanted') return false;
    this.accepted.push({ slotId, streamId, stream });
    return true;
  }
}

function isOlder(one: Pick<Workspace, 'createdAt' | 'id'>, other: Workspace): boolean {
  return one.createdAt === other.createdAt ? one.id < other.id : one.createdAt < other.createdAt;
}

function slotOf(workspace: Workspace): Slot {
  return {
    id: workspace.slotId,
    workspaceIds: [workspace.id],
    owner: workspace.owner,
    warm: false,
    state: 'ready',
    reason: null,
    pool: 'default',
    lrmJobId: '42',
    lrmState: 'running',
    lrmReason: null,
    lrmOutlook: null,
    lrmTrouble: null,
    suspendedSince: null,
    cancelOrdered: false,
    jobNodes: [],
    estimatedStartAt: null,
    jobEndsAt: null,
    nodesWanted: 1,
    memoryMiBPerNode: 224,
    cpusPerNode: 1,
    walltimeMs: 3_720_000,
    nodes: [
      {
        name: 'n01',
        state: 'reserved',
        address: '10.77.0.11',
        connected: true,
        reason: null,
        silentSince: null,
        hungUp: false,
        told: 0,
        appliedSeq: 2,
      },
    ],
    createdAt: 1_000,
    submittedAt: 1_000,
    deadlineAt: null,
    endedAt: null,
  };
}

function vmOf(workspace: Workspace, id: string): Vm {
  return {
    id,
    workspaceId: workspace.id,
    slotId: workspace.slotId,
    group: 'a',
    index: 0,
    name: id.slice(id.indexOf('.') + 1),
    state: 'running',
    context: 'ok',
    reason: null,
    node: 'n01',
    image: 'mini',
    memoryMiB: 128,
    cpus: 1,
    orders: 0,
    replaces: 0,
    told: 0,
    nics: [{ network: 'private', mac: '52:54:0a:5a:00:01', address: '10.90.0.1', tap: 'wt0a5a0001' }],
  };
}
