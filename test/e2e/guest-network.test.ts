import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Helper } from '../../src/control/helper/helper.ts';
import type { RunningVm, Vmm } from '../../src/control/vmm/vmm.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';
import { boot, machineFor, makeScratch, vmmIn } from '../support/guest.ts';
import { type BareNodes, nicPlan, startBareNodes } from '../support/node.ts';

/** Real guests on a real bridge: what DHCP gives them, and what the source filter lets them say (paper §3.3). */

let nodes: BareNodes;
let helper: Helper;
let vmm: Vmm;
const running: RunningVm[] = [];
const scratches: (() => void)[] = [];

beforeAll(async () => {
  nodes = await startBareNodes(1);
  helper = await nodes.helper(0, 'slot-aaaaaaaaaz');
  const netns = nodes.networks.nodes[0]?.netns ?? '';
  vmm = vmmIn(netns, nodes.directory);
});
afterAll(async () => {
  await Promise.all(running.map(vm => vm.destroy()));
  for (const remove of scratches) remove();
  await helper?.undo();
  await nodes?.stop();
});

/** Boots a guest and resolves with what it makes of its user data: `ok`, or the error that it reports. `prepare`: once its tap is there. */
async function guest(
  nic: NicPlan,
  userData: string,
  prepare: () => Promise<unknown> = () => Promise.resolve(),
): Promise<string> {
  const { directory, remove } = makeScratch();
  scratches.push(remove);
  await helper.attachNic(nic, 'worker-0');
  await prepare();
  const spec = await machineFor('mini', directory, { nics: [nic], userData: `#!/bin/sh\n${userData}` });
  const { vm, report } = await boot(vmm, spec);
  running.push(vm);
  return report;
}

/** Exit code 10 when DHCP did not give the planned address, 11 when the neighbour does not answer. */
const ordinary = (last: number, mac: string): string => `
ip -4 addr show | grep -q 'inet 10.91.0.${last}/24' || exit 10
ip link show | grep -qi '${mac}' || exit 10
ping -c 1 -W 5 10.91.0.21 > /dev/null || exit 11
`;
const device = "dev=$(ls /sys/class/net | grep -v '^lo$')\n";
/** Exit code 20 when a packet from an address of its own choice arrives: the neighbour's answer comes back only when the question got there. */
const otherAddress = `${device}ip addr add 10.91.0.99/24 dev $dev
if ping -c 2 -W 2 -I 10.91.0.99 10.91.0.21 > /dev/null; then exit 20; fi
`;
/** Exit code 21, the same with a MAC of its own choice. */
const otherMac = `${device}ip link set $dev down; ip link set $dev address 02:00:00:00:00:99; ip link set $dev up
if ping -c 2 -W 2 10.91.0.21 > /dev/null; then exit 21; fi
`;
/** Exit code 22 when the node can be reached beyond what it offers: a port that the test listens on. */
const nodePort = `if nc -w 2 169.254.77.1 7777 < /dev/null; then exit 22; fi
`;

/** A service of the node, that guests have no business with. */
function listenOn(netns: string): Promise<Child> {
  const program = "require('node:net').createServer(socket => socket.end('hello')).listen(7777, '0.0.0.0')";
  return startChild(['nsenter', `--net=/run/netns/${netns}`, process.execPath, '--eval', program], {
    detached: true,
  });
}

describe('a guest', () => {
  it('gets its address by DHCP and reaches its neighbour', async () => {
    // The neighbour of the others; it reaches itself.
    const neighbour = nicPlan(21);
    expect(await guest(neighbour, ordinary(21, neighbour.mac))).toBe('ok');
    const nic = nicPlan(22);
    expect(await guest(nic, ordinary(22, nic.mac))).toBe('ok');
  }, 180_000);

  it("cannot speak from another's address, nor with another's MAC, nor to the node's services", async () => {
    const netns = nodes.networks.nodes[0]?.netns ?? '';
    const server = await listenOn(netns);
    const nic = nicPlan(23);
    const said = await guest(nic, `${ordinary(23, nic.mac)}${nodePort}${otherAddress}${otherMac}`);
    server.kill('SIGKILL');
    expect(said).toBe('ok');
  }, 180_000);

  it.each([
    ["another's address", 24, ['netdev', 'wsp-wttest24'], otherAddress, /exit code 20/],
    ["another's MAC", 25, ['netdev', 'wsp-wttest25'], otherMac, /exit code 21/],
    ["the node's services", 26, ['inet', 'wsp-wbtest'], nodePort, /exit code 22/],
  ] as const)(
    'could, were it not for the filter, which this test would see: %s',
    async (_, last, table, tries, says) => {
      const netns = nodes.networks.nodes[0]?.netns ?? '';
      const server = await listenOn(netns);
      const nic = nicPlan(last);
      const unfiltered = () => nodes.run(0, 'nft', 'delete', 'table', ...table);
      const said = await guest(nic, `${ordinary(last, nic.mac)}${tries}`, unfiltered);
      server.kill('SIGKILL');
      expect(said).toMatch(says);
    },
    180_000,
  );

  it('loses its network with its slot, and nothing is left', async () => {
    await Promise.all(running.splice(0).map(vm => vm.destroy()));
    await helper.undo();
    expect((await nodes.run(0, 'ip', '-o', 'link')).stdout).not.toMatch(/ w[tb]/);
    expect((await nodes.run(0, 'nft', 'list', 'tables')).stdout).toBe('');
    helper = await nodes.helper(0, 'slot-aaaaaaaaay');
  });
});
