import { noQuotas } from '../../lease/quota.ts';
import { isFinalSlot } from '../../lease/transitions.ts';
import type { Effect } from '../../lease/decision.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { SiteState } from '../../lease/model.ts';
import type { LeaseSettings, Pool, Quotas } from '../../lease/settings.ts';
import { type Clock, nextTurn } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import { WspError } from '../../protocol/errors.ts';
import { defaultPoolName, idSuffix } from '../../protocol/ids.ts';
import type { PilotSite } from '../pilots/assignment.ts';
import { type MakeKeyPair, makeSshKeyPair } from '../pilots/ssh-keys.ts';
import type { Engine, PilotHub, WorkspaceQuery, WorkspaceService } from './engine-api.ts';
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
import { LeasingService } from './workspace-service.ts';
import { Writer } from './writer.ts';

/**
 * The service without its network: writer, store, outbox, reconcilers and pilots, joined.
 *
 *                      ┌──────────── inputs ─────────────┐
 *   API ── create ──►  │ (WorkspaceService)              │
 *   Hub ── pilots ──►  ▼                                 │
 *   clock ──────►   Writer ─ commit ─► Store             │
 *                      │ committed                       │
 *                      ├─► Outbox ──► LrmPools ──► LRMs ─┤
 *                      ├─► PilotCommands ──► pilots      │
 *                      ├─► LrmPools ──► LRMs ────────────┘
 *                      └─► event listeners
 *
 * All that must survive is in the store; what is here is a copy of it, or a connection. If we crash
 * here: see writer.ts and outbox.ts.
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
  /**
   * See `WriterParts.gather`. Default: the next turn of the event loop. The simulated world has no
   * sockets to wait for.
   */
  readonly gather?: () => Promise<void>;
  /** The state cannot be stored any more: the process must end, with a failure. */
  readonly onBroken?: (cause: unknown) => void;
}

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
  readonly workspaces: WorkspaceService;

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
    this.workspaces = new LeasingService({
      clock,
      random,
      writer: this.#writer,
      records: this.#records,
      pools: this.#pools,
      poolOf: slotId => this.#poolOf(slotId),
      images: options.images,
    });
    this.#outbox = new Outbox({
      clock,
      log,
      perform: async (effect, again) => {
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
      pilotGone: slotId => void this.#askWhy(slotId),
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

  /** A slot that is held always has its pool: `#checkPools` has seen to it. */
  async #poolOf(slotId: string): Promise<LrmPool> {
    const name = (await this.#records.poolsOf([slotId])).get(slotId);
    const pool = this.#pools.find(each => each.name === name);
    if (!pool) throw new Error(`slot ${slotId} is of pool ${name}, which this site does not have`);
    return pool;
  }

  /** A pilot has gone: the LRM may know why. */
  async #askWhy(slotId: string): Promise<void> {
    try {
      (await this.#poolOf(slotId)).signal();
    } catch (cause) {
      this.#options.log.warn('the LRM is not asked why a pilot has gone', errorFields(cause));
    }
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

  #idSuffix(): string {
    return idSuffix(this.#options.random.bytes(10));
  }
}
