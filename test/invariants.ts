import type { SiteState, Slot, Vm, Workspace } from '../src/lease/model.ts';

/**
 * The invariants of ARCHITECTURE.md, as one program (but the ninth, which the network of the
 * simulation sees: test/sim/witness.ts): what the service believes is held against what is really
 * there. Pure. Used after every step of every simulated life, and at the end of end-to-end tests.
 */

/** What is really there, asked from the LRM and the nodes themselves. */
export interface GroundTruth {
  readonly now: number;
  /** Since when the service runs without a break: what happened before, it can only have learnt since. */
  readonly servedSince?: number;
  /** Jobs of ours. `live`: waiting, running or ending. */
  readonly jobs: readonly {
    readonly jobId: string;
    readonly slotId: string;
    readonly live: boolean;
    /** When it was submitted (live) or was over (not live). */
    readonly since: number;
    /** Since when its LRM says that it is over although it is not: nobody but its own pilots can tell. */
    readonly disownedAt?: number;
    /** Until when its LRM lets it run, and since when that is so. */
    readonly ends?: { readonly at: number; readonly since: number };
  }[];
  readonly nodes: readonly {
    readonly name: string;
    /** Slots whose pilot runs here. */
    readonly pilots: readonly string[];
    /** Since when no pilot and no undo is at work; null while one is. */
    readonly idleSince: number | null;
    readonly vms: readonly TrueVm[];
    /** What it has. */
    readonly memoryMiB?: number;
    readonly cpus?: number;
    /** All that pilots could change (interfaces, rules, memory, processes, files), as one text: before the first pilot, and now. */
    readonly before: string;
    readonly after: string;
  }[];
}

export interface TrueVm {
  readonly vmId: string;
  readonly slotId: string;
  readonly nics: readonly { readonly address: string; readonly mac: string; readonly tap: string }[];
  /** What its guest was given. */
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** Its process has been killed, and the kernel does not let go of it: it answers nothing, and nobody can end it. */
  readonly stuck?: boolean;
}

/** What clients and pilots have been told is durable. */
export interface Acknowledged {
  readonly created: ReadonlySet<string>;
  readonly destroyed: ReadonlySet<string>;
  readonly notifications: readonly { readonly slotId: string; readonly node: string; readonly seq: number }[];
  /**
   * By `<workspace>/<VM's name>`: its addresses, which it keeps until its workspace has ended, also
   * when it is started anew.
   */
  readonly addresses?: ReadonlyMap<string, string>;
}

/** How long belief may lag behind truth, milliseconds. Zero asks for what must hold at every moment. */
export interface Tolerance {
  /** From the end of a job until its slot is over. */
  readonly followMs: number;
  /** From a slot's end until a job of it that is still there must be gone. */
  readonly cancelMs: number;
  /** From a lease's end until its workspace has ended. */
  readonly endMs: number;
  /** From a start of the service until it has made up for what happened while it was away. */
  readonly recoverMs: number;
  /** From the moment when the LRM disowns a job that runs until its pilots have left. Absent: no time at all. */
  readonly disownedMs?: number;
}

export interface Evidence {
  readonly state: Pick<SiteState, 'workspaces' | 'slots' | 'vms'>;
  readonly truth: GroundTruth;
  readonly acknowledged: Acknowledged;
  readonly tolerance: Tolerance;
  /** Everything has been given time to end: nothing may be left. */
  readonly over: boolean;
}

export interface Violation {
  readonly invariant: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;
  readonly message: string;
}

/** Everything that is wrong; empty when all hold. */
export function violations(evidence: Evidence): readonly Violation[] {
  const found: Violation[] = [];
  const accountable = withoutDisowned(evidence);
  for (const [invariant, check] of checks)
    for (const message of check(accountable)) found.push({ invariant, message });
  return found;
}

/** Without what nobody can do anything about just now: VMs of jobs that the LRM has disowned a moment ago, and processes that the kernel does not end. */
function withoutDisowned(evidence: Evidence): Evidence {
  const { truth, tolerance } = evidence;
  const disowned = new Set<string>();
  for (const { slotId, disownedAt } of truth.jobs) {
    if (disownedAt === undefined) continue;
    // Its pilots are sent away by a service that is there.
    const since = Math.max(disownedAt, truth.servedSince ?? disownedAt);
    if (!lags(evidence, since, tolerance.disownedMs ?? 0)) disowned.add(slotId);
  }
  const stuck = truth.nodes.some(({ vms }) => vms.some(vm => vm.stuck));
  if (disowned.size === 0 && !stuck) return evidence;
  const nodes = truth.nodes.map(node => ({
    ...node,
    vms: node.vms.filter(vm => !vm.stuck && !disowned.has(vm.slotId)),
  }));
  const jobs = truth.jobs.filter(({ slotId }) => evidence.over || !disowned.has(slotId));
  return { ...evidence, truth: { ...truth, nodes, jobs } };
}

