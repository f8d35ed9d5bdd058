import { createHash } from 'node:crypto';
import type { Effect } from '../../src/lease/decision.ts';
import type { Slot, Workspace } from '../../src/lease/model.ts';
import type { PoolSettings } from '../../src/lease/settings.ts';
import {
  type GangRequest,
  type Lrm,
  type LrmCapabilities,
  LrmError,
  type LrmJob,
} from '../../src/lrm/lrm.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Log } from '../../src/platform/log.ts';
import { createVirtualClock, settle, type VirtualClock } from '../../src/platform/virtual-clock.ts';
import type { Random } from '../../src/platform/random.ts';
import { defaultPoolName } from '../../src/protocol/ids.ts';
import type { WorkspaceRequest } from '../../src/protocol/cluster.ts';
import type { Order } from '../../src/protocol/orders.ts';
import type { NodeSettings, NotificationBody, ServiceMessage, VmReport } from '../../src/protocol/pilot.ts';
import type { Engine, PilotConnectionHandler } from '../../src/service/core/engine-api.ts';
import { createEngine, type EngineOptions } from '../../src/service/core/engine.ts';
import type { PlanSite } from '../../src/service/pilots/plan.ts';
import { openSqliteStore } from '../../src/service/store/sqlite.ts';
import type { Commit, Store } from '../../src/service/store/store.ts';
import { settings as leaseSettings, startedAt } from './lease.ts';

/** The same bytes in every run. */
export function countingRandom(): Random {
  let count = 0;
  return { bytes: length => createHash('shake256', { outputLength: length }).update(`${count++}`).digest() };
}

/** An LRM without nodes: what it is asked is written down, what it answers is set by the test. */
export class FakeLrm implements Lrm {
  readonly kind = 'fake';
  embedded?: true;
  readonly submitted: GangRequest[] = [];
  readonly cancelled: string[] = [];
  jobs: LrmJob[] = [];
  lists = 0;
  /** Thrown by the next calls, until it is taken away. */
  down: LrmError | undefined;
  /** Thrown by `submit` after the job is there, as when the answer is lost. */
  answerLost = false;
  refusal: string | undefined;
  extendRefusal: string | undefined = 'only operators may do that';
  /** How often `extend` will fail to ask. */
  extendDown = 0;
  caps: LrmCapabilities = {
    nodes: 16,
    memoryMiBPerNode: 8_192,
    cpusPerNode: 4,
    killDelayMs: 30_000,
    nodeNameEnv: ['FAKE_NODE'],
    jobEndEnv: [],
    walltimeStepMs: 60_000,
  };
  readonly #listeners = new Set<() => void>();

  async capabilities(): Promise<LrmCapabilities> {
    if (this.down) throw this.down;
    return this.caps;
  }
  async submit(request: GangRequest): Promise<string> {
    if (this.down) throw this.down;
    if (this.refusal !== undefined) throw new LrmError('refused', this.refusal);
    this.submitted.push(request);
    const jobId = `${this.submitted.length}`;
    this.jobs.push({ jobId, jobName: request.jobName, state: 'waiting', nodes: [] });
    if (this.answerLost) throw new LrmError('unavailable', 'no answer');
    return jobId;
  }
  async dryRun(): Promise<void> {
    if (this.down) throw this.down;
    if (this.refusal !== undefined) throw new LrmError('refused', this.refusal);
  }
  async list(): Promise<readonly LrmJob[]> {
    this.lists += 1;
    if (this.down) throw this.down;
    return this.jobs;
  }
  async cancel(jobId: string): Promise<void> {
    if (this.down) throw this.down;
    this.cancelled.push(jobId);
    this.jobs = this.jobs.map(job => (job.jobId === jobId ? { ...job, state: 'cancelled' } : job));
  }
  async extend(_jobId: string, endsAt: number): Promise<number> {
    this.extendDown -= 1;
    if (this.extendDown >= 0) throw new LrmError('unavailable', 'no munged');
    if (this.extendRefusal !== undefined) throw new LrmError('refused', this.extendRefusal);
    return endsAt;
  }
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  async close(): Promise<void> {
    this.#listeners.clear();
  }
  /** Changes a job, and tells the service or not. */
  change(jobId: string, change: Partial<LrmJob>, tell = true): void {
    this.jobs = this.jobs.map(job => (job.jobId === jobId ? { ...job, ...change } : job));
    if (tell) for (const listener of this.#listeners) listener();
  }
}

/** The pilot's end of a connection without a network. */
export class FakePilot {
  readonly slotId: string;
  readonly node: string;
  readonly heard: ServiceMessage[] = [];
  closedBecause: string | undefined;
  isPaused = false;
  session: PilotConnectionHandler;
  #seq = 0;

