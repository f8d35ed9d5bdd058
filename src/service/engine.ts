import { createHash } from 'node:crypto';
import { workspaceOfToken } from '../lease/create.ts';
import { decide } from '../lease/decide.ts';
import { noQuotas, type Quotas } from '../lease/quota.ts';
import { isFinalSlot } from '../lease/transitions.ts';
import type { Effect, LeaseInput, LeaseSettings, SiteState, Workspace } from '../lease/types.ts';
import type { Lrm } from '../lrm/lrm.ts';
import { type Clock, nextTurn } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import type { Random } from '../platform/random.ts';
import type { GroupRequest, OperateRequest, WorkspaceRequest } from '../protocol/cluster.ts';
import { WspError } from '../protocol/errors.ts';
import { idSuffix } from '../protocol/ids.ts';
import type { PilotCommand } from '../protocol/pilot.ts';
import type { PilotSite } from './assignment.ts';
import { type MakeKeyPair, makeSshKeyPair } from './context.ts';
import type { Engine, PilotHub, Trial } from './engine-api.ts';
import { type GangSite, type LrmEffectParts, performLrmEffect } from './lrm-effects.ts';
import { Outbox } from './outbox.ts';
import { isPilotEffect, PilotCommands, type PilotEffect } from './pilots/commands.ts';
import { Hub } from './pilots/hub.ts';
import { StreamWaitingRoom } from './pilots/streams.ts';
import { type PlanSite, planVm } from './plan.ts';
import { SiteCapabilities } from './reconcile/capabilities.ts';
import { LrmReconciler } from './reconcile/lrm.ts';
import { Secrets } from './secrets.ts';
import type { Commit, EventQuery, Store } from './store/store.ts';
import { Writer } from './writer.ts';

