import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DryRunView, WorkspaceView } from '../../src/protocol/api.ts';
import type { DoctorReport } from '../../src/protocol/check.ts';
import type { HelperPolicy } from '../../src/protocol/helper-policy.ts';
import { defaultPoolName } from '../../src/protocol/ids.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** One service with pools whose nodes are used in different ways: simulated VMs, and QEMU's. */

const node = { kind: 'local', nodes: 1, memoryPerNode: '600M' };
const small = ['create', '--image', 'mini', '--memory', '128M'];

let site: TestSite;
beforeAll(async () => {
  site = await startSite({
    lrm: 'local',
    nodes: 1,
    pools: () => [
      {
        name: 'trial',
        lrm: { ...node, namespaces: 'none' },
        node: { workDir: 'trial-work', vmm: { kind: 'sim' } },
        networks: ['private'],
      },
      { name: defaultPoolName, lrm: node },
    ],
  });
});
afterAll(() => site?.stop());

describe('a service with pools of different nodes', () => {
  it('has simulated VMs in one pool and real guests in another, each in its own directory', async () => {
    await site.json([...small, '--pool', 'trial', '--name', 'simulated', '--wait']);
    expect(existsSync(join(site.directory, 'trial-work'))).toBe(true);
    expect(existsSync(site.workDir)).toBe(false);
    const real = await site.json<WorkspaceView>([
      ...small,
      ...['--pool', defaultPoolName, '--name', 'real', '--wait'],
    ]);
    expect(real.slot?.pool).toBe(defaultPoolName);
    expect((await site.wsp(['ssh', 'real/vm-0', '--', 'hostname'])).stdout.trim()).toBe('vm-0');
    for (const name of ['simulated', 'real']) await site.json(['destroy', name, '--wait']);
    expect(await site.leftovers()).toEqual([]);
  }, 180_000);

  it('asks the scheduler for what the VMM of the pool takes', async () => {
    const trial = async (pool: string) =>
      (await site.json<DryRunView>([...small, '--pool', pool, '--dry-run'])).slot?.memoryMiBPerNode;
    expect(await trial('trial')).toBe(128 + 96);
    expect(await trial(defaultPoolName)).toBe(128 + 112 + 4 + 2 + 96);
  });

  it('is looked at by the doctor, and given a policy for its helper, pool by pool', async () => {
    const doctor = async (...args: readonly string[]) => {
      const { stdout } = await site.wsp(['doctor', '--config', site.siteFile, '--json', ...args]);
      const { checks } = JSON.parse(stdout) as DoctorReport;
      return checks.map(({ name }) => name);
    };
    expect(await doctor()).toEqual(expect.arrayContaining(['trial vmm', `${defaultPoolName} qemu`]));
    const asTrial = await doctor('--node', '--pool', 'trial');
    expect(asTrial).toContain('vmm');
    expect(asTrial).not.toContain('helper');
    const unknown = await site.wsp(['doctor', '--config', site.siteFile, '--node', '--pool', 'gpu']);
    expect(unknown.stderr).toContain('the site file has no pool gpu');

    const policy = ['helper-policy', '--config', site.siteFile];
    const names = async (...args: readonly string[]) =>
      (await site.json<HelperPolicy>([...policy, ...args])).networks.map(({ name }) => name);
    expect(await names()).toEqual(['public', 'private']);
    expect(await names('--pool', 'trial')).toEqual(['private']);
  }, 60_000);
});
