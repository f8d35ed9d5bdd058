import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UsageView } from '../../../src/protocol/access.ts';
import type { WorkspaceView } from '../../../src/protocol/api.ts';
import { startSite, type TestSite } from '../../support/site.ts';

/** What can be done to VMs while their lease runs: real guests on a real batch scheduler. */
export function orders(lrm: 'slurm' | 'gridengine'): void {
  describe(`orders to VMs on ${lrm}`, () => {
    let site: TestSite;
    beforeAll(async () => {
      site = await startSite({ lrm, nodes: 2 });
    });
    afterAll(() => site?.stop());

    const states = (workspace: WorkspaceView): readonly string[] => workspace.vms.map(({ state }) => state);
    const bootId = async (vm: string): Promise<string> =>
      (await site.wsp(['ssh', vm, '--', 'cat', '/proc/sys/kernel/random/boot_id'])).stdout.trim();

    it('VMs are paused, resumed, rebooted, shut down, started again and killed, and each is reached after it', async () => {
      const order = (...args: string[]) => site.json<WorkspaceView>([...args, '--wait']);
      await order('create', '--image', 'mini', '--memory', '160M', '--count', '2', '--name', 'w');
      const before = [await bootId('w/vm-0'), await bootId('w/vm-1')];
      expect(before.every(id => id.length === 36)).toBe(true);

      expect(states(await order('pause', 'w/vm-0'))).toEqual(['paused', 'running']);
      expect(states(await order('resume', 'w'))).toEqual(['running', 'running']);
      expect(await bootId('w/vm-0')).toBe(before[0]);

      expect(states(await order('reboot', 'w/vm-1'))).toEqual(['running', 'running']);
      expect(await bootId('w/vm-1')).not.toBe(before[1]);
      expect(await bootId('w/vm-0')).toBe(before[0]);

      expect(states(await order('shutdown', 'w/vm'))).toEqual(['stopped', 'stopped']);
      const refused = await site.wsp(['pause', 'w/vm-0', '--json']);
      expect([refused.code, refused.stdout]).toEqual([4, expect.stringContaining('VM vm-0 is stopped')]);
      expect(states(await order('start', 'w'))).toEqual(['running', 'running']);
      // The guests have the addresses that they had, so what was known of them is still true.
      await expect.poll(() => bootId('w/vm-0'), { timeout: 30_000 }).toMatch(/^[0-9a-f-]{36}$/);

      expect(states(await order('kill', 'w/vm-0'))).toEqual(['terminated', 'running']);
      expect((await site.json<WorkspaceView>(['show', 'w', '--errors'])).vms).toEqual([]);
      await expect.poll(() => bootId('w/vm-1'), { timeout: 30_000 }).toMatch(/^[0-9a-f-]{36}$/);
      expect(await site.json<WorkspaceView>(['kill', 'w', '--wait'])).toMatchObject({ cause: 'destroyed' });
      await site.json(['destroy', 'w', '--wait']);
      await site.cluster?.untilIdle();
      expect(await site.leftovers()).toEqual([]);
      const { lines } = await site.json<UsageView>(['usage']);
      expect(lines[0]).toMatchObject({ name: 'admin', vms: 0 });
      expect(lines[0]?.vmSeconds).toBeGreaterThan(1);
    }, 240_000);
  });
}