  constructor(engine: Engine, slotId: string, node: string) {
    this.slotId = slotId;
    this.node = node;
    this.session = this.connect(engine);
  }

  /** A new connection; the same pilot. */
  connect(engine: Engine, peerAddress?: string): PilotConnectionHandler {
    this.session = engine.pilots.attach(this.slotId, this.node, {
      peerAddress,
      send: message => this.heard.push(message),
      close: why => {
        this.closedBecause = why;
      },
      pause: () => {
        this.isPaused = true;
      },
      resume: () => {
        this.isPaused = false;
      },
    });
    return this.session;
  }
  hello(vms: readonly VmReport[] = []): void {
    const { slotId, node } = this;
    this.session.received({
      type: 'hello',
      slotId,
      node,
      pilotVersion: '0',
      address: '10.0.0.1',
      vms: [...vms],
    });
  }
  /** Sends the next notification; returns its number. */
  notify(body: NotificationBody): number {
    this.#seq += 1;
    this.send(this.#seq, body);
    return this.#seq;
  }
  send(seq: number, body: NotificationBody): void {
    this.session.received({ type: 'notification', seq, at: startedAt, body });
  }
  vm(vmId: string, state: VmReport['state'], context: VmReport['context'] = 'pending'): number {
    return this.notify({ kind: 'vm', report: { vmId, state, context } });
  }
  acknowledge(key: string): void {
    this.session.received({ type: 'command-ack', key });
  }
  get commands(): readonly { readonly key: string; readonly body: Order }[] {
    return this.heard.flatMap(message => (message.type === 'command' ? [message] : []));
  }
  get acks(): readonly number[] {
    return this.heard.flatMap(message => (message.type === 'ack' ? [message.seq] : []));
  }
}

/** A store that fails when told to, and keeps what was committed for the test to look at. */
export class WatchedStore implements Store {
  readonly commits: Commit[] = [];
  failure: Error | undefined;
  readonly #inner: Store;
  #held: Promise<void> | undefined;
  #release: () => void = () => undefined;

  constructor(inner: Store) {
    this.#inner = inner;
  }
  /** Commits wait, as on a slow disk, until `release`. */
  hold(): void {
    this.#held = new Promise(resolve => {
      this.#release = resolve;
    });
  }
  release(): void {
    this.#held = undefined;
    this.#release();
  }
  load(): ReturnType<Store['load']> {
    return this.#inner.load();
  }
  async commit(commit: Commit): Promise<void> {
    await this.#held;
    if (this.failure) throw this.failure;
    await this.#inner.commit(commit);
    this.commits.push(structuredClone(commit));
  }
  workspaces: Store['workspaces'] = query => this.#inner.workspaces(query);
  slots: Store['slots'] = ids => this.#inner.slots(ids);
  pastUse: Store['pastUse'] = (...period) => this.#inner.pastUse(...period);
  loadAccess: Store['loadAccess'] = () => this.#inner.loadAccess();
  lastEvent: Store['lastEvent'] = () => this.#inner.lastEvent();
  putAccess: Store['putAccess'] = rows => this.#inner.putAccess(rows);
  appendAudit: Store['appendAudit'] = entries => this.#inner.appendAudit(entries);
  audit: Store['audit'] = query => this.#inner.audit(query);
  events(query: Parameters<Store['events']>[0]): ReturnType<Store['events']> {
    return this.#inner.events(query);
  }
  /** The store outlives the engine, so that the next one finds what this one left. */
  async close(): Promise<void> {
    await Promise.resolve();
  }
  async destroy(): Promise<void> {
    await this.#inner.close();
  }
}

export const testPlanSite: PlanSite = {
  networks: [
    {
      name: 'public',
      prefixLength: 24,
      firstAddress: '192.0.2.10',
      gateway: '192.0.2.1',
      dns: ['192.0.2.2'],
      link: { kind: 'uplink', interface: 'eth0' },
      mtu: null,
    },
    {
      name: 'private',
      prefixLength: 16,
      firstAddress: '10.90.0.1',
      gateway: null,
      dns: [],
      link: { kind: 'vxlan', firstVni: 5_000, lastVni: 69_999, port: 4_789 },
      mtu: null,
    },
  ],
  imageDirectory: image => `/images/${image}`,
  contextTimeoutMs: 60_000,
};

/** A line of the log that the code under test has written. */
export interface Logged {
  readonly level: string;
  readonly message: string;
}

function recordingLog(lines: Logged[]): Log {
  const at =
    (level: string) =>
    (message: string): void =>
      void lines.push({ level, message });
  const log: Log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: () => log,
  };
  return log;
}

