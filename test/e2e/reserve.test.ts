import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';
import type { EventView, SlotView, WorkspaceView } from '../../src/protocol/api.ts';
import type { HelperPolicy } from '../../src/protocol/helper-policy.ts';
import { helperArgv, startSite, type TestSite } from '../support/site.ts';

/** A node that lacks something never becomes part of a ready slot, and says what it lacks. */

const soon = { timeout: 60_000, interval: 200 };
const mini = ['create', '--image', 'mini', '--memory', '160M', '--wait'];

async function eventsOf(site: TestSite): Promise<readonly EventView[]> {
  return (await site.client().events({ limit: 1_000 })).events;
}

/** Runs `create --wait`, which must fail, and what becomes of it. */
async function failToCreate(site: TestSite, name: string): Promise<WorkspaceView> {
  const since = (await eventsOf(site)).at(-1)?.seq ?? 0;
  const { code, stderr } = await site.wsp([...mini, '--name', name]);
  const ended = await site
    .client()
    .waitForWorkspace(name, ({ state }) => state === 'ended', { timeoutMs: 60_000 });
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining(String(ended.reason?.message)),
  });
  const types = (await eventsOf(site)).filter(({ seq }) => seq > since).map(({ type }) => type);
  expect(types).toContain('node.failed');
  expect(types).not.toContain('node.reserved');
  expect(types).not.toContain('slot.ready');
  await expect.poll(() => site.leftovers(), soon).toEqual([]);
  return ended;
}

describe('a node of a real Slurm', () => {
  let site: TestSite;
  beforeAll(async () => {
    site = await startSite({ lrm: 'slurm', nodes: 1 });
  });
  afterAll(() => site?.stop());

  const account = () => {
    const found = site.cluster?.account;
    if (!found) throw new Error('the site has no account of its own');
    return found;
  };
  const moveRule = async (from: string, to: string): Promise<void> => {
    const argv = account().inside(['mv', `/etc/sudoers.d/${from}`, `/etc/sudoers.d/${to}`]);
    const { code, stderr } = await systemProcesses.run(argv, { deadlineMs: 10_000 });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  };

  it('without the sudo rule of the helper says so, and is reserved when that is back', async () => {
    // sudo reads no file with a point in its name.
    await moveRule('workspace-pilot', 'workspace-pilot.away');
    try {
      const { cause, reason } = await failToCreate(site, 'no-rule');
      expect({ cause, code: reason?.code }).toEqual({ cause: 'failed', code: 'reserve_failed' });
      expect(reason?.message).toMatch(
        /^node n01 failed: it cannot host VMs: .*sudo: .*docs\/admin\/helper\.md/,
      );
    } finally {
      await moveRule('workspace-pilot.away', 'workspace-pilot');
    }
    expect((await site.json<WorkspaceView>([...mini, '--name', 'back'])).state).toBe('running');
    await site.json(['destroy', 'back', '--wait']);
  }, 180_000);

  it('with a policy that has a mistake, or lacks the network that is asked for, says which', async () => {
    const { policyFile } = account();
    const policy = readFileSync(policyFile, 'utf8');
    const { networks, peers } = JSON.parse(policy) as HelperPolicy;
    const reasonWith = async (name: string, text: string): Promise<WorkspaceView['reason']> => {
      writeFileSync(policyFile, text);
      return (await failToCreate(site, name)).reason;
    };
    try {
      expect(await reasonWith('bad-policy', '{"networks":[')).toMatchObject({
        code: 'reserve_failed',
        message: expect.stringContaining(policyFile),
      });
      const others = networks.filter(({ name }) => name !== 'private');
      expect(await reasonWith('no-network', JSON.stringify({ networks: others, peers }))).toMatchObject({
        code: 'reserve_failed',
        message: expect.stringContaining('does not allow network private as the site file has it'),
      });
    } finally {
      writeFileSync(policyFile, policy);
    }
  }, 120_000);

  it('without QEMU says which program is missing, and what to install', async () => {
    const file = JSON.parse(readFileSync(site.siteFile, 'utf8')) as { node: Record<string, unknown> };
    file.node['vmm'] = { kind: 'qemu', binary: 'qemu-that-nobody-has' };
    writeFileSync(site.siteFile, JSON.stringify(file));
    await site.killService('SIGTERM');
    await site.startService();
    const { reason } = await failToCreate(site, 'no-qemu');
    expect(reason?.code).toBe('reserve_failed');
    expect(reason?.message).toMatch(/cannot host VMs: qemu-that-nobody-has .*Debian: qemu-system-x86/);
  }, 120_000);
});

describe('a warm policy over two nodes, of which one has no helper', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'wsp-reserve-'));
  let site: TestSite;
  beforeAll(async () => {
    const helper = join(scratch, 'helper-but-on-n02');
    const refusal = 'echo "sudo: a password is required" >&2; exit 1';
    writeFileSync(helper, `#!/bin/sh\ncase "$*" in *"--node n02 "*) ${refusal};; esac\nexec "$@"\n`);
    chmodSync(helper, 0o755);
    site = await startSite({
      lrm: 'local',
      nodes: 2,
      node: { helper: [helper, ...helperArgv(join(scratch, 'state'))] },
      more: {
        lrm: { kind: 'local', nodes: 2, cpusPerNode: 1 },
        policy: { kind: 'warm', slots: 2, memoryPerNode: '512M' },
      },
    });
  });
  afterAll(async () => {
    await site?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  it('holds ready what works, says why the other is not, and deploys in the former at once', async () => {
    const failures = async (): Promise<readonly EventView[]> =>
      (await eventsOf(site)).filter(({ type }) => type === 'node.failed');
    const ready = async (): Promise<readonly SlotView[]> =>
      (await site.json<{ slots: SlotView[] }>(['slots'])).slots.filter(({ state }) => state === 'ready');
    await expect.poll(async () => (await failures()).length, soon).toBeGreaterThan(0);
    await expect.poll(async () => (await ready()).length, soon).toBe(1);
    for (const { node, reason } of await failures()) {
      expect({ node, code: reason?.code }).toEqual({ node: 'n02', code: 'reserve_failed' });
      expect(reason?.message).toContain('sudo: a password is required');
    }
    const [warm] = await ready();
    expect(warm?.nodes.map(({ name }) => name)).toEqual(['n01']);
    const { slot, vms } = await site.json<WorkspaceView>([...mini, '--name', 'quick'], 120_000);
    expect({ slot: slot?.id, node: vms[0]?.node }).toEqual({ slot: warm?.id, node: 'n01' });
    const slots = (await eventsOf(site)).filter(({ type }) => type === 'slot.ready');
    expect(new Set(slots.map(event => event.slot))).toEqual(new Set([warm?.id]));
    await site.json(['destroy', 'quick', '--wait']);
  }, 180_000);
});
