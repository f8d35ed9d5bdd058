import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startChild } from '../../src/platform/children.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import type { Use } from '../../src/cli/meter.ts';
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

it('files are copied to a VM, from it, and between two: scp, --recursive, --preserve, --login', async () => {
  const here = join(site.directory, 'copied');
  mkdirSync(join(here, 'out'), { recursive: true });
  writeFileSync(join(here, 'out', 'old'), 'of before\n');
  utimesSync(join(here, 'out', 'old'), 1_000_000_000, 1_000_000_000);
  const scp = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await site.wsp(['scp', ...args]);
    expect([args, code, stderr]).toEqual([args, 0, '']);
  };
  await scp('-r', '-p', join(here, 'out'), 'real/vm-0:in');
  expect(await inside('real/vm-0', 'cat', 'in/old')).toBe('of before\n');
  expect(await inside('real/vm-0', 'stat', '-c', '%Y', 'in/old')).toBe('1000000000\n');
  await scp('real/vm-0:in/old', 'real/vm-1:second');
  await scp('--login', 'root', 'real/vm-1:second', join(here, 'back'));
  expect(readFileSync(join(here, 'back'), 'utf8')).toBe('of before\n');
  const missing = await site.wsp(['scp', 'real:none', here]);
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('No such file')]);
});

it('what a VM uses is shown while it runs: top, --count', async () => {
  await inside(
    'real/vm-0',
    'sh',
    '-c',
    '"(while :; do :; done) > /dev/null 2>&1 & dd if=/dev/zero bs=64k count=64"',
  );
  interface Seen {
    readonly vms: readonly { readonly vm: string; readonly node: string; readonly use: Use | null }[];
  }
  const { stdout, code } = await site.wsp(['top', 'real', '--count', '2', '--json']);
  const rounds = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Seen);
  expect([code, rounds.length]).toEqual([0, 2]);
  const [busy, idle] = rounds[0]?.vms ?? [];
  expect([busy?.vm, idle?.vm]).toEqual(['vm-0', 'vm-1']);
  expect(busy?.use?.cpuPercent).toBeGreaterThan(2 * (idle?.use?.cpuPercent ?? 0));
  for (const each of [busy, idle]) expect(each?.use?.memoryBytes).toBeGreaterThan(50 << 20);
  const text = await site.wsp(['top', 'real/vm-1', '--count', '1']);
  expect(text.stdout).toMatch(/^VM +NODE +CPU +MEMORY +DISK READ +.*\nvm-1 +n0\d +\d+% +\d+M +0B\/s/);
});

it("OpenSSH's own programs reach each VM by its name: ssh-config, --login", async () => {
  const file = join(site.directory, 'real.conf');
  const { stdout } = await site.wsp(['ssh-config', 'real', '--login', 'root']);
  writeFileSync(file, stdout);
  const run = (...argv: readonly [string, ...string[]]) =>
    systemProcesses.run(argv, { env: site.clientEnv, deadlineMs: 60_000 });
  expect(await run('ssh', '-F', file, 'vm-1.real', 'hostname')).toMatchObject({ code: 0, stdout: 'vm-1\n' });
  const copy = join(site.directory, 'hosts');
  expect(await run('scp', '-F', file, 'vm-0.real:/etc/hosts', copy)).toMatchObject({ code: 0, stderr: '' });
  expect(readFileSync(copy, 'utf8')).toContain('vm-1');
  // The key of another VM than the one that is meant is no question, but an error.
  const other = stdout.replace(/(HostKeyAlias ws-\w+)\.vm-0/, '$1.vm-1');
  writeFileSync(file, other);
  const wrong = await run('ssh', '-F', file, 'vm-0.real', 'hostname');
  expect([wrong.code, wrong.stderr]).toEqual([255, expect.stringContaining('Host key verification failed')]);
});

it("a guest's port is reached through a port of this host, until Ctrl-C: forward, --address", async () => {
  const child = await startChild(
    [`${root}/bin/wsp`, 'forward', 'real/vm-0', '0:22', '0:9', '--address', '127.0.0.2', '--json'],
    { stdio: ['ignore', 'pipe', 'pipe'], env: site.clientEnv },
  );
  try {
    if (!child.stdout || !child.stderr) throw new Error('no output');
    const [text] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const [ssh, nobody] = (JSON.parse(text) as { forwards: { port: number; to: number }[] }).forwards;
    expect([ssh?.to, nobody?.to]).toEqual([22, 9]);
    const greeted = connect({ host: '127.0.0.2', port: ssh?.port ?? 0 });
    expect(String(await once(greeted, 'data'))).toMatch(/^SSH-2\.0-dropbear/);
    // A port that nobody listens on is that connection's trouble alone.
    const refused = connect({ host: '127.0.0.2', port: nobody?.port ?? 0 }).resume();
    const [[why]] = await Promise.all([
      once(createInterface({ input: child.stderr }), 'line'),
      once(refused, 'close'),
    ]);
    expect(why).toMatch(/^wsp: port 9 of real\/vm-0: /);
    expect(greeted.destroyed).toBe(false);
    child.kill('SIGINT');
    expect(await child.exited).toEqual({ code: 0, signal: null });
  } finally {
    child.kill('SIGKILL');
  }
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
