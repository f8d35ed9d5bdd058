import type { SiteMaps } from '../../src/lease/decide.ts';
import type { HistoryEvent } from '../../src/lease/decision.ts';
import type { Slot, Vm, Workspace } from '../../src/lease/model.ts';
import { silentLog } from '../../src/platform/log.ts';
import type { Random } from '../../src/platform/random.ts';
import { createVirtualClock } from '../../src/platform/virtual-clock.ts';
import { createEngine } from '../../src/service/core/engine.ts';
import type { Engine, StoredEvent, WorkspaceService } from '../../src/service/core/engine-api.ts';
import { openSqliteStore } from '../../src/service/store/sqlite.ts';
import type { Commit, Store } from '../../src/service/store/store.ts';
import { countingRandom, engineOptions, FakeLrm, must } from './engine.ts';
import { FakeHub } from './fake-hub.ts';

/** A new engine for tests of what is before it: started, and empty. */
export async function sceneEngine(): Promise<SceneEngine> {
  const store = openSqliteStore({ directory: ':memory:' });
  const clock = createVirtualClock(0);
  const options = engineOptions(clock, new FakeLrm());
  const engine = createEngine({ ...options, store, log: silentLog, random: idsOfA() });
  await engine.start();
  return new SceneEngine(engine, store);
}

/**
 * The real engine, on a store in memory and with a scheduler that starts nothing, behind the API in
 * its tests. A test sets a scene: it puts workspaces and history there without having lived them.
 * Orders are recorded; those for what was created here are carried out, while what a test has set
 * stays as it was set. Only the pilots' hub is a fake.
 */
export class SceneEngine implements Engine {
  readonly created: { readonly owner: string; readonly request: unknown }[] = [];
  readonly extended: { readonly workspaceId: string; readonly by: string; readonly durationMs: number }[] =
    [];
  readonly destroyed: { readonly workspaceId: string; readonly by: string }[] = [];
  readonly pilots = new FakeHub();
  /** Thrown by the next `create`. */
  refusal: Error | undefined;
  readonly #engine: Engine;
  readonly #store: Store;
  readonly #listeners = new Set<() => void>();
  readonly #ofScene = new Set<string>();
  /** The scene is stored so far. */
  #set: Promise<void> = Promise.resolve();
  #told = 0;

  constructor(engine: Engine, store: Store) {
    this.#engine = engine;
    this.#store = store;
    engine.onEvents(() => this.#wake());
  }

  get state(): Engine['state'] {
    return this.#engine.state;
  }
  /** How many wait for events. */
  get waiting(): number {
    return this.#listeners.size;
  }

  readonly workspaces: WorkspaceService = {
    create: async (owner, request) => {
      if (this.refusal) throw this.refusal;
      this.created.push({ owner, request });
      return this.#then(() => this.#engine.workspaces.create(owner, request));
    },
    extend: (id, by, durationMs) => {
      this.extended.push({ workspaceId: id, by, durationMs });
      return this.#order(id, real => real.extend(id, by, durationMs));
    },
    destroy: (id, by) => {
      this.destroyed.push({ workspaceId: id, by });
      return this.#order(id, real => real.destroy(id, by));
    },
    tryCreate: (...of) => this.#then(() => this.#engine.workspaces.tryCreate(...of)),
    add: (id, ...of) => this.#order(id, real => real.add(id, ...of)),
    launch: (id, ...of) => this.#order(id, real => real.launch(id, ...of)),
    operate: (id, ...of) => this.#order(id, real => real.operate(id, ...of)),
  };

  start = (): Promise<void> => Promise.resolve();
  stop = (): Promise<void> => this.#engine.stop();
  changeQuotas: Engine['changeQuotas'] = quotas => this.#engine.changeQuotas(quotas);
  capacity: Engine['capacity'] = () => this.#engine.capacity();
  lrmOf: Engine['lrmOf'] = pool => this.#engine.lrmOf(pool);
  find: Engine['find'] = (...of) => this.#then(() => this.#engine.find(...of));
  list: Engine['list'] = query => this.#then(() => this.#engine.list(query));
  pastUse: Engine['pastUse'] = (...of) => this.#then(() => this.#engine.pastUse(...of));
  events: Engine['events'] = query => this.#then(() => this.#engine.events(query));

  /** A scene has no keys. */
  async knownHosts(workspaceId: string): Promise<readonly string[]> {
    const lines = await this.#engine.knownHosts(workspaceId);
    const vms = [...this.state.vms.values()].filter(vm => vm.workspaceId === workspaceId);
    return lines.length > 0 ? lines : vms.map(({ id }) => `${id} ssh-ed25519 AAAA`);
  }

  onEvents(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Puts an event into the history, and wakes those who wait. */
  tell(event: Partial<StoredEvent>): void {
    this.#told += 1;
    const at = 1_000 * this.#told;
    const { recordedAt = at, seq: _seq, owner: _owner, ...told } = event;
    const base = {
      at,
      type: 'vm.running',
      workspaceId: null,
      slotId: null,
      vmId: null,
      node: null,
      reason: null,
    };
    this.#put({ at: recordedAt, events: [{ ...base, ...told } as HistoryEvent] });
    this.#set = this.#set.then(() => this.#wake());
  }

  /** All that was told so far is stored, and those who wait have been woken. */
  told(): Promise<void> {
    return this.#set;
  }

  /** A workspace that runs, unless something else is said of it, with its slot and its VMs. */
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
    const vms = workspace.vmIds.map(id => vmOf(workspace, id));
    this.#ofScene.add(workspace.id);
    this.#put({ workspaces: [workspace], slots: [slotOf(workspace)], vms });
    return workspace;
  }

  changeVm(id: string, values: Partial<Vm>): void {
    this.#put({ vms: [{ ...must(this.state.vms.get(id)), ...values }] });
  }

  changeSlot(id: string, values: Partial<Slot>): void {
    this.#put({ slots: [{ ...must(this.state.slots.get(id)), ...values }] });
  }

  /** A workspace leaves memory, and is in the store alone from then on. */
  retire(id: string): void {
    (this.state as unknown as SiteMaps).workspaces.delete(id);
  }

  /** The number of the newest event. */
  lastEvent(): Promise<number> {
    return this.#then(() => this.#store.lastEvent());
  }

  /** What a commit has, in the store and in memory. */
  #put(values: Partial<Commit>): void {
    const none = { workspaces: [], slots: [], vms: [], events: [], retired: [], effects: [], done: [] };
    const commit: Commit = { at: 0, ...none, secrets: [], forgotten: [], ...values };
    const { workspaces, slots, vms } = this.state as unknown as SiteMaps;
    for (const each of commit.workspaces) workspaces.set(each.id, each);
    for (const each of commit.slots) slots.set(each.id, each);
    for (const each of commit.vms) vms.set(each.id, each);
    this.#set = this.#set.then(() => this.#store.commit(commit));
  }

  /** The scene's own workspaces stay as they were set. */
  #order(id: string, order: (real: WorkspaceService) => Promise<Workspace>): Promise<Workspace> {
    return this.#then(() =>
      this.#ofScene.has(id)
        ? Promise.resolve(must(this.state.workspaces.get(id)))
        : order(this.#engine.workspaces),
    );
  }

  /** When the scene is set. */
  async #then<T>(work: () => Promise<T>): Promise<T> {
    await this.#set;
    return work();
  }

  #wake(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** The first workspace and its slot have ids of a's alone. */
function idsOfA(): Random {
  const others = countingRandom();
  let count = 0;
  return { bytes: length => (count++ < 2 ? new Uint8Array(length) : others.bytes(length)) };
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
