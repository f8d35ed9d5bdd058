import { createHash } from 'node:crypto';
import { sameRequest, workspaceOfToken } from '../../lease/create.ts';
import { decide } from '../../lease/decide.ts';
import { noQuotas } from '../../lease/quota.ts';
import type { Quotas } from '../../lease/settings.ts';
import { isFinalSlot } from '../../lease/transitions.ts';
import type { Effect, Refusal } from '../../lease/decision.ts';
import type { LeaseInput, Lots } from '../../lease/inputs.ts';
import type { SiteState, Workspace } from '../../lease/model.ts';
import type { LeaseSettings, Pool } from '../../lease/settings.ts';
import { LrmError } from '../../lrm/lrm.ts';
import { type Clock, nextTurn, pause } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import type { GroupRequest, OperateRequest, WorkspaceRequest } from '../../protocol/cluster.ts';
import { WspError } from '../../protocol/errors.ts';
import { defaultPoolName, idSuffix } from '../../protocol/ids.ts';
import type { PilotSite } from '../pilots/assignment.ts';
import { type MakeKeyPair, makeSshKeyPair } from '../pilots/context.ts';
import type { Engine, PilotHub, Trial, WorkspaceQuery } from './engine-api.ts';
import { type EnginePool, LrmPool } from '../lrm/pool.ts';
import { Outbox } from './outbox.ts';
import { PilotCommands } from '../pilots/commands.ts';
import { Hub } from '../pilots/hub.ts';
import { completeOrder } from '../pilots/orders.ts';
import { StreamWaitingRoom } from '../pilots/streams.ts';
import type { PlanSite } from '../pilots/plan.ts';
import { Records } from './records.ts';
import { Secrets } from './secrets.ts';
import type { Commit, EventQuery, Store } from '../store/store.ts';
import { Writer } from './writer.ts';

/**
 * The service without its network: writer, store, outbox, reconcilers and pilots, joined.
 *
 *                      ┌──────────── inputs ─────────────┐
 *   API ── create ──►  │                                 │
 *   Hub ── pilots ──►  ▼                                 │
 *   clock ──────►   Writer ─ commit ─► Store             │
 *                      │ committed                       │
 *                      ├─► Outbox ──► LrmPools ──► LRMs ─┤
 *                      ├─► PilotCommands ──► pilots      │
 *                      ├─► LrmPools ──► LRMs ────────────┘
 *                      └─► event listeners
 *
 * All that must survive is in the store; what is here is a copy of it, or a connection. If we crash here: see writer.ts and outbox.ts.
 */
export interface EngineOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Closed by `stop`. */
  readonly store: Store;
  /** In order of preference. */
  readonly pools: readonly EnginePool[];
  /** From the site file. */
  readonly lease: Omit<LeaseSettings, 'pools' | 'images' | 'quotas'>;
  /** The site's images now: read again for each create. */
  readonly images: () => LeaseSettings['images'];
  readonly plan: PlanSite;
  readonly pilot: PilotSite;
  /** Default: real ed25519 keys. */
  readonly makeKeyPair?: MakeKeyPair;
  /** See `WriterParts.gather`. Default: the next turn of the event loop. The simulated world has no sockets to wait for. */
  readonly gather?: () => Promise<void>;
  /** The state cannot be stored any more: the process must end, with a failure. */
  readonly onBroken?: (cause: unknown) => void;
}

/**
 * An LRM that cannot be asked to extend a job is asked again: within what a client's request may
 * take.
 */
const extendAgainAfterMs = [500, 1_000, 2_000, 4_000] as const;

/** The engine over these parts; it does nothing before `start`. */
export function createEngine(options: EngineOptions): Engine {
  return new RunningEngine(options);
}

class RunningEngine implements Engine {
  readonly #options: EngineOptions;
  readonly #writer: Writer;
  readonly #secrets: Secrets;
  readonly #outbox: Outbox;
  readonly #commands: PilotCommands;
  readonly #hub: Hub;
  readonly #pools: readonly LrmPool[];
  readonly #records: Records;
  readonly #listeners = new Set<() => void>();

