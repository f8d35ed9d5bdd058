import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Helper } from '../../src/control/helper/helper.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import type { NicPlan, VxlanPeer } from '../../src/protocol/plan.ts';
import { arpFrame, broadcastMac, udpFrame, vxlanPayload } from '../support/frames.ts';
import { type BareNodes, nicPlan, startBareNodes } from '../support/node.ts';
import { root } from '../support/site.ts';

/**
 * Networks of one workspace over several nodes: whom their VXLANs listen to, and whom they do not.
 */

const port = 4_789;
let nodes: BareNodes;
beforeAll(async () => {
  nodes = await startBareNodes(3);
});
afterAll(() => nodes?.stop());

const node = (index: number) => {
  const found = nodes.networks.nodes[index];
  if (!found) throw new Error(`there is no node ${index}`);
  return found;
};

/** Helpers of one slot, on all nodes. */
let helpers: Helper[];
let guests: Guest[];
beforeEach(async () => {
  guests = [];
  helpers = await Promise.all([0, 1, 2].map(index => nodes.helper(index, 'slot-aaaaaaaavx')));
});
afterEach(async () => {
  for (const guest of guests) guest.child.kill('SIGKILL');
  await Promise.all(helpers.map(helper => helper.undo()));
});

/** A guest on a node: its interface, and what it has heard. */
interface Guest {
  readonly nic: NicPlan;
  readonly child: Child;
  readonly heard: string[];
}

/** Two networks that have nothing in common but the nodes and the port. */
const networks = { a: { bridge: 'wbtesta', vni: 4_242 }, b: { bridge: 'wbtestb', vni: 4_243 } } as const;

/** The interface of the guest with this number. */
function nicOf(number: number, peers: readonly VxlanPeer[], of: keyof typeof networks = 'a'): NicPlan {
  const { bridge, vni } = networks[of];
  return nicPlan(number, {
    bridge: {
      name: bridge,
      link: { kind: 'vxlan', vni, port, peers: [...peers] },
      serviceAddress: of === 'a' ? '169.254.77.1' : '169.254.78.1',
      mtu: 1_450,
    },
  });
}

const macOf = (number: number): string => nicPlan(number).mac;
/** A node as a peer, with these guests. */
const peer = (index: number, ...numbers: readonly number[]): VxlanPeer => ({
  address: node(index).address,
  macs: numbers.map(macOf),
});

/** Puts a guest on a node. */
async function guestOn(index: number, nic: NicPlan): Promise<Guest> {
  await helpers[index]?.attachNic(nic, 'guest');
  const child = await startChild(
    ['nsenter', `--net=/run/netns/${node(index).netns}`, 'perl', `${root}/test/support/tap.pl`, nic.tap],
    { stdio: ['pipe', 'pipe', 2], detached: true },
  );
  const guest: Guest = { nic, child, heard: [] };
  guests.push(guest);
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    const lines = `${text}${chunk.toString()}`.split('\n');
    text = lines.pop() ?? '';
    guest.heard.push(...lines);
  });
  await expect.poll(() => guest.heard).toContain('ready');
  guest.heard.length = 0;
  return guest;
}

let sent = 0;
/** One guest says something to another until that one hears it. */
async function talks(from: Guest, to: Guest): Promise<string> {
  sent += 1;
  const ends = { fromMac: from.nic.mac, from: from.nic.address, toMac: to.nic.mac, to: to.nic.address };
  // So long that it needs no padding, which the bridge would take off.
  const frame = udpFrame(ends, 7_000, `word ${sent} to the other guest`);
  await expect
    .poll(
      () => {
        from.child.stdin?.write(`${frame}\n`);
        return to.heard;
      },
      { timeout: 20_000 },
    )
    .toContain(frame);
  return frame;
}

/** Where a node's bridge sends frames, its own table and its VXLAN's. */
async function forwarding(index: number, bridge: string = networks.a.bridge): Promise<string> {
  const { stdout } = await nodes.run(index, 'bridge', 'fdb', 'show', 'br', bridge);
  return stdout;
}

/** An ordinary user of a node sends datagrams to the port of VXLANs, and is told nothing of it. */
async function forge(index: number, to: readonly string[], payloads: readonly string[]): Promise<void> {
  const program = `
    const socket = require('node:dgram').createSocket('udp4');
    const [to, payloads] = ${JSON.stringify([to, payloads])};
    const send = (payload, host) => new Promise(done => socket.send(Buffer.from(payload, 'hex'), ${port}, host, done));
    (async () => {
      for (const host of to) for (const payload of payloads) await send(payload, host);
      socket.close();
      console.log('sent');
    })();`;
  const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const { stdout } = await nodes.run(index, ...user, process.execPath, '--eval', program);
  expect(stdout).toBe('sent\n');
}

/** Root on a host of the network sends the same as if a peer had. */
async function forgeAs(as: number, index: number, to: number, payloads: readonly string[]): Promise<void> {
  const [fromMac, toMac] = await Promise.all([index, to].map(ethernetMac));
  const ends = { fromMac: fromMac ?? '', toMac: toMac ?? '', to: node(to).address };
  const frames = [
    ...payloads.map(payload =>
      udpFrame({ ...ends, from: node(as).address }, port, Buffer.from(payload, 'hex')),
    ),
    arpFrame({ ...ends, toMac: broadcastMac, from: node(index).address }, 'request'),
  ];
  const sender = ['nsenter', `--net=/run/netns/${node(index).netns}`, 'perl'] as const;
  const result = await systemProcesses.run([...sender, `${root}/test/support/frames.pl`, 'raw', 'eth0'], {
    deadlineMs: 60_000,
    input: `${frames.join('\n')}\n`,
  });
  expect(result).toMatchObject({ code: 0, stderr: '' });
}

