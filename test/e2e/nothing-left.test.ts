import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Child, startChild } from '../../src/platform/children.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { type SlurmCluster, startSlurm } from '../cluster/slurm.ts';
import { findLeftovers, type Nodes } from '../nothing-left.ts';
import { root } from '../support/site.ts';

/** The checker that other tests and people rely on: it must see each kind of thing that a lease could leave. */
let cluster: SlurmCluster;
let directory: string;
let nodes: Nodes;
const cleanups: (() => Promise<unknown> | void)[] = [];

beforeAll(async () => {
  cluster = await startSlurm({ nodes: 1 });
  directory = mkdtempSync(join(tmpdir(), 'wsp-left-'));
  nodes = {
    namespaces: cluster.nodes.map(node => node.netns),
    stateDir: join(directory, 'helper'),
    diskDir: join(directory, 'helper-disk'),
    workDir: join(directory, 'work'),
    jobs: () => cluster.jobs(),
  };
});
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  expect(await findLeftovers(nodes)).toEqual([]);
});
afterAll(async () => {
  await cluster?.stop();
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
});

const enter = (): readonly [string, string] => ['nsenter', `--net=/run/netns/${nodes.namespaces[0]}`];

async function inNode(...argv: string[]): Promise<void> {
  const result = await systemProcesses.run([...enter(), ...argv], { deadlineMs: 10_000 });
  expect(result).toMatchObject({ code: 0, stderr: '' });
}

async function processInNode(...argv: string[]): Promise<Child> {
  const child = await startChild([...enter(), ...argv], { stdio: ['pipe', 'pipe', 'ignore'] });
  cleanups.push(async () => {
    child.kill('SIGKILL');
    await child.exited;
  });
  return child;
}

function file(path: string): void {
  const whole = join(directory, path);
  mkdirSync(join(whole, '..'), { recursive: true });
  writeFileSync(whole, '');
  cleanups.push(() => rmSync(whole));
}

/** Looks again whenever the children may have got further: nsenter becomes the program only after its start. */
async function untilSeen(pattern: RegExp): Promise<void> {
  await expect
    .poll(() => findLeftovers(nodes), { timeout: 10_000 })
    .toEqual([expect.stringMatching(pattern)]);
}

describe('the check that nothing is left', () => {
  it.each([
    ['a tap', 'tuntap add dev wtleft0 mode tap', 'link del wtleft0', /interface wtleft0/],
    ['a bridge', 'link add name wbleft0 type bridge', 'link del wbleft0', /interface wbleft0/],
    [
      'a VXLAN',
      'link add name wbleft0x type vxlan id 77 dstport 4789',
      'link del wbleft0x',
      /interface wbleft0x/,
    ],
  ])('sees %s', async (_what, make, unmake, pattern) => {
    await inNode('ip', ...make.split(' '));
    cleanups.push(() => inNode('ip', ...unmake.split(' ')));
    await untilSeen(pattern);
  });

  it('sees a filter', async () => {
    await inNode('nft', 'add table bridge wsp-wtleft0');
    cleanups.push(() => inNode('nft', 'delete table bridge wsp-wtleft0'));
    await untilSeen(/filter table bridge wsp-wtleft0/);
  });

  it('sees a QEMU', async () => {
    await processInNode(
      'qemu-system-x86_64',
      '-machine',
      'none',
      '-display',
      'none',
      '-nodefaults',
      '-monitor',
      'stdio',
    );
    await untilSeen(/process \d+: qemu-system-x86_64/);
  });

  it('sees a DHCP service', async () => {
    await processInNode('dnsmasq', '--no-daemon', '--conf-file=/dev/null', '--port=0', '--interface=wbleft0');
    await untilSeen(/process \d+: dnsmasq/);
  });

  it('sees a pilot', async () => {
    await processInNode(process.execPath, '-');
    await untilSeen(/process \d+: .*node -$/);
  });

  it('sees a helper', async () => {
    const script = `${root}/dist/node-tools.cjs`;
    await processInNode(
      process.execPath,
      script,
      'helper',
      '--state-dir',
      nodes.stateDir,
      '--disk-dir',
      nodes.diskDir,
      '--node',
      'n1',
      '--slot',
      'slot-aaaaaaaaaa',
    );
    await untilSeen(/process \d+: .*node-tools.cjs helper/);
  });

  it('sees undo entries, files of VMs and jobs', async () => {
    file('helper/n1/slots/slot-aaaaaaaaaa/undo.jsonl');
    await untilSeen(/undo state .*undo\.jsonl/);
    for (const clean of cleanups.splice(0)) await clean();
    file('work/n1/slot-aaaaaaaaaa/vms/ws-a.vm-0/disk.qcow2');
    await untilSeen(/VM file .*disk\.qcow2/);
    for (const clean of cleanups.splice(0)) await clean();
    const { stdout } = await cluster.run(['sbatch', '--parsable', '--hold', '--wrap', 'true']);
    cleanups.push(() => cluster.run(['scancel', stdout.trim()]));
    await untilSeen(/LRM job \d+ wrap PENDING/);
  });

  it('as a command: exit code 1 and a line each, 0 when nothing is', async () => {
    const check = () =>
      systemProcesses.run(
        [
          process.execPath,
          ...['--import', 'tsx', `${root}/test/nothing-left.ts`],
          ...[
            '--state-dir',
            nodes.stateDir,
            '--disk-dir',
            nodes.diskDir,
            '--work-dir',
            nodes.workDir,
            '--slurm-conf',
            cluster.conf,
          ],
          ...nodes.namespaces.flatMap(name => ['--netns', name]),
        ],
        { deadlineMs: 30_000 },
      );
    expect(await check()).toMatchObject({ code: 0, stdout: 'nothing is left\n' });
    file('helper/n1/slots/slot-aaaaaaaaaa/undo.jsonl');
    expect(await check()).toMatchObject({ code: 1, stdout: expect.stringMatching(/^undo state .*\n$/) });
  });
});