  constructor(options: EngineOptions) {
    this.#options = options;
    const { clock, log, random } = options;
    const state = (): SiteState => this.state;
    const submit = (input: LeaseInput, done?: readonly string[]): Promise<unknown> =>
      this.#writer.submit(input, done);
    const done = (key: string): void => this.#writer.effectDone(key);
    const slotSecret = (slotId: string): string | undefined => this.#secrets.slot(slotId);

    this.#secrets = new Secrets(random, options.makeKeyPair ?? makeSshKeyPair);
    this.#writer = this.#makeWriter();
    this.#records = new Records(state, options.store);
    const parts = {
      clock,
      log,
      pilot: options.pilot,
      state,
      slotSecret,
      poolsOf: (slotIds: readonly string[]) => this.#records.poolsOf(slotIds),
      submit,
      done,
      sized: this.#sized,
    };
    this.#pools = options.pools.map(pool => new LrmPool(pool, parts));
    this.#outbox = new Outbox({
      clock,
      log,
      perform: async (effect, again) => {
        if (effect.kind === 'pilot') return;
        const pool = await this.#poolOf(effect.slotId);
        await pool.perform(effect, again);
      },
      done,
    });
    const { plan } = options;
    this.#commands = new PilotCommands({
      log,
      orderOf: effect => completeOrder(effect, { state: this.state, secrets: this.#secrets, plan }),
      done,
    });
    this.#hub = new Hub({
      clock,
      log,
      state,
      slotSecret,
      submit,
      commands: this.#commands,
      streams: new StreamWaitingRoom(clock, random),
      pilotGone: slotId => {
        this.#poolOf(slotId).then(
          pool => pool.signal(),
          (cause: unknown) => log.warn('the LRM is not asked why a pilot has gone', errorFields(cause)),
        );
      },
    });
  }

  get state(): SiteState {
    return this.#writer.state;
  }

  get pilots(): PilotHub {
    return this.#hub;
  }

  async start(): Promise<void> {
    const stored = await this.#options.store.load();
    this.#secrets.load(stored.secrets);
    this.#writer.load(stored);
    this.#checkPools();
    // Before anything new is decided: orders to a pilot must reach it in the order in which they were given.
    for (const effect of stored.effects) this.#dispatch(effect, true);
    // A crash may have come between a slot's end and the end of the effects that were pending for its pilots.
    for (const slotId of new Set(stored.effects.map(effect => effect.slotId))) {
      const slot = this.state.slots.get(slotId);
      if (!slot || isFinalSlot(slot.state)) this.#commands.slotOver(slotId);
    }
    await this.#writer.submit({ type: 'service.started' });
    await Promise.all(this.#pools.map(pool => pool.start()));
  }

  async stop(): Promise<void> {
    this.#hub.closeAll('the service is stopping');
    for (const pool of this.#pools) pool.stop();
    this.#outbox.stop();
    await this.#writer.stop();
    await this.#options.store.close();
  }

  async create(owner: string, request: WorkspaceRequest): Promise<Workspace> {
    const before = await this.#madeBefore(owner, request);
    if (before) return before;
    this.#writer.changeSettings({ images: this.#options.images() });
    const workspaceId = `ws-${this.#idSuffix()}`;
    const slotId = `slot-${this.#idSuffix()}`;
    const requestDigest = digestOf(request);
    const lots = this.#lots();
    const input = { type: 'create', workspaceId, slotId, owner, request, requestDigest, lots } as const;
    return this.#order(input, () =>
      workspaceOfToken(this.state.workspaces.values(), owner, request.clientToken),
    );
  }

  /**
   * The workspace that this request has made already. One that is being made is the core's
   * business: it is in memory until long after its end.
   */
  async #madeBefore(owner: string, request: WorkspaceRequest): Promise<Workspace | undefined> {
    if (request.clientToken === undefined) return undefined;
    const made = await this.#records.ofToken(owner, request.clientToken);
    if (!made) return undefined;
    const refusal = sameRequest(made.workspace, { request, requestDigest: digestOf(request) });
    if (refusal) throw refused(refusal);
    return made.workspace;
  }

  find(idOrName: string, owner?: string): ReturnType<Engine['find']> {
    return this.#records.find(idOrName, owner);
  }

  list(query: WorkspaceQuery): ReturnType<Engine['list']> {
    return this.#options.store.workspaces(query);
  }

  pastUse(...period: Parameters<Engine['pastUse']>): ReturnType<Engine['pastUse']> {
    return this.#options.store.pastUse(...period);
  }

  changeQuotas(quotas: Quotas): void {
    this.#writer.changeSettings({ quotas });
  }

  async capacity(): ReturnType<Engine['capacity']> {
    return Promise.all(
      this.#pools.map(async pool => {
        const now = await pool.now();
        return { name: pool.name, lrm: pool.lrm.kind, now, trouble: pool.trouble };
      }),
    );
  }

  lrmOf(pool: string): string {
    return this.#pools.find(({ name }) => name === pool)?.lrm.kind ?? 'none';
  }

  async tryCreate(owner: string, request: WorkspaceRequest): Promise<Trial> {
    const { clientToken } = request;
    const made = clientToken === undefined ? undefined : await this.#records.ofToken(owner, clientToken);
    const { settings, workspaces, ...others } = this.state;
    const state = {
      ...others,
      settings: { ...settings, images: this.#options.images() },
      workspaces: made ? new Map([...workspaces, [made.workspace.id, made.workspace]]) : workspaces,
    };
    const input = {
      type: 'create',
      workspaceId: `ws-${this.#idSuffix()}`,
      slotId: `slot-${this.#idSuffix()}`,
      owner,
      request,
      requestDigest: digestOf(request),
      lots: this.#lots(),
    } as const;
    const outcome = decide(state, input, this.#options.clock.now());
    const refusedWith = (refusal: Refusal): Trial => ({ refusal, slot: undefined, doubt: undefined });
    if (!outcome.ok) return refusedWith(outcome.refusal);
    const slot = outcome.decision.slots[0];
    const pool = this.#pools.find(({ name }) => name === slot?.pool);
    const error = slot?.state === 'requested' ? await pool?.dryRun(slot) : undefined;
    if (error?.kind === 'refused') return refusedWith({ code: 'exceeds_site', message: error.message });
    return { refusal: undefined, slot, doubt: error?.message };
  }

  add(workspaceId: string, by: string, groups: readonly GroupRequest[]): Promise<Workspace> {
    return this.#order({ type: 'add', workspaceId, by, groups });
  }

  launch(workspaceId: string, by: string): Promise<Workspace> {
    return this.#order({ type: 'launch', workspaceId, by, lots: this.#lots() });
  }

  async extend(workspaceId: string, by: string, durationMs: number): Promise<Workspace> {
    const input = { type: 'extend', workspaceId, by, durationMs } as const;
    const outcome = await this.#writer.submit(input);
    if (!outcome.ok) {
      const { ifJobLasts, ...refusal } = outcome.refusal;
      if (!ifJobLasts) return this.#refuse(input, refusal);
      const { slotId, jobId, until } = ifJobLasts;
      const jobEndsAt = await this.#extendJob(slotId, jobId, until, refusal);
      await this.#writer.submit({ type: 'lrm.extended', slotId, jobEndsAt });
      return this.#order(input);
    }
    return this.#workspace(workspaceId);
  }

  /** When the job ends now. A crash after it leaves a job that is longer than it need be, and is given back with its workspace. */
  async #extendJob(slotId: string, jobId: string, until: number, refusal: Refusal): Promise<number> {
    const { lrm } = await this.#poolOf(slotId);
    for (const pauseMs of [...extendAgainAfterMs, undefined])
      try {
        return await lrm.extend(jobId, until);
      } catch (cause) {
        if (!(cause instanceof LrmError)) throw cause;
        if (cause.kind === 'refused') {
          const message = `${refusal.message}, and the LRM gives it no more time: ${cause.message}`;
          throw refused({ ...refusal, message });
        }
        if (pauseMs === undefined) {
          const message = `the LRM could not be asked to let the batch job run for longer: ${cause.message}`;
          throw new WspError('busy', message, { hint: 'nothing has changed; try again a little later' });
        }
        await pause(this.#options.clock, pauseMs);
      }
    throw new Error('the last try has an outcome');
  }

  operate(workspaceId: string, by: string, request: OperateRequest): Promise<Workspace> {
    const { operation, target, graceMs } = request;
    return this.#order({ type: 'operate', workspaceId, by, operation, target, graceMs });
  }

  destroy(workspaceId: string, by: string): Promise<Workspace> {
    return this.#order({ type: 'destroy', workspaceId, by });
  }

  events(query: EventQuery): ReturnType<Engine['events']> {
    return this.#options.store.events(query);
  }

  onEvents(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async knownHosts(workspaceId: string): Promise<readonly string[]> {
    return Object.entries(this.#secrets.workspace(workspaceId)?.hostKeys ?? {}).map(([vm, { publicKey }]) => {
      const [type, blob] = publicKey.split(' ');
      return `${workspaceId}.${vm} ${type} ${blob}`;
    });
  }

  /** What a client asks for: a refusal is an error to it. */
  async #order(
    input: Extract<LeaseInput, { workspaceId: string }>,
    before: () => Workspace | undefined = () => undefined,
  ): Promise<Workspace> {
    const outcome = await this.#writer.submit(input);
    if (outcome.ok) return before() ?? this.#workspace(input.workspaceId);
    return this.#refuse(input, outcome.refusal);
  }

  /** What is not in memory may be retired: then it is as it was when it had just ended. */
  async #refuse(input: Extract<LeaseInput, { workspaceId: string }>, refusal: Refusal): Promise<Workspace> {
    if (input.type === 'create' || this.state.workspaces.has(input.workspaceId)) throw refused(refusal);
    const past = await this.#records.outcomeOfPast(input, this.#options.clock.now());
    if (!past) throw refused(refusal);
    if (!past.outcome.ok) throw refused(past.outcome.refusal);
    return past.workspace;
  }

  #workspace(workspaceId: string): Workspace {
    const workspace = this.state.workspaces.get(workspaceId);
    if (!workspace) throw new WspError('internal', `${workspaceId} was accepted and is not there`);
    return workspace;
  }

  /** A slot that is held always has its pool: `#checkPools` has seen to it. */
  async #poolOf(slotId: string): Promise<LrmPool> {
    const name = (await this.#records.poolsOf([slotId])).get(slotId);
    const pool = this.#pools.find(each => each.name === name);
    if (!pool) throw new Error(`slot ${slotId} is of pool ${name}, which this site does not have`);
    return pool;
  }

  /** Slots that are held can be given back only by the LRM that they are from. */
  #checkPools(): void {
    for (const { id, pool, state } of this.state.slots.values())
      if (!isFinalSlot(state) && !this.#pools.some(({ name }) => name === pool))
        throw new WspError('failed', `slot ${id} is held in pool ${pool}, which is not in the site file`, {
          hint: `put the pool back until its slots have ended (a site file with one lrm section calls its pool ${defaultPoolName})`,
        });
  }

  readonly #sized = (name: string, site: Pool['site']): void => {
    const pools = this.state.settings.pools.map(pool => (pool.name === name ? { ...pool, site } : pool));
    this.#writer.changeSettings({ pools });
  };

  #makeWriter(): Writer {
    const { clock, log, store, lease, gather, onBroken } = this.#options;
    const pools = this.#options.pools.map(({ name, policy, reaches, memory }) => ({
      name,
      policy,
      reaches,
      memory,
      site: null,
    }));
    return new Writer({
      clock,
      log,
      store,
      settings: { ...lease, pools, images: [], quotas: noQuotas },
      companions: (input, decision) => this.#secrets.companions(input, decision),
      rolledBack: () => this.#secrets.rollBack(),
      committed: commit => this.#committed(commit),
      broken: onBroken ?? (() => undefined),
      gather: gather ?? nextTurn,
      newSlotId: () => `slot-${this.#idSuffix()}`,
    });
  }

  #committed(commit: Commit): void {
    this.#secrets.committed(commit);
    for (const effect of commit.effects) this.#dispatch(effect, false);
    for (const { id, state } of commit.slots) {
      if (!isFinalSlot(state)) continue;
      this.#commands.slotOver(id);
      this.#hub.slotOver(id);
    }
    if (commit.slots.length > 0) for (const pool of this.#pools) pool.slotsChanged();
    if (commit.events.length === 0) return;
    const listeners = [...this.#listeners];
    for (const listener of listeners) {
      try {
        listener();
      } catch (cause) {
        this.#options.log.error('an event listener failed', errorFields(cause));
      }
    }
  }

  #dispatch(effect: Effect, again: boolean): void {
    if (effect.kind === 'pilot') this.#commands.add(effect);
    else this.#outbox.add(effect, again);
  }

  #lots(): Lots {
    const { random, lease } = this.#options;
    return lease.networks.map(() => Buffer.from(random.bytes(4)).readUInt32BE());
  }

  #idSuffix(): string {
    return idSuffix(this.#options.random.bytes(10));
  }
}

/** A refusal as what the client hears. */
function refused({ code, message, hint }: Refusal): WspError {
  return new WspError(code, message, hint === undefined ? {} : { hint });
}

/** The same for the same request, whatever the order of its keys. */
function digestOf({ clientToken: _token, ...request }: WorkspaceRequest): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(request)))
    .digest('base64url');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