async function ethernetMac(index: number): Promise<string> {
  const { stdout } = await nodes.run(index, 'ip', '-json', 'link', 'show', 'eth0');
  return (JSON.parse(stdout) as { readonly address: string }[])[0]?.address ?? '';
}

/** Frames of somebody who says that they are `victim`, to all and to another guest. */
function forged(victim: NicPlan, other: NicPlan): string[] {
  const from = { fromMac: victim.mac, from: victim.address };
  return [
    arpFrame({ ...from, toMac: broadcastMac, to: other.address }, 'request'),
    udpFrame({ ...from, toMac: other.mac, to: other.address }, 7_000, 'forged'),
    udpFrame({ ...from, toMac: '02:00:00:00:00:77', to: other.address }, 7_000, 'forged to nobody'),
  ].map(frame => vxlanPayload(networks.a.vni, frame));
}

describe('security 5 a VXLAN', () => {
  it('takes nothing from other hosts of the network, nor from ordinary processes of its own nodes, and no MAC moves', async () => {
    const one = await guestOn(0, nicOf(41, [peer(1, 42)]));
    const two = await guestOn(1, nicOf(42, [peer(0, 41)]));
    const honest = [await talks(one, two), await talks(two, one)];
    const before = [await forwarding(0), await forwarding(1)];
    expect(before[0]).toContain(`${two.nic.mac} dev wbtestax dst ${node(1).address} self permanent`);
    const payloads = [...forged(one.nic, two.nic), ...forged(two.nic, one.nic)];
    const addresses = [node(0).address, node(1).address];
    for (const index of [2, 0, 1]) await forge(index, [...addresses, '127.0.0.1'], payloads);
    honest.push(await talks(one, two), await talks(two, one));
    expect([await forwarding(0), await forwarding(1)]).toEqual(before);
    for (const { heard } of [one, two]) expect(heard.filter(frame => !honest.includes(frame))).toEqual([]);
  });

  it('learns nothing from what only seems to come from a peer', async () => {
    const one = await guestOn(0, nicOf(41, [peer(1, 42)]));
    const two = await guestOn(1, nicOf(42, [peer(0, 41)]));
    await talks(one, two);
    await talks(two, one);
    const before = await forwarding(0);
    const payloads = [...forged(one.nic, two.nic), ...forged(two.nic, one.nic)];
    await forgeAs(1, 2, 0, payloads);
    // Nothing keeps it out: it is heard, and changes nothing.
    await expect.poll(() => one.heard.length, { timeout: 10_000 }).toBeGreaterThan(2);
    expect(await forwarding(0)).toBe(before);
    await talks(two, one);
    await talks(one, two);
  });

  it('shares its port with those of other networks, each with peers of its own', async () => {
    const one = await guestOn(0, nicOf(41, [peer(1, 42)]));
    const two = await guestOn(1, nicOf(42, [peer(0, 41)]));
    const three = await guestOn(0, nicOf(43, [peer(2, 44)], 'b'));
    const four = await guestOn(2, nicOf(44, [peer(0, 43)], 'b'));
    for (const [from, to] of [
      [one, two],
      [two, one],
      [three, four],
      [four, three],
    ] as const)
      await talks(from, to);
    // A peer of the one network is nobody to the other.
    const before = await forwarding(0);
    const honest = [...one.heard];
    await forge(2, [node(0).address], forged(two.nic, one.nic));
    honest.push(await talks(two, one));
    expect(await forwarding(0)).toBe(before);
    expect(one.heard.filter(frame => !honest.includes(frame))).toEqual([]);
  });

  it('hears of guests that come later, of one that moves, and of nodes that have left', async () => {
    const one = await guestOn(0, nicOf(41, [peer(1, 42)]));
    const two = await guestOn(1, nicOf(42, [peer(0, 41)]));
    await talks(one, two);
    const three = await guestOn(2, nicOf(43, [peer(0, 41), peer(1, 42)]));
    await helpers[0]?.setPeers(networks.a.bridge, [peer(1, 42), peer(2, 43)]);
    await helpers[1]?.setPeers(networks.a.bridge, [peer(0, 41), peer(2, 43)]);
    for (const [from, to] of [
      [three, one],
      [one, three],
      [two, three],
      [one, two],
    ] as const)
      await talks(from, to);

    two.child.kill('SIGKILL');
    await helpers[1]?.detachNic(two.nic.tap);
    const moved = await guestOn(2, nicOf(42, [peer(0, 41)]));
    await helpers[0]?.setPeers(networks.a.bridge, [peer(2, 42, 43)]);
    for (const [from, to] of [
      [one, moved],
      [moved, one],
      [moved, three],
      [one, three],
    ] as const)
      await talks(from, to);
    const now = await forwarding(0);
    expect(now).not.toContain(node(1).address);
    expect(now).toContain(`${moved.nic.mac} dev wbtestax dst ${node(2).address} self permanent`);
    const honest = [...one.heard];
    await forge(1, [node(0).address], forged(moved.nic, one.nic));
    honest.push(await talks(moved, one));
    expect(one.heard.filter(frame => !honest.includes(frame))).toEqual([]);
  });

  it('is told of peers by slots that are on its bridge alone, and in no other words', async () => {
    await guestOn(0, nicOf(41, [peer(1, 42)]));
    const stranger = await nodes.helper(0, 'slot-aaaaaaaavy');
    await expect(stranger.setPeers(networks.a.bridge, [])).rejects.toMatchObject({ code: 'not_yours' });
    // One that is not there yet is made with its peers.
    await helpers[1]?.setPeers(networks.a.bridge, [peer(0, 41)]);
    await stranger.undo();
  });
});
