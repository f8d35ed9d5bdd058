import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { fillMemory, jobUse } from '../support/memory.ts';
import { type SiteOptions, startSite, type TestSite } from '../support/site.ts';

/**
 * Guests that use all of their memory, in jobs of a real Slurm that get no more than they ask for:
 * by cgroup, without swap.
 */

let site: TestSite | undefined;
let leases: SiteOptions['leases'];
beforeEach(() => {
  leases = {};
});
afterEach(async () => {
  await site?.stop();
  site = undefined;
});

async function fill(memory: string): Promise<WorkspaceView> {
  const nodes = { nodes: 1, slurm: { sizes: [{ cpus: 2, memoryMiB: 2_000 }] } };
  site = await startSite({ lrm: 'slurm', ...nodes, leases: { contextTimeout: '150s', ...leases } });
  const userData = join(site.directory, 'fill');
  writeFileSync(userData, fillMemory, { mode: 0o644 });
  const create = ['create', '--image', 'mini', '--memory', memory, '--user-data', userData, '--name', 'full'];
  await site.json(create);
  return site
    .client()
    .waitForWorkspace('full', ({ state, vms }) => state === 'ended' || vms.every(vm => vm.context === 'ok'), {
      timeoutMs: 170_000,
    });
}

describe('a guest that uses all of its memory', () => {
  it.each(['128M', '512M'])('report C lives in a job that got what it asked for: %s', async memory => {
    const workspace = await fill(memory);
    expect(workspace).toMatchObject({ state: 'running', vms: [{ state: 'running', context: 'ok' }] });
    const use = jobUse('n01', workspace.slot?.lrmJobId ?? '');
    expect(use?.oomKills).toBe(0);
    expect(use?.usedMiB).toBeGreaterThan(Number.parseInt(memory));
    expect(use?.usedMiB).toBeLessThan(use?.limitMiB ?? 0);
    expect(await site?.wsp(['ssh', 'full', '--', 'hostname'])).toMatchObject({ code: 0 });
  });

  it('report C says that it was killed for want of memory, with both figures, where the site asks for too little', async () => {
    leases = { vmmOverhead: '8M', pilotOverhead: '8M' };
    const workspace = await fill('256M');
    expect(workspace).toMatchObject({ state: 'ended', cause: 'failed' });
    // The last piece that did not fit was of some MiB.
    expect(workspace.reason?.message).toMatch(
      /out of memory: the kernel killed QEMU, whose guest has 256 MiB: its job may use 272 MiB and had used 2[67]\d MiB/,
    );
  });
});
