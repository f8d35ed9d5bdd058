import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Helper } from '../../src/control/helper/helper.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';
import {
  arpFrame,
  broadcastMac,
  linkLocalGroups,
  routerAdvertisement,
  tagged,
  udpFrame,
} from '../support/frames.ts';
import { boot, machineFor, makeScratch, vmmIn } from '../support/guest.ts';
import { type BareNodes, nicPlan, quietNodes } from '../support/node.ts';
import { root } from '../support/site.ts';

/** The guard on a guest's tap: whatever frames it sends, the node's own network stack gets none. */

let nodes: BareNodes;
let helper: Helper;
let heard: string[];
let listener: Child;

const node = () => {
  const [first] = nodes.networks.nodes;
  if (!first) throw new Error('there is no node');
  return first;
};
const look = async (): Promise<string> => {
  const texts = [];
  for (const what of [
    ['-4', 'neigh'],
    ['-6', 'neigh'],
    ['-6', 'route'],
    ['-6', 'address'],
  ])
    texts.push((await nodes.run(0, 'ip', ...what)).stdout);
  // That the guests are where they really are is what their honest question tells.
  return texts
    .join('---\n')
    .replaceAll(/ (STALE|REACHABLE|DELAY|PROBE)/g, '')
    .replaceAll(/^10\.91\.0\.3([12]) dev wbtest lladdr 02:00:00:00:00:3\1 \n/gm, '');
};

/** Everything that the node's own stack would hand to a program. */
async function listen(): Promise<Child> {
  const program = `
    for (const [family, port] of [['udp4', 7777], ['udp6', 7777], ['udp4', 4789]]) {
      const socket = require('node:dgram').createSocket({ type: family, ipv6Only: family === 'udp6' });
      socket.on('message', text => console.log('heard ' + text));
      socket.bind(port, () => console.log('listens'));
    }`;
  const child = await startChild(
    ['nsenter', `--net=/run/netns/${node().netns}`, process.execPath, '--eval', program],
    { stdio: ['ignore', 'pipe', 'ignore'], detached: true },
  );
  heard = [];
  child.stdout?.on('data', (chunk: Buffer) => heard.push(...chunk.toString().trim().split('\n')));
  await vi.waitUntil(() => heard.length === 3, { timeout: 20_000 });
  heard = [];
  return child;
}

beforeAll(async () => {
  nodes = await quietNodes();
  helper = await nodes.helper(0, 'slot-aaaaaaaabz');
  listener = await listen();
});
afterAll(async () => {
  listener?.kill('SIGKILL');
  await helper?.undo();
  await nodes?.stop();
});

/** All kinds of hostile frames, to all kinds of groups, and at last an honest question. */
function hostileFrames(nic: NicPlan): string[] {
  const victim = node().address;
  const service = nic.bridge.serviceAddress;
  const forged = { fromMac: '02:00:00:00:00:99', from: '10.91.0.99' };
  const own = { fromMac: nic.mac, from: nic.address };
  const groups = [...linkLocalGroups, '01:80:c2:00:00:21', '33:33:00:00:00:01', '01:00:5e:00:00:01'];
  const toAll = [...groups, broadcastMac].flatMap(toMac =>
    [own, forged].flatMap(sender => [
      ...[victim, '224.0.0.1', '255.255.255.255'].map(to =>
        udpFrame({ ...sender, toMac, to }, 7777, `${toMac} ${sender.from} ${to}`),
      ),
      udpFrame({ ...sender, toMac, to: victim }, 4789, 'vxlan'),
      arpFrame({ ...sender, toMac, from: nodes.networks.headAddress, to: victim }, 'request'),
      arpFrame({ ...sender, toMac, from: '10.77.0.66', to: victim }, 'reply'),
      routerAdvertisement(sender.fromMac, toMac),
    ]),
  );
  const honest = arpFrame({ ...own, toMac: broadcastMac, to: service }, 'request');
  return [...toAll, ...toAll.map(frame => tagged(frame, 1)), honest];
}

describe('security 1 the guard of a tap', () => {
  it('lets no frame to any group reach the node itself, sent on the tap', async () => {
    const nic = nicPlan(31, { mac: '02:00:00:00:00:31' });
    await helper.attachNic(nic, 'one');
    const before = await look();
    const sent = await systemProcesses.run(
      [
        'nsenter',
        `--net=/run/netns/${node().netns}`,
        'perl',
        `${root}/test/support/frames.pl`,
        'tap',
        nic.tap,
      ],
      { deadlineMs: 60_000, input: `${hostileFrames(nic).join('\n')}\n` },
    );
    expect(sent).toMatchObject({ code: 0, stderr: '' });
    expect(heard).toEqual([]);
    expect(await look()).toBe(before);
  });

  it('lets no frame to any group reach the node itself, sent from a raw socket in a guest', async () => {
    const nic = nicPlan(32, { mac: '02:00:00:00:00:32' });
    await helper.attachNic(nic, 'two');
    const before = await look();
    const userData = `#!/bin/sh
mkdir -p /tmp/frames && mount -t iso9660 -o ro /dev/vdb /tmp/frames || exit 31
cd /tmp/frames
dev=$(ls /sys/class/net | grep -v '^lo$')
./ld.so --library-path . ./perl frames.pl raw $dev < frames.txt
`;
    expect(await guestSays(nic, userData)).toBe('ok');
    expect(heard).toEqual([]);
    expect(await look()).toBe(before);
  }, 180_000);
});

/**
 * Boots a guest that has `frames.pl`, a perl to run it with and its frames on a second disk;
 * resolves with what it reports.
 */
async function guestSays(nic: NicPlan, userData: string): Promise<string> {
  const { directory, remove } = makeScratch();
  const vmm = vmmIn(node().netns, directory);
  try {
    const spec = await machineFor('mini', directory, { nics: [nic], userData });
    const frames = { path: await framesDisk(directory, nic), format: 'raw', readOnly: true } as const;
    const { vm, report } = await boot(vmm, { ...spec, disks: [...spec.disks, frames] });
    try {
      return await report;
    } finally {
      await vm.destroy();
    }
  } finally {
    remove();
  }
}

async function framesDisk(directory: string, nic: NicPlan): Promise<string> {
  const content = join(directory, 'frames');
  const disk = join(directory, 'frames.iso');
  mkdirSync(content);
  copyFileSync('/usr/bin/perl', join(content, 'perl'));
  copyFileSync(join(root, 'test/support/frames.pl'), join(content, 'frames.pl'));
  writeFileSync(join(content, 'frames.txt'), `${hostileFrames(nic).join('\n')}\n`);
  const { stdout } = await systemProcesses.run(['ldd', '/usr/bin/perl'], { deadlineMs: 10_000 });
  for (const [, library] of stdout.matchAll(/(\/\S+) \(0x/g)) {
    const name = library?.split('/').at(-1) ?? '';
    copyFileSync(library ?? '', join(content, name.startsWith('ld-') ? 'ld.so' : name));
  }
  const made = await systemProcesses.run(['genisoimage', '-quiet', '-R', '-o', disk, content], {
    deadlineMs: 30_000,
  });
  if (made.code !== 0) throw new Error(`genisoimage: ${made.stderr}`);
  return disk;
}
