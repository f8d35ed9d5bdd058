import { Check } from 'typebox/value';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineBench, FakePilot, must, testPlanSite } from '../../../test/support/engine.ts';
import { kindsOf } from '../../../test/support/lease.ts';
import { isVxlan } from '../../control/network/links/index.ts';
import type { WorkspaceRequest } from '../../protocol/cluster.ts';
import type { Workspace } from '../../lease/model.ts';
import { VmPlan } from '../../protocol/plan.ts';
import { programText } from './assignment.ts';
import { planPeers, planVm } from './plan.ts';
import type { SlotAssignment } from '../../protocol/pilot.ts';

/** The paper's example: a head with two networks, workers with the private one. */
const osg: WorkspaceRequest = {
  name: 'osg',
  sshKeys: ['ssh-ed25519 KEY ann'],
  groups: [
    {
      name: 'ce',
      image: 'mini',
      count: 1,
      memoryMiB: 256,
      cpus: 1,
      networks: ['public', 'private'],
      roles: ['head'],
      userData: '#!/bin/sh\n',
    },
    { name: 'worker', image: 'plain', count: 2, memoryMiB: 128, cpus: 1, networks: ['private'] },
  ],
};

describe('the plan of a VM', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = await new EngineBench().start();
  });
  afterEach(() => bench.close());

  /** The plans of a workspace's VMs, as its pilots get them; nodes have the addresses 10.1.0.0, 10.1.0.1, … */
  const plans = async (request: WorkspaceRequest): Promise<ReadonlyMap<string, VmPlan>> => {
    const workspace = await bench.engine.workspaces.create('ann', request);
    const pilots = workspace.vmIds.map(
      (_, index) => new FakePilot(bench.engine, workspace.slotId, `n${index}`),
    );
    for (const [index, pilot] of pilots.entries()) {
      pilot.hello();
      pilot.notify({ kind: 'node', state: 'reserved', address: `10.1.0.${index}` });
    }
    await bench.settle();
    const bodies = pilots.flatMap(({ commands }) => commands.map(({ body }) => body));
    return new Map(bodies.flatMap(body => (body.kind === 'start-vm' ? [[body.vm.name, body.vm]] : [])));
  };

  const workspaceCalled = (name: string): Workspace =>
    must([...bench.engine.state.workspaces.values()].find(each => each.name === name));

  it('report 6: has the user data byte for byte', async () => {
    const userData = { base64: Buffer.from([0x1f, 0x8b, 0, 0xff, 0x0a]).toString('base64') };
    const made = await plans({
      groups: [{ name: 'a', image: 'mini', count: 1, memoryMiB: 256, cpus: 1, userData }],
    });
    const plan = must(made.get('a-0'));
    expect(Check(VmPlan, plan)).toBe(true);
    expect(plan.context.userData).toEqual(userData);
  });

  it('is what the protocol says, and complete for the whole ensemble', async () => {
    const made = await plans(osg);
    expect([...made.keys()].sort()).toEqual(['ce-0', 'worker-0', 'worker-1']);
    for (const plan of made.values()) expect(Check(VmPlan, plan)).toBe(true);
    const ce = must(made.get('ce-0'));
    expect(ce.image).toEqual({ name: 'mini', directory: '/images/mini' });
    expect(ce.context).toMatchObject({
      hostname: 'ce-0',
      workspace: 'osg',
      roles: ['head'],
      authorizedKeys: ['ssh-ed25519 KEY ann'],
      userData: '#!/bin/sh\n',
      hostKey: { publicKey: `ssh-ed25519 AAAA ${ce.vmId}` },
      clusterKey: { publicKey: `ssh-ed25519 AAAA ${ce.workspaceId}` },
    });
    expect(must(made.get('worker-0')).context).not.toHaveProperty('userData');
    // The network that all share comes first.
    const [publicNic, privateNic] = ce.nics;
    expect(ce.context.hosts).toEqual(must(made.get('worker-1')).context.hosts);
    expect(ce.context.hosts[0]).toEqual({
      name: 'ce-0',
      addresses: [privateNic?.address, publicNic?.address],
      hostPublicKey: `ssh-ed25519 AAAA ${ce.vmId}`,
    });
  });

  it('bridges site networks to their uplink and private ones into a VXLAN of the workspace', async () => {
    const made = await plans(osg);
    const ce = must(made.get('ce-0'));
    expect(ce.nics[0]).toMatchObject({
      network: 'public',
      prefixLength: 24,
      gateway: '192.0.2.1',
      dns: ['192.0.2.2'],
      bridge: { link: { kind: 'uplink', interface: 'eth0' }, serviceAddress: '169.254.100.1', mtu: 1_500 },
    });
    expect(ce.nics[1]?.bridge).toEqual({
      name: must(made.get('worker-0')?.nics[0]).bridge.name,
      link: {
        kind: 'vxlan',
        vni: workspaceCalled('osg').vnis['private'],
        port: 4_789,
        peers: [
          { address: '10.1.0.1', macs: [must(made.get('worker-0')?.nics[0]).mac] },
          { address: '10.1.0.2', macs: [must(made.get('worker-1')?.nics[0]).mac] },
        ],
      },
      serviceAddress: '169.254.101.1',
      mtu: 1_450,
    });
    expect(ce.nics[1]).not.toHaveProperty('gateway');
    const links = [...made.values()].map(plan => must(plan.nics.at(-1)).bridge.link);
    expect(links.map(link => isVxlan(link) && [link.vni, link.peers.length])).toEqual(
      Array.from({ length: 3 }, () => [workspaceCalled('osg').vnis['private'], 2]),
    );
  });

  it('keeps workspaces apart: own VXLAN and own bridge, but the site’s bridge is shared', async () => {
    const one = must((await plans(osg)).get('ce-0'));
    const two = must((await plans({ ...osg, name: 'other' })).get('ce-0'));
    expect(one.nics[0]?.bridge).toEqual(two.nics[0]?.bridge);
    expect(one.nics[1]?.bridge.name).not.toBe(two.nics[1]?.bridge.name);
    const vnis = [one, two].map(plan => must(plan.nics[1]).bridge.link['vni']);
    expect(vnis).toEqual(['osg', 'other'].map(name => workspaceCalled(name).vnis['private']));
    expect(new Set(vnis).size).toBe(2);
    for (const vni of vnis) expect(vni).toBeGreaterThanOrEqual(5_000);
  });

  it('security 5 has a pilot told when a VM of the network has gone, until it says that it has heard', async () => {
    const made = await plans({ ...osg, keepPartial: true });
    const { slotId } = workspaceCalled('osg');
    const ce = new FakePilot(bench.engine, slotId, 'n0');
    const lost = new FakePilot(bench.engine, slotId, 'n1');
    lost.hello();
    lost.send(9, {
      kind: 'vm',
      report: { vmId: must(made.get('worker-0')).vmId, state: 'failed', context: 'none' },
    });
    await bench.settle();
    ce.hello();
    await bench.settle();
    const told = ce.commands.filter(({ body }) => body.kind === 'set-peers');
    const [mac] = must(made.get('worker-1')).nics.map(nic => nic.mac);
    const bridge = must(made.get('ce-0')?.nics[1]).bridge.name;
    expect(told.map(({ body }) => body)).toEqual([
      { kind: 'set-peers', bridges: [{ bridge, peers: [{ address: '10.1.0.2', macs: [mac] }] }] },
    ]);
    expect(kindsOf(await bench.pendingEffects())).toContain('set-peers');
    for (const { key } of told) ce.acknowledge(key);
    const again = new FakePilot(bench.engine, slotId, 'n0');
    again.hello();
    await bench.settle();
    expect(again.commands.map(({ body }) => body.kind)).not.toContain('set-peers');
  });

  it('security 5 names, of each node, the others with guests in the network, and what has gone no more', async () => {
    await plans(osg);
    const workspace = workspaceCalled('osg');
    const slot = bench.slot(workspace.slotId);
    const vms = workspace.vmIds.map(id => must(bench.engine.state.vms.get(id)));
    const [ce, first, second] = vms.map(vm => ({ vm, mac: must(vm.nics.at(-1)).mac }));
    const peers = (of: typeof vms, node: string) =>
      planPeers(node, { workspace, vms: of, slot }, testPlanSite).map(bridge => bridge.peers);
    expect(peers(vms, 'n1')).toEqual([
      [
        { address: '10.1.0.0', macs: [ce?.mac] },
        { address: '10.1.0.2', macs: [second?.mac] },
      ],
    ]);
    const moved = vms.map(vm =>
      vm === first?.vm ? { ...vm, node: 'n2' } : vm === ce?.vm ? { ...vm, state: 'failed' as const } : vm,
    );
    expect(peers(moved, 'n0')).toEqual([[{ address: '10.1.0.2', macs: [first?.mac, second?.mac] }]]);
    expect(peers(moved, 'n2')).toEqual([[]]);
  });

  it('says which network or key is missing', async () => {
    const { workspace } = await bench.running();
    const { state } = bench.engine;
    const vms = [...state.vms.values()];
    const vm = must(vms[0]);
    const slot = bench.slot(workspace.slotId);
    const clusterKey = { privateKey: '', publicKey: '' };
    const ensemble = { workspace, vms, slot, secrets: { request: osg, clusterKey, hostKeys: {} } };
    expect(() => planVm(vm, ensemble, testPlanSite)).toThrow(`${vm.id} has no host key`);
    expect(() => planVm(vm, ensemble, { ...testPlanSite, networks: [] })).toThrow(
      /in private, which the site has no more/,
    );
  });
});

describe('the program text', () => {
  it('is one line of assignment, whatever is in it, then the pilot', () => {
    const assignment = { slotId: 'slot-aaaaaaaaaa', secret: '</script>\u2028\u2029"\\\n' } as SlotAssignment;
    const text = programText(assignment, 'run();');
    const [first, ...rest] = text.split(/[\n\u2028\u2029]/);
    expect(rest).toEqual(['run();']);
    expect(first).not.toContain('<');
    expect(JSON.parse(must(first).slice('globalThis.wspAssignment='.length, -1))).toEqual(assignment);
  });
});