/** How nodes are used in the tests' site. */
export const testNode: NodeSettings = {
  workDir: '/work',
  helper: ['helper'],
  adaptation: 'none',
  keepLogs: { slots: 100, forMs: 86_400_000 },
  shutdownGraceMs: 10_000,
  vmm: { kind: 'sim', startMs: 0, bootMs: 0, stopMs: 0 },
};

/** A small site for an engine: everything but its log and its store. */
export function engineOptions(
  clock: Clock,
  lrm: Lrm,
  lease: Partial<PoolSettings> = {},
): Omit<EngineOptions, 'log' | 'store'> {
  const { images, site: _site, policy, memory, pools: _pools, ...settings } = { ...leaseSettings, ...lease };
  const own = { name: defaultPoolName, policy, memory, reaches: null };
  return {
    clock,
    random: countingRandom(),
    pools: [{ ...own, lrm, gang: { options: [] }, node: testNode }],
    lease: settings,
    images: () => images,
    plan: testPlanSite,
    pilot: {
      serviceUrl: () => 'http://service.test:1',
      serviceCa: () => null,
      transports: [{ kind: 'websocket' }],
      networks: [],
      program: '// the pilot',
    },
    makeKeyPair: comment => ({
      privateKey: `private ${comment}`,
      publicKey: `ssh-ed25519 AAAA ${comment}`,
    }),
  };
}

/** An engine on a virtual clock, an in-memory store and a fake LRM; it can be crashed and started again. */
export class EngineBench {
  readonly clock: VirtualClock = createVirtualClock(startedAt);
  readonly lrm = new FakeLrm();
  readonly store: WatchedStore;
  readonly logged: Logged[] = [];
  readonly broken: unknown[] = [];
  readonly #options: EngineOptions;
  engine: Engine;

  constructor(lease: Partial<PoolSettings> = {}, store: Store = openSqliteStore({ directory: ':memory:' })) {
    this.store = new WatchedStore(store);
    this.#options = {
      ...engineOptions(this.clock, this.lrm, lease),
      log: recordingLog(this.logged),
      store: this.store,
      onBroken: cause => this.broken.push(cause),
    };
    this.engine = createEngine(this.#options);
  }

  async start(): Promise<this> {
    await this.engine.start();
    await this.settle();
    return this;
  }
  /** The engine is left as a crash leaves it: what it has not stored is lost. Its timers and its promises lead nowhere. */
  crash(): void {
    this.store.failure = new Error('crashed');
    void this.engine.stop();
  }
  async restart(): Promise<void> {
    this.crash();
    await this.settle();
    this.store.failure = undefined;
    this.engine = createEngine(this.#options);
    await this.start();
  }
  async close(): Promise<void> {
    this.store.failure = undefined;
    this.store.release();
    await this.engine.stop();
    await this.store.destroy();
  }
  /** Until all that can go on without time passing has gone on. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) await settle();
  }
  async advance(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    await this.settle();
    for (let next = this.clock.nextAt(); next !== undefined && next <= until; next = this.clock.nextAt()) {
      this.clock.runNext();
      await this.settle();
    }
    await this.clock.advanceTo(until);
  }

  async create(count = 1, more: Partial<WorkspaceRequest> = {}): Promise<Workspace> {
    const group = { name: 'w', image: 'mini', count, memoryMiB: 256, cpus: 1 };
    const workspace = await this.engine.workspaces.create('ann', { groups: [group], ...more });
    await this.settle();
    return workspace;
  }
  /** A workspace whose VMs all run, on nodes n0, n1, …; with its pilots. */
  async running(count = 1): Promise<{ workspace: Workspace; pilots: readonly FakePilot[] }> {
    const workspace = await this.create(count);
    const pilots = Array.from(
      { length: count },
      (_, index) => new FakePilot(this.engine, workspace.slotId, `n${index}`),
    );
    for (const pilot of pilots) {
      pilot.hello();
      pilot.notify({ kind: 'node', state: 'reserved' });
    }
    await this.settle();
    for (const pilot of pilots)
      for (const { key, body } of pilot.commands)
        if (body.kind === 'start-vm') {
          pilot.acknowledge(key);
          pilot.vm(body.vm.vmId, 'running');
        }
    await this.settle();
    return { workspace, pilots };
  }
  workspace(id: string): Workspace {
    return must(this.engine.state.workspaces.get(id));
  }
  slot(id: string): Slot {
    return must(this.engine.state.slots.get(id));
  }
  async pendingEffects(): Promise<readonly Effect[]> {
    return (await this.store.load()).effects;
  }
}

export function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('expected a value');
  return value;
}
