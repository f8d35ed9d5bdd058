import { describe, expect, it } from 'vitest';
import type { Slot, Vm, Workspace } from '../../src/lease/model.ts';
import { type Evidence, type GroundTruth, type TrueVm, violations } from '../invariants.ts';
import { LeaseBench, must, startedAt } from '../support/lease.ts';

/** A workspace of two VMs that runs as it should: every test breaks one thing of it. */
class Scene {
  readonly bench = new LeaseBench();
  now = startedAt;
  over = false;
  jobs: GroundTruth['jobs'] = [];
  nodes: GroundTruth['nodes'] = [];
  created = new Set<string>();
  destroyed = new Set<string>();
  notifications: { slotId: string; node: string; seq: number }[] = [];
  addresses = new Map<string, string>();

  constructor() {
    const { bench } = this;
    bench.running(2);
    this.jobs = [{ jobId: '7', slotId: bench.slotId, live: true, since: startedAt }];
    this.nodes = bench.vms.map(vm => ({
      name: must(vm.node),
      pilots: [bench.slotId],
      idleSince: null,
      vms: [{ vmId: vm.id, slotId: bench.slotId, nics: vm.nics, memoryMiB: 64, cpus: 1 }],
      before: 'lo eth0',
      after: `lo eth0 ${vm.nics[0]?.tap}`,
    }));
    this.created.add(bench.ws);
  }

  /** Destroyed in good order, and nothing left. */
  ended(): this {
    const { bench } = this;
    bench.destroy();
    for (const index of [0, 1]) bench.vm(index, 'terminated');
    bench.now += 1;
    bench.observed({ state: 'completed' });
    this.jobs = this.jobs.map(job => ({ ...job, live: false }));
    this.nodes = this.nodes.map(node => ({
      ...node,
      pilots: [],
      idleSince: startedAt,
      vms: [],
      after: node.before,
    }));
    this.destroyed.add(bench.ws);
    this.over = true;
    return this;
  }

  slot(patch: Partial<Slot>): void {
    this.bench.maps.slots.set(this.bench.slotId, { ...this.bench.slot, ...patch });
  }
  workspace(patch: Partial<Workspace>): void {
    this.bench.maps.workspaces.set(this.bench.ws, { ...this.bench.workspace, ...patch });
  }
  vm(index: number, patch: Partial<Vm>): void {
    const vm = must(this.bench.vms[index]);
    this.bench.maps.vms.set(vm.id, { ...vm, ...patch });
  }
  node(index: number, patch: Partial<GroundTruth['nodes'][number]>): void {
    this.nodes = this.nodes.map((node, at) => (at === index ? { ...node, ...patch } : node));
  }

  /** The guest on a node is given so much. */
  guest(index: number, patch: Partial<TrueVm>): void {
    this.node(index, { vms: must(this.nodes[index]).vms.map(vm => ({ ...vm, ...patch })) });
  }

  evidence(): Evidence {
    return {
      state: this.bench.state,
      truth: { now: this.now, jobs: this.jobs, nodes: this.nodes },
      acknowledged: {
        created: this.created,
        destroyed: this.destroyed,
        notifications: this.notifications,
        addresses: this.addresses,
      },
      tolerance: { followMs: 1_000, cancelMs: 1_000, endMs: 1_000, recoverMs: 0 },
      over: this.over,
    };
  }

  broken(): string[] {
    return violations(this.evidence()).map(({ invariant, message }) => `${invariant}: ${message}`);
  }
}

const running = (): Scene => new Scene();
const ended = (): Scene => new Scene().ended();