type Check = (evidence: Evidence) => Iterable<string>;
const checks: readonly (readonly [Violation['invariant'], Check])[] = [
  [1, nothingOutlives],
  [2, nodesRestored],
  [3, nothingHeldTwice],
  [4, wholeOrNotAtAll],
  [5, everythingEnds],
  [6, noUnwantedJob],
  [7, nothingLost],
  [8, notMoreThanThereIs],
];

/** It has been so for longer than the service may need to follow; `allowedMs` after a start it has caught up. */
function lags({ truth, tolerance }: Evidence, since: number, allowedMs: number): boolean {
  const caughtUp = (truth.servedSince ?? Number.NEGATIVE_INFINITY) + tolerance.recoverMs;
  return Math.max(since + allowedMs, caughtUp) < truth.now;
}
const slotOver = (slot: Slot): boolean => slot.state === 'released' || slot.state === 'failed';
const vmOver = (vm: Vm): boolean => vm.state === 'terminated' || vm.state === 'failed';
/** Off, or on the way there or back, by its own or its user's will. */
const mayBeOff = ({ state, orders }: Vm): boolean =>
  state === 'stopping' ||
  state === 'terminated' ||
  (orders > 0 && (state === 'stopped' || state === 'starting'));
const isReplacement = ({ heal }: Workspace, { state, replaces }: Vm): boolean =>
  heal === 'replace' &&
  replaces > 0 &&
  (state === 'pending' || state === 'propagating' || state === 'starting');
const vmUp = (vm: Vm): boolean => vm.state === 'running' || vm.state === 'paused' || vm.state === 'rebooting';

/** 1. No VM outlives its slot, and no slot its LRM job. */
function* nothingOutlives(evidence: Evidence): Iterable<string> {
  const { state, truth, tolerance } = evidence;
  const jobs = new Map(truth.jobs.map(job => [job.jobId, job]));
  const liveSlots = new Set(truth.jobs.filter(({ live }) => live).map(({ slotId }) => slotId));
  for (const slot of state.slots.values()) {
    const job = slot.lrmJobId === null ? undefined : jobs.get(slot.lrmJobId);
    if (job && !job.live && !slotOver(slot) && lags(evidence, job.since, tolerance.followMs))
      yield `${slot.id} is ${slot.state}, its job ${job.jobId} has been over for ${truth.now - job.since} ms`;
  }
  for (const vm of state.vms.values()) {
    const slot = state.slots.get(vm.slotId);
    if (!slot) yield `${vm.id} is in a slot that is not there`;
    else if (!vmOver(vm) && slotOver(slot)) yield `${vm.id} is ${vm.state}, its ${slot.id} is ${slot.state}`;
  }
  for (const { name, vms } of truth.nodes)
    for (const { vmId, slotId } of vms)
      if (!liveSlots.has(slotId)) yield `${vmId} runs on ${name}, ${slotId} has no live job`;
}

/** 2. A released node is exactly as it was before reserve. */
function* nodesRestored({ state, truth }: Evidence): Iterable<string> {
  const nodes = new Map(truth.nodes.map(node => [node.name, node]));
  for (const { name, idleSince, vms, before, after } of truth.nodes) {
    if (idleSince === null) continue;
    if (before !== after) yield `${name} is not as it was: before ${before}, now ${after}`;
    for (const { vmId } of vms) yield `${vmId} runs on ${name}, where no pilot is`;
  }
  for (const slot of state.slots.values())
    for (const { name, state: reported } of slot.nodes)
      for (const vm of (reported === 'released' && nodes.get(name)?.vms) || [])
        if (vm.slotId === slot.id) yield `${vm.vmId} runs on ${name}, which ${slot.id} has released`;
}

/**
 * 3. No address, MAC, tap or name is held by two live VMs, and a VM's addresses are its own until
 * its workspace has ended.
 */
