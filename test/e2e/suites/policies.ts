import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  DryRunView,
  SlotView,
  TimelineView,
  TypesView,
  WorkspaceView,
} from '../../../src/protocol/api.ts';
import { startSite, type TestSite } from '../../support/site.ts';

/** Policies other than `exact`: real guests on a real batch scheduler. */
export function policies(lrm: 'slurm' | 'gridengine'): void {
  /** One site after the other, each under its own policy. */
  function siteWith(policy: Record<string, unknown>, nodes: number): { readonly site: TestSite } {
    const running: { site?: TestSite } = {};
    beforeAll(async () => {
      running.site = await startSite({ lrm, nodes, more: { policy } });
    });
    afterAll(() => running.site?.stop());
    return {
      get site() {
        if (!running.site) throw new Error('the site has not been started');
        return running.site;
      },
    };
  }

  const soon = { timeout: 60_000, interval: 200 };
  const mini = ['create', '--image', 'mini', '--memory', '160M'];

  describe(`pack on ${lrm}`, () => {
    const the = siteWith({ kind: 'pack', vmsPerNode: 2 }, 2);

    it('runs several guests on a node, which reach each other there and across nodes, and leaves nothing', async () => {
      const { site } = the;
      expect((await site.json<TypesView>(['types'])).pools[0]?.policy).toBe('pack');
      const create = [...mini, '--count', '3', '--name', 'packed'];
      const { slot } = await site.json<DryRunView>([...create, '--dry-run']);
      expect(slot).toMatchObject({ nodes: 2, cpusPerNode: 2 });
      const { vms } = await site.json<WorkspaceView>([...create, '--wait']);
      const nodes = vms.map(({ node }) => node);
      expect(nodes[0]).toBe(nodes[1]);
      expect(nodes[2]).not.toBe(nodes[0]);
      for (const [from, to] of [
        ['vm-0', 'vm-1'],
        ['vm-0', 'vm-2'],
        ['vm-2', 'vm-1'],
      ] as const) {
        const reached = await site.wsp(['ssh', `packed/${from}`, '--', 'ssh', to, 'hostname']);
        expect([from, reached.stdout.trim()]).toEqual([from, to]);
      }
      await site.json(['destroy', 'packed', '--wait']);
      await site.cluster?.untilIdle();
      expect(await site.leftovers()).toEqual([]);
    }, 180_000);
  });

  describe(`reuse on ${lrm}`, () => {
    const the = siteWith({ kind: 'reuse', keep: '1h' }, 1);

    it('starts the next workspace in the slot that the last one left, with a clean guest, and gives the slot back with the site', async () => {
      const { site } = the;
      const one = await site.json<WorkspaceView>([...mini, '--name', 'one', '--wait']);
      await site.wsp(['ssh', 'one/vm-0', '--', 'touch', '/root/traces']);
      await site.json(['destroy', 'one', '--wait']);
      const [kept] = (await site.json<{ slots: SlotView[] }>(['slots'])).slots;
      expect(kept).toMatchObject({
        id: one.slot?.id,
        state: 'ready',
        workspaces: [one.id],
        owner: one.owner,
      });

      const trial = await site.json<DryRunView>([...mini, '--dry-run']);
      expect(trial.slot?.held).toBe(kept?.id);
      const two = await site.json<WorkspaceView>([...mini, '--name', 'two', '--wait']);
      expect(two.slot?.id).toBe(one.slot?.id);
      const { hops } = await site.json<TimelineView>(['timeline', 'two']);
      expect(hops.map(({ hop }) => hop)).toEqual([
        'request',
        'place',
        'propagate',
        'create',
        'context',
        'lease',
      ]);
      const traces = await site.wsp(['ssh', 'two/vm-0', '--', 'ls', '/root']);
      expect(traces.stdout).not.toContain('traces');
      await site.json(['destroy', 'two', '--wait']);
      // An administrator takes the node back: nobody is in the slot.
      await site.cluster?.endJob(String(kept?.lrmJobId));
      const live = async (): Promise<number> =>
        (await site.json<{ slots: SlotView[] }>(['slots'])).slots.length;
      await expect.poll(live, soon).toBe(0);
      await site.cluster?.untilIdle();
      expect(await site.leftovers()).toEqual([]);
    }, 180_000);
  });

  describe(`warm on ${lrm}`, () => {
    const the = siteWith({ kind: 'warm', memoryPerNode: '512M' }, 2);

    it('holds a slot ready, deploys in it without the LRM, and holds another one ready then', async () => {
      const { site } = the;
      const ready = async (): Promise<readonly SlotView[]> =>
        (await site.json<{ slots: SlotView[] }>(['slots'])).slots.filter(
          ({ warm, state }) => warm && state === 'ready',
        );
      await expect.poll(async () => (await ready()).length, soon).toBe(1);
      const [idle] = await ready();
      expect(idle).toMatchObject({ owner: null, workspaces: [] });
      const { slot } = await site.json<WorkspaceView>([...mini, '--name', 'quick', '--wait']);
      expect(slot?.id).toBe(idle?.id);
      await expect.poll(async () => (await ready()).some(({ owner }) => owner === null), soon).toBe(true);
      await site.json(['destroy', 'quick', '--wait']);
      await expect.poll(async () => (await ready()).some(({ id }) => id === idle?.id), soon).toBe(false);
    }, 180_000);
  });
}
