import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { root, startSite, type TestSite } from '../support/site.ts';

/** What flags and keys of the site file do inside of guests: real ones, on the embedded LRM. */

let site: TestSite;
beforeAll(async () => {
  site = await startSite({
    lrm: 'local',
    nodes: 2,
    vmm: { kind: 'qemu', binary: 'qemu-system-x86_64', accelerator: 'tcg' },
    node: { adaptation: 'none' },
    more: {
      images: { dir: `${root}/.cache/images` },
      networks: [
        {
          name: 'private',
          subnet: '10.91.0.0/16',
          first: '10.91.0.10',
          last: '10.91.0.99',
          gateway: '10.91.0.1',
          dns: ['192.0.2.53'],
          mtu: 1300,
          link: { vxlan: { firstVni: 7000, lastVni: 7099, port: 4790 } },
        },
        { name: 'alone', subnet: '10.92.0.0/24', link: 'isolated' },
      ],
      defaultNetwork: 'private',
    },
  });
});
afterAll(() => site?.stop());

/** What a command prints in a guest. */
async function inside(target: string, ...command: readonly string[]): Promise<string> {
  const { stdout, stderr, code } = await site.wsp(['ssh', target, '--', ...command]);
  expect([command, code, stderr]).toEqual([command, 0, expect.any(String)]);
  return stdout;
}

it('user data runs in the guest, a second key may log in, and the user to be is taken: --user-data, --ssh-key, ssh --login', async () => {
  const data = join(site.directory, 'data.sh');
  writeFileSync(data, '#!/bin/sh\necho "from the user" > /etc/told\n');
  const key = join(site.directory, 'second');
  const made = await systemProcesses.run(
    ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'second', '-f', key],
    { deadlineMs: 30_000 },
  );
  expect(made.code).toBe(0);
  const create = ['create', '--image', 'mini', '--memory', '160M', '--count', '2', '--name', 'real'];
  const flags = ['--user-data', data, '--ssh-key', `${key}.pub`, '--wait'];
  await site.json<WorkspaceView>([...create, ...flags], 150_000);
  expect(await inside('real/vm-0', 'cat', '/etc/told')).toBe('from the user\n');
  const keys = await inside('real/vm-1', 'cat', '/root/.ssh/authorized_keys');
  expect(keys).toContain(readFileSync(`${key}.pub`, 'utf8').trim());
  expect((await site.wsp(['ssh', '--login', 'root', 'real/vm-0', '--', 'id', '-un'])).stdout).toBe('root\n');
  const nobody = await site.wsp(['ssh', '-l', 'nobody', 'real/vm-0', '--', 'id']);
  expect([nobody.code, nobody.stderr]).toEqual([255, expect.stringContaining('nobody')]);
}, 180_000);

it("a network's name server, MTU, VXLAN port and VNI are the guest's and its nodes': dns, mtu, vxlan.port, vxlan.lastVni", async () => {
  expect(await inside('real/vm-0', 'cat', '/etc/resolv.conf')).toContain('nameserver 192.0.2.53');
  expect(await inside('real/vm-0', 'ip', 'link')).toContain('mtu 1300');
  expect(await inside('real/vm-0', 'ip', 'route')).toContain('default via 10.91.0.1');
  // Each on a node of its own: what they say to each other goes through the tunnel.
  expect(await inside('real/vm-0', 'ssh', 'vm-1', 'hostname')).toBe('vm-1\n');
  const tag = readFileSync(join(site.directory, 'state/pools/default/nodes-tag'), 'utf8').trim();
  const links = await systemProcesses.run(
    ['nsenter', `--net=/run/netns/ws${tag}-n01`, 'ip', '-d', 'link', 'show', 'type', 'vxlan'],
    { deadlineMs: 10_000 },
  );
  expect(links.stdout).toMatch(/vxlan id 70\d\d .* dstport 4790 /);
});

it('the VMM is run as the site file says: binary, accelerator', async () => {
  const { stdout } = await systemProcesses.run(['pgrep', '-af', '--', `-accel tcg.*${site.workDir}`], {
    deadlineMs: 10_000,
  });
  expect(
    stdout.split('\n').filter(line => line.includes('qemu-system-x86_64')).length,
  ).toBeGreaterThanOrEqual(2);
  await site.json(['destroy', 'real', '--wait']);
});

it('a guest of an isolated network has an address there, and nobody else: link isolated', async () => {
  const create = ['create', '--image', 'mini', '--memory', '160M', '--network', 'alone', '--name', 'alone'];
  const { vms } = await site.json<WorkspaceView>([...create, '--wait'], 120_000);
  expect(vms[0]?.addresses).toMatchObject([
    { network: 'alone', address: expect.stringMatching(/^10\.92\.0\./) },
  ]);
  expect(await inside('alone', 'ip', '-4', 'addr')).toContain(String(vms[0]?.addresses[0]?.address));
  expect(await inside('alone', 'ip', 'route')).not.toContain('default');
  await site.json(['destroy', 'alone', '--wait']);
});