/**
 * The service without its network: writer, store, outbox, reconcilers and pilots, joined.
 *
 *                      ┌──────────── inputs ─────────────┐
 *   API ── create ──►  │                                 │
 *   Hub ── pilots ──►  ▼                                 │
 *   clock ──────►   Writer ─ commit ─► Store             │
 *                      │ committed                       │
 *                      ├─► Outbox ──► LRM ───────────────┤
 *                      ├─► PilotCommands ──► pilots      │
 *                      ├─► LrmReconciler ──► LRM ────────┘
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
  /** Not closed by `stop`. */
  readonly lrm: Lrm;
  /** From the site file. */
  readonly lease: Omit<LeaseSettings, 'site' | 'images' | 'quotas'>;
  /** The site's images now: read again for each create. */
  readonly images: () => LeaseSettings['images'];
  readonly plan: PlanSite;
  readonly gang: GangSite;
  readonly pilot: PilotSite;
  /** Default: real ed25519 keys. */
  readonly makeKeyPair?: MakeKeyPair;
  /** See `WriterParts.gather`. Default: the next turn of the event loop. The simulated world has no sockets to wait for. */
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
  readonly #reconciler: LrmReconciler;
  readonly #capabilities: SiteCapabilities;
  readonly #listeners = new Set<() => void>();

  constructor(options: EngineOptions) {
    this.#options = options;
    const { clock, log, lrm, random } = options;
    const state = (): SiteState => this.state;
    const submit = (input: LeaseInput, done?: readonly string[]): Promise<unknown> =>
      this.#writer.submit(input, done);
    const done = (key: string): void => this.#writer.effectDone(key);
    const slotSecret = (slotId: string): string | undefined => this.#secrets.slot(slotId);

    this.#secrets = new Secrets(random, options.makeKeyPair ?? makeSshKeyPair);
    this.#writer = this.#makeWriter();
    this.#capabilities = new SiteCapabilities({
      clock,
      log,
      lrm,
      changed: site => this.#writer.changeSettings({ site }),
    });
    this.#reconciler = new LrmReconciler({ clock, log, lrm, state, submit });
    const effects: LrmEffectParts = {
      lrm,
      gang: options.gang,
      pilot: options.pilot,
      state,
      slotSecret,
      capabilities: () => this.#capabilities.known(),
      submit,
      done,
      observeSoon: () => this.#reconciler.signal(),
    };
    this.#outbox = new Outbox({
      clock,
      log,
      perform: async (effect, again) => {
        if (!isPilotEffect(effect)) await performLrmEffect(effect, again, effects);
      },
    });
    this.#commands = new PilotCommands({ log, commandOf: effect => this.#commandOf(effect), done });
    this.#hub = new Hub({
      log,
      state,
      slotSecret,
      submit,
      commands: this.#commands,
      streams: new StreamWaitingRoom(clock, random),
      pilotGone: () => this.#reconciler.signal(),
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
    // Before anything new is decided: orders to a pilot must reach it in the order in which they were given.
    for (const effect of stored.effects) this.#owe(effect, true);
    // A crash may have come between a slot's end and the end of what was owed to its pilots.
    for (const slot of this.state.slots.values())
      if (isFinalSlot(slot.state)) this.#commands.slotOver(slot.id);
    await this.#writer.submit({ type: 'service.started' });
    await this.#capabilities.start();
    this.#reconciler.start();
  }

  async stop(): Promise<void> {
    this.#capabilities.stop();
    this.#hub.closeAll('the service is stopping');
    this.#reconciler.stop();
    this.#outbox.stop();
    await this.#writer.stop();
    await this.#options.store.close();
  }

  async create(owner: string, request: WorkspaceRequest): Promise<Workspace> {
    this.#writer.changeSettings({ images: this.#options.images() });
    const workspaceId = `ws-${this.#idSuffix()}`;
    const slotId = `slot-${this.#idSuffix()}`;
    const requestDigest = digestOf(request);
    const input = { type: 'create', workspaceId, slotId, owner, request, requestDigest } as const;
    return this.#order(input, () =>
      workspaceOfToken(this.state.workspaces.values(), owner, request.clientToken),
    );
  }

  changeQuotas(quotas: Quotas): void {
    this.#writer.changeSettings({ quotas });
  }

  capacity(): ReturnType<Engine['capacity']> {
    return this.#capabilities.now();
  }

  tryCreate(owner: string, request: WorkspaceRequest): Trial {
    const state = { ...this.state, settings: { ...this.state.settings, images: this.#options.images() } };
    const input = {
      type: 'create',
      workspaceId: `ws-${this.#idSuffix()}`,
      slotId: `slot-${this.#idSuffix()}`,
      owner,
      request,
      requestDigest: digestOf(request),
    } as const;
    const outcome = decide(state, input, this.#options.clock.now());
    return outcome.ok
      ? { refusal: undefined, slot: outcome.decision.slots[0] }
      : { refusal: outcome.refusal, slot: undefined };
  }

  add(workspaceId: string, by: string, groups: readonly GroupRequest[]): Promise<Workspace> {
    return this.#order({ type: 'add', workspaceId, by, groups });
  }

  launch(workspaceId: string, by: string): Promise<Workspace> {
    return this.#order({ type: 'launch', workspaceId, by });
  }

  extend(workspaceId: string, by: string, durationMs: number): Promise<Workspace> {
    return this.#order({ type: 'extend', workspaceId, by, durationMs });
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
    if (!outcome.ok) {
      const { code, message, hint } = outcome.refusal;
      throw new WspError(code, message, hint === undefined ? {} : { hint });
    }
    const workspace = this.state.workspaces.get(input.workspaceId) ?? before();
    if (!workspace) throw new WspError('internal', `${input.workspaceId} was accepted and is not there`);
    return workspace;
  }

  #makeWriter(): Writer {
    const { clock, log, store, lease, gather, onBroken } = this.#options;
    return new Writer({
      clock,
      log,
      store,
      settings: { ...lease, images: [], site: null, quotas: noQuotas },
      companions: (input, decision) => this.#secrets.companions(input, decision),
      committed: commit => this.#committed(commit),
      broken: onBroken ?? (() => undefined),
      gather: gather ?? nextTurn,
      newSlotId: () => `slot-${this.#idSuffix()}`,
    });
  }

  #committed(commit: Commit): void {
    this.#secrets.committed(commit);
    for (const effect of commit.effects) this.#owe(effect, false);
    for (const { id, state } of commit.slots) {
      if (!isFinalSlot(state)) continue;
      this.#commands.slotOver(id);
      this.#hub.slotOver(id);
    }
    if (commit.slots.length > 0) this.#reconciler.slotsChanged();
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

  #owe(effect: Effect, again: boolean): void {
    if (isPilotEffect(effect)) this.#commands.add(effect);
    else this.#outbox.add(effect, again);
  }

  /** Made when it is sent, from what is known then, not when it was decided. */
  #commandOf(effect: PilotEffect): PilotCommand | undefined {
    if (effect.kind === 'pilot.start-vm') return this.#startCommand(effect.vmId, effect.slotId);
    if (effect.kind === 'pilot.operate-vm')
      return {
        kind: 'operate-vm',
        vmId: effect.vmId,
        operation: effect.operation,
        graceMs: effect.graceMs,
      };
    if (effect.kind === 'pilot.tell-guest')
      return { kind: 'tell-guest', vmId: effect.vmId, message: effect.message };
    if (effect.kind === 'pilot.release') return { kind: 'release', graceMs: effect.graceMs };
    return { kind: 'stop-vm', vmId: effect.vmId, graceMs: effect.graceMs };
  }

  #startCommand(vmId: string, slotId: string): PilotCommand | undefined {
    const { vms: all, workspaces, slots } = this.state;
    const vm = all.get(vmId);
    const workspace = vm && workspaces.get(vm.workspaceId);
    const slot = slots.get(slotId);
    const secrets = workspace && this.#secrets.workspace(workspace.id);
    // An order to start that is older than the order to stop.
    if (vm?.state === 'stopping' || vm?.state === 'terminated' || vm?.state === 'failed') return undefined;
    if (!vm || !workspace || !slot || !secrets) return undefined;
    const vms = workspace.vmIds.flatMap(id => all.get(id) ?? []);
    return { kind: 'start-vm', vm: planVm(vm, { workspace, vms, slot, secrets }, this.#options.plan) };
  }

  #idSuffix(): string {
    return idSuffix(this.#options.random.bytes(10));
  }
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