function nothingHeldTwice({ state, truth, acknowledged }: Evidence): Iterable<string> {
  const found: string[] = [];
  const holders = new Map<string, string>();
  const hold = (thing: string, holder: string): void => {
    const other = holders.get(thing);
    if (other !== undefined) found.push(`${thing} is held by ${other} and by ${holder}`);
    holders.set(thing, holder);
  };
  for (const vm of state.vms.values()) {
    if (vmOver(vm)) continue;
    const mine = vm.nics.map(({ address }) => address).join(' ');
    const told = acknowledged.addresses?.get(`${vm.workspaceId}/${vm.name}`) ?? mine;
    if (told !== mine) found.push(`${vm.id} has addresses ${mine}, and had ${told}`);
    hold(`name ${vm.workspaceId}/${vm.name}`, vm.id);
    for (const { address, mac, tap } of vm.nics) {
      hold(`address ${address}`, vm.id);
      hold(`MAC ${mac}`, vm.id);
      hold(`tap ${tap}`, vm.id);
    }
  }
  for (const { id, state: is, vnis } of state.workspaces.values())
    if (is !== 'ended') for (const vni of Object.values(vnis)) hold(`VNI ${vni}`, id);
  for (const { name, vms } of truth.nodes)
    for (const vm of vms) {
      hold(`VM ${vm.vmId}`, name);
      for (const { address, mac, tap } of vm.nics) {
        hold(`address ${address} in a guest`, vm.vmId);
        hold(`MAC ${mac} in a guest`, vm.vmId);
        hold(`tap ${tap} on ${name}`, vm.vmId);
      }
    }
  for (const workspace of state.workspaces.values())
    if (workspace.state !== 'ended') hold(`name ${workspace.owner}/${workspace.name}`, workspace.id);
  return found;
}

/** 4. An ensemble runs whole or not at all. */
function* wholeOrNotAtAll({ state, truth }: Evidence): Iterable<string> {
  const real = new Set<string>();
  for (const { vms } of truth.nodes) for (const { vmId } of vms) real.add(vmId);
  for (const workspace of state.workspaces.values()) {
    const vms = vmsOf(state, workspace);
    if (vms.length !== workspace.vmIds.length) yield `${workspace.id} lacks VMs`;
    switch (workspace.state) {
      case 'pending':
      case 'requested':
      case 'queued':
      case 'ended':
        for (const vm of vms)
          if (vmUp(vm) || real.has(vm.id)) yield `${vm.id} runs, ${workspace.id} is ${workspace.state}`;
        break;
      case 'running':
        // A guest may have shut itself down, or have been ordered to; none may be missing, or have failed, unless another is on its way in its place.
        for (const vm of workspace.keepPartial ? [] : vms)
          if (!vmUp(vm) && !mayBeOff(vm) && !isReplacement(workspace, vm))
            yield `${workspace.id} is running, ${vm.id} is ${vm.state}`;
        break;
      case 'deploying':
        for (const vm of workspace.keepPartial ? [] : vms)
          if (vmOver(vm)) yield `${workspace.id} is deploying, ${vm.id} is ${vm.state}`;
        break;
      case 'ending':
        for (const vm of vms) if (vmUp(vm)) yield `${workspace.id} is ending, ${vm.id} is ${vm.state}`;
        break;
    }
  }
}

/** Pilots leave so long before their job's end at most (kill delay, guests' grace), and a clock may have been set by five minutes meanwhile. */
const longestEndMarginMs = 360_000;

/** It ended because its job was at the end of its walltime, which the LRM may have cut: what the service knew of that end bears it out. */
function jobWasOver(state: Evidence['state'], { slotId, endedAt, reason }: Workspace): boolean {
  if (reason?.code !== 'walltime') return false;
  const { jobEndsAt = null } = state.slots.get(slotId) ?? {};
  return jobEndsAt === null || (endedAt ?? 0) >= jobEndsAt - longestEndMarginMs;
}

/**
 * So long after a job was given another end every pilot of it that can be heard knows that, and
 * goes by it.
 */
const heardWithinMs = 90_000;
/** Pilots leave so long before their job's end at most, and their leaving takes its time. */
const leavesWithinMs = 60_000;

/**
 * Its pilot went as if the job were at its end, which it was not, and could have been known not to
 * be.
 */
function leftTooSoon({ truth }: Evidence, { reason, endedAt, slotId }: Workspace): boolean {
  if (reason?.code !== 'walltime' && reason?.code !== 'node_left') return false;
  const ends = truth.jobs.find(job => job.slotId === slotId)?.ends;
  if (ends === undefined || endedAt === null) return false;
  const known = Math.max(ends.since, truth.servedSince ?? 0) + heardWithinMs < endedAt;
  return known && endedAt < ends.at - leavesWithinMs;
}