/** Each breaks a good scene; the checker must say so, with the invariant's number and these words. */
const broken: readonly (readonly [string, () => Scene, (scene: Scene) => void, RegExp])[] = [
  [
    'a slot that outlives its job',
    running,
    scene => {
      scene.jobs = scene.jobs.map(job => ({ ...job, live: false }));
      scene.nodes = [];
      scene.now += 1_001;
    },
    /^1: slot-a* is ready, its job 7 has been over for 1001 ms/,
  ],
  [
    'a VM that outlives its slot',
    ended,
    scene => scene.vm(0, { state: 'running' }),
    /^1: ws-a*.node-0 is running/,
  ],
  [
    'a VM whose slot is lost',
    running,
    scene => void scene.bench.maps.slots.delete(scene.bench.slotId),
    /^1: .* in a slot that is not there/,
  ],
  [
    'a guest that outlives its job',
    running,
    scene => {
      scene.jobs = [];
    },
    /^1: ws-a*.node-0 runs on n0, slot-a* has no live job/,
  ],
  [
    'a node that is not as it was',
    ended,
    scene => scene.node(1, { after: 'lo eth0 tap9' }),
    /^2: n1 is not as it was/,
  ],
  [
    'a guest on a node without a pilot',
    running,
    scene => scene.node(0, { pilots: [], idleSince: startedAt, after: 'lo eth0' }),
    /^2: ws-a*.node-0 runs on n0, where no pilot is/,
  ],
  [
    'a guest on a node that was released',
    running,
    scene => scene.slot({ nodes: scene.bench.slot.nodes.map(node => ({ ...node, state: 'released' })) }),
    /^2: .* runs on n0, which slot-a* has released/,
  ],
  [
    'an address of two VMs',
    running,
    scene => scene.vm(0, { nics: must(scene.bench.vms[1]).nics }),
    /^3: address 10.90.0.2 is held by/,
  ],
  [
    'a MAC of two VMs',
    running,
    scene =>
      scene.vm(0, {
        nics: [
          { ...must(must(scene.bench.vms[0]).nics[0]), mac: must(must(scene.bench.vms[1]).nics[0]).mac },
        ],
      }),
    /^3: MAC 52:54:0a:5a:00:02 is held by/,
  ],
  [
    'a tap of two VMs',
    running,
    scene =>
      scene.vm(0, {
        nics: [
          { ...must(must(scene.bench.vms[0]).nics[0]), tap: must(must(scene.bench.vms[1]).nics[0]).tap },
        ],
      }),
    /^3: tap wt0a5a0002 is held by/,
  ],
  [
    'a name of two VMs',
    running,
    scene => scene.vm(0, { name: 'node-1' }),
    /^3: name ws-a*\/node-1 is held by/,
  ],
  [
    'a guest in two places',
    running,
    scene => scene.node(1, { vms: must(scene.nodes[0]).vms }),
    /^3: VM ws-a*.node-0 is held by n0 and by n1/,
  ],
  [
    'a name of two workspaces',
    running,
    scene =>
      void scene.bench.maps.workspaces.set('ws-b', { ...scene.bench.workspace, id: 'ws-b', vmIds: [] }),
    /^3: name ann\/ws-a* is held by/,
  ],
  [
    'half an ensemble',
    running,
    scene => scene.vm(1, { state: 'starting' }),
    /^4: ws-a* is running, .* is starting/,
  ],
  ['a dead member', running, scene => scene.vm(1, { state: 'failed' }), /^4: ws-a* is running, .* is failed/],
  [
    'a lost member',
    running,
    scene => void scene.bench.maps.vms.delete(must(scene.bench.workspace.vmIds[1])),
    /^4: ws-a* lacks VMs/,
  ],
  [
    'a guest of an ensemble that does not run',
    running,
    scene => scene.workspace({ state: 'queued' }),
    /^4: .* runs, ws-a* is queued/,
  ],
  [
    'a deployment that has lost a VM',
    running,
    scene => {
      scene.workspace({ state: 'deploying' });
      scene.vm(0, { state: 'terminated' });
    },
    /^4: ws-a* is deploying, .* is terminated/,
  ],
  [
    'an end that left a VM out',
    running,
    scene => scene.workspace({ state: 'ending', cause: 'failed', reason: { code: 'x', message: 'x' } }),
    /^4: ws-a* is ending, .* is running/,
  ],
  [
    'an end without a cause',
    ended,
    scene => scene.workspace({ cause: null }),
    /^5: ws-a* ends without a reason/,
  ],
  [
    'an end without a reason',
    ended,
    scene => scene.workspace({ reason: null }),
    /^5: ws-a* ends without a reason/,
  ],
  ['an end at no time', ended, scene => scene.workspace({ endedAt: null }), /^5: ws-a* ended at no time/],
  [
    'an expiry before its time',
    ended,
    scene => scene.workspace({ cause: 'expired' }),
    /^5: ws-a* expired before its end/,
  ],
  [
    'an expiry for the end of a job that is far',
    ended,
    scene => {
      scene.slot({ jobEndsAt: scene.now + 3_600_000 });
      scene.workspace({ cause: 'expired', reason: { code: 'walltime', message: 'x' } });
    },
    /^5: ws-a* expired before its end/,
  ],
  [
    'a lease that goes on',
    running,
    scene => {
      scene.now += 3_600_000 + 1_001;
    },
    /^5: ws-a* is running 1001 ms after its end/,
  ],
  [
    'a workspace that never ends',
    running,
    scene => {
      scene.over = true;
    },
    /^5: ws-a* is running for ever/,
  ],
  [
    'a slot that never ends',
    ended,
    scene => scene.slot({ state: 'releasing' }),
    /^5: slot-a* is releasing for ever/,
  ],
  [
    'a job of a slot that nobody knows',
    running,
    scene => {
      scene.jobs = [...scene.jobs, { jobId: '8', slotId: 'slot-zzzzzzzzzz', live: true, since: startedAt }];
    },
    /^6: job 8 is of slot-z*, which is not there/,
  ],
  [
    'a second job of a slot',
    running,
    scene => {
      scene.jobs = [...scene.jobs, { jobId: '8', slotId: scene.bench.slotId, live: true, since: startedAt }];
      scene.now += 1_001;
    },
    /^6: job 8 lives, its slot-a* has job 7/,
  ],
  [
    'a job of a slot that is over',
    ended,
    scene => {
      scene.over = false;
      scene.jobs = scene.jobs.map(job => ({ ...job, live: true }));
      scene.now += 1_002;
    },
    /^6: job 7 lives, its slot-a* is released/,
  ],
  [
    'a job that is left at the end',
    ended,
    scene => {
      scene.jobs = scene.jobs.map(job => ({ ...job, live: true }));
    },
    /^6: job 7 of slot-a* is left/,
  ],
  [
    'a workspace that was accepted and is gone',
    running,
    scene => void scene.created.add('ws-zzzzzzzzzz'),
    /^7: ws-z* was accepted and is lost/,
  ],
  [
    'a destroy that was accepted and is forgotten',
    running,
    scene => void scene.destroyed.add(scene.bench.ws),
    /^7: the order to destroy ws-a* was accepted and is lost: it is running/,
  ],
  [
    'a notification that was acknowledged and is forgotten',
    running,
    scene => void scene.notifications.push({ slotId: scene.bench.slotId, node: 'n0', seq: 99 }),
    /^7: notification 99 of n0 in slot-a* was acknowledged and is lost/,
  ],
  [
    'a VM that was started anew with other addresses',
    running,
    scene => void scene.addresses.set(`${scene.bench.ws}/node-0`, '10.90.0.9'),
    /^3: ws-a*.node-0 has addresses 10.90.0.1, and had 10.90.0.9/,
  ],
  [
    'a pilot that leaves at the end of its job that was before the job was extended',
    ended,
    scene => {
      const at = scene.now + 3_600_000;
      scene.jobs = scene.jobs.map(job => ({ ...job, ends: { at, since: scene.now - 90_001 } }));
      scene.workspace({ cause: 'failed', reason: { code: 'node_left', message: 'x' }, endedAt: scene.now });
    },
    /^5: ws-a* ended because its pilot left, long before the end of its job/,
  ],
  [
    'guests that have more of a node than their slot',
    running,
    scene => scene.guest(0, { memoryMiB: scene.bench.slot.memoryMiBPerNode + 1 }),
    /^8: the guests on n0 have \d+ MiB and 1 processors, more than slot-a* has of it/,
  ],
  [
    'guests that have more processors of a node than their slot',
    running,
    scene => scene.guest(0, { cpus: scene.bench.slot.cpusPerNode + 1 }),
    /^8: the guests on n0 have 64 MiB and \d+ processors, more than slot-a* has of it/,
  ],
  [
    'guests that have more than the node itself',
    running,
    scene => scene.node(0, { memoryMiB: 63 }),
    /^8: the guests on n0 have 64 MiB and 1 processors, more than it has/,
  ],
];

