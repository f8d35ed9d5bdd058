import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Child, startChild } from '../../src/platform/children.ts';
import type { NodeView, SlotView, TypesView, WorkspaceView } from '../../src/protocol/api.ts';
import type { SlurmCluster } from '../cluster/slurm.ts';
import { startSshd } from '../support/sshd.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** Static nodes beside a real Slurm, in one service; and leases that outgrow their batch job. Real guests on both. */

let site: TestSite;
/** n02 is taken out of the batch system, and given to the service for good. */
const own = 'n02';
let agent: Child;

function startAgent(): Promise<Child> {
  const node = site.cluster?.nodes.find(({ name }) => name === own);
  const secretFile = join(site.directory, 'join-secret');
  return startChild(
    [
      'nsenter',
      `--net=/run/netns/${node?.netns}`,
      ...site.command(
        ...['agent', '--service', site.url, '--pool', 'static', '--secret-file', secretFile],
        ...['--node', own, '--memory', '800M', '--cpus', '2'],
      ),
    ],
    { env: { PATH: site.clientEnv['PATH'] } },
  );
}

const idleIn = async (name: string): Promise<number | null | undefined> =>
  (await site.json<TypesView>(['types'])).pools.find(pool => pool.name === name)?.nodes?.idle;
const soon = { timeout: 30_000, interval: 200 };

beforeAll(async () => {
  site = await startSite({
    lrm: 'slurm',
    nodes: 2,
    slurm: { accounting: true },
    pools: lrm => [
      {
        name: 'static',
        lrm: { kind: 'static', joinSecretFile: 'join-secret', lostAfter: '5s' },
        policy: { kind: 'pack' },
      },
      { name: 'batch', lrm },
    ],
  });
  await site.cluster?.run(['scontrol', 'update', `NodeName=${own}`, 'State=DRAIN', 'Reason=static']);
  await (site.cluster as SlurmCluster).accounting().operator('wsp');
  agent = await startAgent();
  await vi.waitUntil(async () => (await idleIn('static')) === 1, soon);
});
afterAll(async () => {
  agent?.kill('SIGTERM');
  await agent?.exited;
  await site?.stop();
});

const mini = ['create', '--image', 'mini', '--memory', '160M'];

describe('a static node beside a batch scheduler', () => {
  it('is used first, several VMs on it, and gives way to the batch queue when it is full', async () => {
    const one = await site.json<WorkspaceView>([...mini, '--count', '2', '--name', 'one', '--wait']);
    expect(one.slot?.pool).toBe('static');
    expect(one.vms.map(({ node }) => node)).toEqual([own, own]);
    const reached = await site.wsp(['ssh', 'one/vm-0', '--', 'ssh', 'vm-1', 'hostname']);
    expect(reached.stdout.trim()).toBe('vm-1');

    const two = await site.json<WorkspaceView>([...mini, '--memory', '300M', '--name', 'two', '--wait']);
    expect(two.slot?.pool).toBe('batch');
    expect(two.vms.map(({ node }) => node)).toEqual(['n01']);
    const { slots } = await site.json<{ slots: SlotView[] }>(['slots']);
    expect(slots.map(({ pool, lrm }) => `${pool} ${lrm}`).sort()).toEqual(['batch slurm', 'static static']);
    await site.json(['destroy', 'one', '--wait']);
    await site.json(['destroy', 'two', '--wait']);
    await site.cluster?.untilIdle();
    expect(await site.leftovers()).toEqual([]);
    expect(await idleIn('static')).toBe(1);
  }, 180_000);

  it('keeps its VMs while the service is away', async () => {
    await site.json([...mini, '--pool', 'static', '--name', 'kept', '--wait']);
    await site.killService();
    await site.startService();
    // Its pilot is back soon.
    await expect
      .poll(async () => (await site.wsp(['ssh', 'kept/vm-0', '--', 'hostname'])).stdout.trim(), {
        // A login takes its ten seconds where others use the processors.
        timeout: 90_000,
        interval: 200,
      })
      .toBe('vm-0');
    expect(await site.json(['show', 'kept'])).toMatchObject({ state: 'running' });
    // No batch queue decides how long it lasts.
    const longer = await site.json<WorkspaceView>(['extend', 'kept', '5h']);
    expect(longer.durationMs).toBe(6 * 3_600_000);
    await site.json(['destroy', 'kept', '--wait']);
    expect(await site.leftovers()).toEqual([]);
  }, 240_000);

  it('loses its workspace when its agent goes, says so, and is as it was', async () => {
    await site.json([...mini, '--pool', 'static', '--name', 'lost', '--wait']);
    agent.kill('SIGTERM');
    await agent.exited;
    const gone = await site.json<WorkspaceView>(['wait', 'lost', '--for', 'ended', '--timeout', '60s']);
    expect(gone).toMatchObject({ state: 'ended', cause: 'preempted' });
    expect(await site.leftovers()).toEqual([]);
    agent = await startAgent();
    await expect.poll(() => idleIn('static'), soon).toBe(1);
  }, 120_000);

  it('is not joined with a wrong secret, nor by a pool that is not static', async () => {
    const secretFile = join(site.directory, 'tokens');
    for (const pool of ['static', 'batch', 'none']) {
      const refused = await site.wsp([
        'agent',
        '--service',
        site.url,
        '--pool',
        pool,
        '--secret-file',
        secretFile,
      ]);
      expect([pool, refused.code, refused.stderr]).toEqual([
        pool,
        expect.any(Number),
        expect.stringMatching(/^wsp: /),
      ]);
      expect(refused.code).not.toBe(0);
    }
  });

  it('refuses a pool that the site does not have', async () => {
    const refused = await site.wsp([...mini, '--pool', 'gpu']);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain('this site has no pool gpu');
    expect(refused.stderr).toContain('static, batch');
  });
});

