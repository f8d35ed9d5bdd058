import { afterEach, describe, expect, it } from 'vitest';
import type { WorkspaceView } from '../../../src/protocol/api.ts';
import { startSite, type TestSite } from '../../support/site.ts';

/** A whole cluster of 16 nodes for one workspace, with real guests and with the simulated VMM. */
export function sixteenNodes(lrm: 'slurm' | 'gridengine'): void {
  let site: TestSite | undefined;
  afterEach(async () => {
    await site?.stop();
    site = undefined;
  });

  async function lease(on: TestSite): Promise<WorkspaceView> {
    return on.json<WorkspaceView>(
      ['create', '--image', 'mini', '--count', '16', '--memory', '160M', '--name', 'all', '--wait'],
      170_000,
    );
  }

  /** Destroyed is destroyed: what is asked at once after it sees nothing. */
  async function destroyAndLook(on: TestSite): Promise<string[]> {
    await on.json(['destroy', 'all', '--wait']);
    return on.leftovers();
  }

  function expectOneEach(workspace: WorkspaceView): void {
    expect(workspace.state).toBe('running');
    expect(new Set(workspace.vms.map(vm => vm.node)).size).toBe(16);
  }

  describe(`16 nodes of ${lrm}`, () => {
    it('run 16 real guests, one a node, each reachable by ssh; afterwards nothing is left', async () => {
      site = await startSite({ lrm, nodes: 16, slurm: { limitCores: false } });
      const on = site;
      const workspace = await lease(on);
      expectOneEach(workspace);
      const names = workspace.vms.map(vm => vm.name);
      const answers = await Promise.all(
        names.map(name => on.wsp(['ssh', `all/${name}`, '--', 'hostname'], { deadlineMs: 120_000 })),
      );
      expect(answers.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
        names.map(name => ({ code: 0, stdout: `${name}\n` })),
      );
      expect(await destroyAndLook(on)).toEqual([]);
    });

    it('run 16 simulated VMs; afterwards nothing is left', async () => {
      site = await startSite({
        lrm,
        nodes: 16,
        slurm: { limitCores: false },
        vmm: { kind: 'sim', start: '10ms', boot: '10ms', stop: '10ms' },
      });
      expectOneEach(await lease(site));
      expect(await destroyAndLook(site)).toEqual([]);
    });
  });
}