describe('the checker of the invariants', () => {
  it('finds nothing wrong with what is right: waiting, running, ended', () => {
    expect(running().broken()).toEqual([]);
    expect(ended().broken()).toEqual([]);
    const waiting = running();
    waiting.bench.maps.workspaces.clear();
    waiting.bench.maps.slots.clear();
    waiting.bench.maps.vms.clear();
    waiting.bench.create(2);
    waiting.jobs = [];
    waiting.nodes = [];
    expect(waiting.broken()).toEqual([]);
  });

  it.each(broken)('finds %s', (_what, scene, breakIt, message) => {
    const one = scene();
    breakIt(one);
    expect(one.broken()).toContainEqual(expect.stringMatching(message));
  });

  it('lets VMs of a job that its LRM calls over run until their pilots can have left', () => {
    const scene = ended();
    scene.over = false;
    scene.jobs = scene.jobs.map(job => ({ ...job, live: true, disownedAt: scene.now }));
    scene.node(0, { vms: [{ vmId: must(scene.bench.vms[0]).id, slotId: scene.bench.slotId, nics: [] }] });
    scene.node(0, { idleSince: null });
    const disowned = (): string[] =>
      violations({
        ...scene.evidence(),
        tolerance: { ...scene.evidence().tolerance, disownedMs: 5_000 },
      }).map(({ message }) => message);
    expect(disowned()).toEqual([]);
    scene.now += 5_001;
    expect(disowned()).toContainEqual(expect.stringMatching(/runs, ws-a* is ended/));
  });

  it('asks nobody to end what the kernel does not let go of', () => {
    const scene = ended();
    const { id } = must(scene.bench.vms[0]);
    const vm = { vmId: id, slotId: scene.bench.slotId, nics: [] };
    scene.node(0, { idleSince: null, vms: [{ ...vm, stuck: true }] });
    expect(scene.broken()).toEqual([]);
    scene.node(0, { vms: [vm] });
    expect(scene.broken()).not.toEqual([]);
  });

  it('lets a pilot leave at the end of its job, or at one that it could not know to have been moved', () => {
    const left = (ends: { at: number; since: number }): string[] => {
      const scene = ended();
      scene.jobs = scene.jobs.map(job => ({ ...job, ends }));
      scene.workspace({ cause: 'failed', reason: { code: 'node_left', message: 'x' }, endedAt: scene.now });
      return scene.broken();
    };
    const { now } = ended();
    expect(left({ at: now + 30_000, since: 0 })).toEqual([]);
    expect(left({ at: now + 3_600_000, since: now - 10_000 })).toEqual([]);
  });

  it('lets belief lag behind truth for as long as it may', () => {
    const scene = running();
    scene.jobs = scene.jobs.map(job => ({ ...job, live: false }));
    scene.nodes = [];
    scene.now += 1_000;
    expect(scene.broken()).toEqual([]);
  });
});
