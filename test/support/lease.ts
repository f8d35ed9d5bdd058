import type { Policy } from '../../src/lease/policies/index.ts';
import { noQuotas } from '../../src/lease/quota.ts';
import { applyDecision, decide, emptyMaps, nextDeadlineAt, type SiteMaps } from '../../src/lease/decide.ts';
import type { DecidedOrder, Decision, Effect, HistoryEvent, Refusal } from '../../src/lease/decision.ts';
import type { LeaseInput } from '../../src/lease/inputs.ts';
import type { ObservedJob } from '../../src/lease/model.ts';
import type { SiteState, Slot, Vm, Workspace } from '../../src/lease/model.ts';
import type { PoolSettings } from '../../src/lease/settings.ts';
import { defaultPoolName } from '../../src/protocol/ids.ts';
import type { WorkspaceRequest } from '../../src/protocol/cluster.ts';
import type { NotificationBody, VmReport } from '../../src/protocol/pilot.ts';
import type { VmState } from '../../src/protocol/states.ts';

/** One pool: `policy` and `site` are that pool's. */
export const settings: PoolSettings = onePool({
  networks: [
    { name: 'public', firstAddress: '192.0.2.10', lastAddress: '192.0.2.19', vnis: null },
    {
      name: 'private',
      firstAddress: '10.90.0.1',
      lastAddress: '10.90.0.200',
      vnis: { first: 5_000, last: 69_999 },
    },
  ],
  defaultNetwork: 'private',
  quotas: noQuotas,
  policy: { kind: 'exact' },
  images: [
    { name: 'mini', agent: true, minMemoryMiB: 32 },
    { name: 'plain', agent: false, minMemoryMiB: 32 },
  ],
  defaultDurationMs: 3_600_000,
  maxDurationMs: 24 * 3_600_000,
  memory: { vmm: { fixedMiB: 64, perCpuMiB: 0, guestShare: 0 }, pilotMiB: 0 },
  walltimePadMs: 60_000,
  shutdownGraceMs: 10_000,
  endNoticesMs: [],
  submitTimeoutMs: 3_600_000,
  reserveTimeoutMs: 60_000,
  pilotSilenceMs: 300_000,
  drain: 'wait',
  suspended: 'wait',
  deployTimeoutMs: 120_000,
  releaseTimeoutMs: 30_000,
  retireAfterMs: Number.POSITIVE_INFINITY,
  site: {
    nodes: 16,
    sizes: null,
    memoryMiBPerNode: 8_192,
    cpusPerNode: 4,
    maxWalltimeMs: 48 * 3_600_000,
    walltimeStepMs: 60_000,
    killDelayMs: 30_000,
    free: null,
  },
});

/** Settings of a site with one pool, that has this policy and size. */
export function onePool(of: Omit<PoolSettings, 'pools'>): PoolSettings {
  const { policy, memory, site } = of;
  return { ...of, pools: [{ name: defaultPoolName, policy, memory, site, reaches: null }] };
}

export const startedAt = 1_700_000_000_000;

/** One workspace `ws` on one slot, driven by hand: decides, applies, and keeps what was recorded and emitted. */
export class LeaseBench {
  readonly ws = 'ws-aaaaaaaaaa';
  readonly slotId = 'slot-aaaaaaaaaa';
  readonly maps: SiteMaps = emptyMaps();
  readonly state: SiteState;
  readonly events: HistoryEvent[] = [];
  readonly effects: Effect[] = [];
  now = startedAt;
  readonly #seqs = new Map<string, number>();

  constructor(overrides: Partial<PoolSettings> & { readonly policy?: Policy } = {}) {
    this.state = { settings: { ...onePool({ ...settings, ...overrides }), ...overrides }, ...this.maps };
  }

  get workspace(): Workspace {
    return must(this.maps.workspaces.get(this.ws));
  }
  get slot(): Slot {
    return must(this.maps.slots.get(this.slotId));
  }
  get vms(): readonly Vm[] {
    return this.workspace.vmIds.map(id => must(this.maps.vms.get(id)));
  }
  get vmStates(): readonly VmState[] {
    return this.vms.map(({ state }) => state);
  }

  /** Applies an input that must not be refused. */
  step(input: LeaseInput): Decision {
    const outcome = decide(this.state, input, this.now);
    if (!outcome.ok) throw new Error(`refused: ${outcome.refusal.message}`);
    applyDecision(this.maps, outcome.decision);
    this.events.push(...outcome.decision.events);
    this.effects.push(...outcome.decision.effects);
    return outcome.decision;
  }