/** 5. Every workspace reaches a final state, with a reason. */
function* everythingEnds(evidence: Evidence): Iterable<string> {
  const { state, truth, tolerance, over } = evidence;
  for (const workspace of state.workspaces.values()) {
    const { id, cause, reason, endsAt, endedAt } = workspace;
    const ending = workspace.state === 'ending' || workspace.state === 'ended';
    if (ending && (cause === null || !reason?.code || !reason.message)) yield `${id} ends without a reason`;
    if (workspace.state === 'ended') {
      if (endedAt === null) yield `${id} ended at no time`;
      else if (
        cause === 'expired' &&
        (endsAt === null || (endedAt < endsAt && !jobWasOver(state, workspace)))
      )
        yield `${id} expired before its end`;
      else if (leftTooSoon(evidence, workspace))
        yield `${id} ended because its pilot left, long before the end of its job`;
      for (const vm of vmsOf(state, workspace)) if (!vmOver(vm)) yield `${id} ended, ${vm.id} is ${vm.state}`;
    } else {
      if (over) yield `${id} is ${workspace.state} for ever`;
      const suspended = (state.slots.get(workspace.slotId)?.suspendedSince ?? null) !== null;
      if (!suspended && endsAt !== null && lags(evidence, endsAt, tolerance.endMs))
        yield `${id} is ${workspace.state} ${truth.now - endsAt} ms after its end`;
    }
  }
  if (over)
    for (const slot of state.slots.values())
      if (!slotOver(slot)) yield `${slot.id} is ${slot.state} for ever`;
}

/** 6. No LRM job without a slot that wants it. */
function* noUnwantedJob(evidence: Evidence): Iterable<string> {
  const { state, truth, tolerance, over } = evidence;
  for (const job of truth.jobs) {
    if (!job.live) continue;
    const slot = state.slots.get(job.slotId);
    if (over) yield `job ${job.jobId} of ${job.slotId} is left`;
    else if (!slot) yield `job ${job.jobId} is of ${job.slotId}, which is not there`;
    else if (slotOver(slot) && lags(evidence, Math.max(slot.endedAt ?? 0, job.since), tolerance.cancelMs))
      yield `job ${job.jobId} lives, its ${slot.id} is ${slot.state}`;
    else if (
      slot.lrmJobId !== null &&
      slot.lrmJobId !== job.jobId &&
      lags(evidence, job.since, tolerance.cancelMs)
    )
      yield `job ${job.jobId} lives, its ${slot.id} has job ${slot.lrmJobId}`;
  }
}

/** 7. Nothing acknowledged is lost by a crash. */
function* nothingLost({ state, acknowledged }: Evidence): Iterable<string> {
  for (const id of acknowledged.created)
    if (!state.workspaces.has(id)) yield `${id} was accepted and is lost`;
  for (const id of acknowledged.destroyed) {
    const workspace = state.workspaces.get(id);
    if (workspace?.state !== 'ending' && workspace?.state !== 'ended')
      yield `the order to destroy ${id} was accepted and is lost: it is ${workspace?.state ?? 'not there'}`;
  }
  for (const { slotId, node, seq } of acknowledged.notifications) {
    const slot = state.slots.get(slotId);
    const applied = slot?.nodes.find(({ name }) => name === node)?.appliedSeq ?? 0;
    if (slot && applied < seq)
      yield `notification ${seq} of ${node} in ${slotId} was acknowledged and is lost`;
  }
}

/** 8. No node is given more than it has, and a slot's guests no more of it than is the slot's. */
function* notMoreThanThereIs({ state, truth }: Evidence): Iterable<string> {
  for (const node of truth.nodes) {
    const { name, vms, memoryMiB = Infinity, cpus = Infinity } = node;
    const all = sumOf(vms);
    if (all.memoryMiB > memoryMiB || all.cpus > cpus)
      yield `the guests on ${name} have ${all.memoryMiB} MiB and ${all.cpus} processors, more than it has`;
    for (const slotId of new Set(vms.map(vm => vm.slotId))) {
      const slot = state.slots.get(slotId);
      const own = sumOf(vms.filter(vm => vm.slotId === slotId));
      if (slot && (own.memoryMiB > slot.memoryMiBPerNode || own.cpus > slot.cpusPerNode))
        yield `the guests on ${name} have ${own.memoryMiB} MiB and ${own.cpus} processors, more than ${slotId} has of it`;
    }
  }
}

function sumOf(vms: readonly TrueVm[]): { readonly memoryMiB: number; readonly cpus: number } {
  return {
    memoryMiB: vms.reduce((sum, { memoryMiB = 0 }) => sum + memoryMiB, 0),
    cpus: vms.reduce((sum, { cpus = 0 }) => sum + cpus, 0),
  };
}

function vmsOf(state: Evidence['state'], workspace: Workspace): readonly Vm[] {
  const vms: Vm[] = [];
  for (const id of workspace.vmIds) {
    const vm = state.vms.get(id);
    if (vm) vms.push(vm);
  }
  return vms;
}