describe('a static node that is added over ssh', () => {
  it('joins, carries a workspace, is seen, and is removed', async () => {
    agent.kill('SIGTERM');
    await agent.exited;
    const node = site.cluster?.nodes.find(({ name }) => name === own);
    const address = node?.address ?? '';
    const account = site.cluster?.account;
    const sshd = await startSshd(site.directory, { netns: node?.netns ?? '', address, account });
    const program = ['--node-program', account?.node ?? process.execPath];
    const directory = ['--directory', join(site.directory, 'agent'), ...program];
    const login = ['--login', account === undefined ? 'root' : 'wsp'];
    const where = [address, ...login, ...directory, ...sshd.options];
    const added = [
      'nodes',
      'add',
      ...where,
      '--pool',
      'static',
      '--name',
      own,
      '--memory',
      '800M',
      '--cpus',
      '2',
      '--service',
      site.url,
    ];
    const secret = ['--secret-file', join(site.directory, 'join-secret')];
    try {
      // Not with a wrong secret; and nothing is left running then.
      const refused = await site.wsp([...added, '--secret-file', join(site.directory, 'url')]);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('does not take this agent');

      expect(await site.json([...added, ...secret])).toMatchObject({ host: address, pool: 'static' });
      const { nodes } = await site.json<{ nodes: NodeView[] }>(['nodes']);
      expect(nodes).toEqual([
        { name: own, pool: 'static', slot: null, state: 'idle', connected: true, address: null, vms: [] },
      ]);
      const twice = await site.wsp([...added, ...secret]);
      expect(twice.stderr).toContain('an agent runs there already');

      await site.json([...mini, '--pool', 'static', '--name', 'there', '--wait']);
      expect((await site.wsp(['nodes'])).stdout).toMatch(/n02 +static +reserved +slot-\w+ +yes/);
      expect(await site.json(['nodes', 'remove', ...where])).toMatchObject({ pid: expect.any(Number) });
      const gone = await site.json<WorkspaceView>(['wait', 'there', '--for', 'ended', '--timeout', '60s']);
      expect(gone.cause).toBe('preempted');
      expect(await site.leftovers()).toEqual([]);
      expect(await site.json(['nodes', 'remove', ...where])).toMatchObject({ pid: null });
    } finally {
      await site.wsp(['nodes', 'remove', ...where]);
      await sshd.stop();
      agent = await startAgent();
    }
  }, 180_000);

  it.each([
    [['-oProxyCommand=touch /tmp/x', '--pool', 'static'], 'cannot be the name of a host'],
    [['n1', '--pool', 'static', '--node-program', 'node; id'], "is not a program's name"],
    [['n1', '--pool', 'Static'], 'cannot be the name of a pool'],
    [['n1', '--pool', 'static', '--memory', 'much'], 'is not a size'],
  ])('refuses %j', async (args, words) => {
    const secret = ['--secret-file', join(site.directory, 'join-secret')];
    const refused = await site.wsp(['nodes', 'add', ...secret, ...args.slice(1), '--', args[0] ?? '']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining(words)]);
  });
});

describe('a lease that outgrows its batch job', () => {
  it('is extended where Slurm has the service as an operator, and its pilots stay', async () => {
    await site.json([...mini, '--pool', 'batch', '--name', 'long', '--duration', '10m', '--wait']);
    const before = await site.json<{ slots: SlotView[] }>(['slots']);
    const longer = await site.json<WorkspaceView>(['extend', 'long', '1h']);
    expect(longer.durationMs).toBe(70 * 60_000);
    const endOf = ({ slots }: { readonly slots: readonly SlotView[] }): number =>
      Date.parse(slots[0]?.jobEndsAt ?? '');
    const after = await site.json<{ slots: SlotView[] }>(['slots']);
    expect(endOf(after) - endOf(before)).toBeGreaterThanOrEqual(58 * 60_000);
    // What Slurm itself says is what we say.
    const job = await site.cluster?.run(['squeue', '-h', '-j', String(after.slots[0]?.lrmJobId), '-o', '%l']);
    expect(job?.stdout.trim()).toMatch(/^1:\d\d:00$/);
    await site.json(['destroy', 'long', '--wait']);
    await site.cluster?.untilIdle();
    expect(await site.leftovers()).toEqual([]);
  }, 120_000);
});