  /** The refusal of an input that must be refused. */
  refusal(input: LeaseInput): Refusal {
    const outcome = decide(this.state, input, this.now);
    if (outcome.ok) throw new Error('not refused');
    return outcome.refusal;
  }

  createInput(
    request: WorkspaceRequest,
    letter = 'a',
    owner = 'ann',
  ): Extract<LeaseInput, { type: 'create' }> {
    const suffix = letter.repeat(10);
    return {
      type: 'create',
      workspaceId: `ws-${suffix}`,
      slotId: `slot-${suffix}`,
      owner,
      request,
      requestDigest: JSON.stringify(request),
      lots: [7, 7],
    };
  }

  create(count = 2, more: Partial<WorkspaceRequest> = {}): Decision {
    return this.step(
      this.createInput({
        groups: [{ name: 'node', image: 'mini', count, memoryMiB: 256, cpus: 1 }],
        ...more,
      }),
    );
  }

  submitted(jobId = '7'): Decision {
    return this.step({ type: 'lrm.submitted', slotId: this.slotId, jobId });
  }

  /** The LRM's answer, taken now: this one job of ours, or nothing at all. */
  observed(job: Partial<ObservedJob> | undefined): Decision {
    const untold = {
      reason: null,
      outlook: null,
      estimatedStartAt: null,
      endsAt: null,
      nodes: [],
      draining: null,
    };
    const known = { jobId: '7', slotId: this.slotId, ...untold };
    const jobs = job ? [{ ...known, state: 'running' as const, ...job }] : [];
    return this.step({ type: 'lrm.observed', pool: defaultPoolName, takenAt: this.now, jobs });
  }

  notify(node: string, body: NotificationBody): Decision {
    const seq = (this.#seqs.get(node) ?? 0) + 1;
    this.#seqs.set(node, seq);
    return this.step({ type: 'pilot.notified', slotId: this.slotId, node, seq, at: this.now, body });
  }

  node(node: string, state: Extract<NotificationBody, { kind: 'node' }>['state']): Decision {
    return this.notify(node, { kind: 'node', state });
  }

  /** The pilot that has VM `index` reports it. */
  vm(index: number, state: VmState, more: Partial<VmReport> = {}): Decision {
    const vm = must(this.vms[index]);
    const report: VmReport = { vmId: vm.id, state, context: vm.context, ...more };
    return this.notify(must(vm.node), { kind: 'vm', report });
  }

  connect(node: string, vms: readonly VmReport[] = []): Decision {
    return this.step({ type: 'pilot.connected', slotId: this.slotId, node, address: '10.0.0.1', vms });
  }

  destroy(): Decision {
    return this.step({ type: 'destroy', workspaceId: this.ws, by: 'ann' });
  }

  /** Lets time pass and does what is due then. */
  after(ms: number): Decision {
    this.now += ms;
    return this.step({ type: 'clock', slotId: `slot-of-${this.now}` });
  }

  /** Lets time pass to the next deadline and does what is due. */
  atDeadline(): Decision {
    const next = must(nextDeadlineAt(this.state));
    this.now = Math.max(this.now, next);
    return this.step({ type: 'clock', slotId: `slot-of-${this.now}` });
  }

  /** Created, submitted, all nodes n0, n1, … reserved. */
  reserved(count = 2, more: Partial<WorkspaceRequest> = {}): this {
    this.create(count, more);
    this.submitted();
    for (let index = 0; index < count; index++) this.node(`n${index}`, 'reserving');
    for (let index = 0; index < count; index++) this.node(`n${index}`, 'reserved');
    return this;
  }

  /** As `reserved`, and all VMs run. */
  running(count = 2, more: Partial<WorkspaceRequest> = {}): this {
    this.reserved(count, more);
    for (let index = 0; index < count; index++) this.vm(index, 'running');
    return this;
  }

  effectsOf(decision: Decision, kind: Effect['kind']): readonly Effect[] {
    return decision.effects.filter(effect => effect.kind === kind);
  }
  /** The orders of one kind, each with the node that it is for. */
  ordersOf(
    decision: Decision,
    kind: DecidedOrder['kind'],
  ): readonly (DecidedOrder & { readonly node: string })[] {
    return decision.effects.flatMap(effect =>
      effect.kind === 'pilot' && effect.order.kind === kind ? [{ ...effect.order, node: effect.node }] : [],
    );
  }
}

/** What effects are, an order for a pilot by its own kind. */
export function kindsOf(effects: readonly Effect[]): readonly string[] {
  return effects.map(effect => (effect.kind === 'pilot' ? effect.order.kind : effect.kind));
}

export function must<T>(value: T | null | undefined): T {
  if (value === undefined || value === null) throw new Error('not there');
  return value;
}
