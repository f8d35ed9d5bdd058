import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventView, WorkspaceView } from '../../../src/protocol/api.ts';
import { systemProcesses } from '../../../src/platform/process.ts';
import { startSite, type TestSite } from '../../support/site.ts';

/** What each batch scheduler is like, where a user sees it. */
export interface Scheduler {
  readonly lrm: 'slurm' | 'gridengine';
  readonly name: string;
  /** Has a job wait until it is let go, and why it waits then. */
  readonly hold: readonly string[];
  readonly heldReason: RegExp;
}

/** The life of a virtual cluster of real guests on a real batch scheduler with four nodes. */
export function virtualClusters({ lrm, name, hold, heldReason }: Scheduler): void {
  let site: TestSite;
  beforeAll(async () => {
    site = await startSite({ lrm, nodes: 4 });
  });
  afterAll(() => site?.stop());

  const inNode = async (netns: string, ...argv: string[]): Promise<string> =>
    (await systemProcesses.run(['nsenter', `--net=/run/netns/${netns}`, ...argv], { deadlineMs: 10_000 }))
      .stdout;

  /** Everything of a node's network that a lease could change. */
  async function nodeState(netns: string): Promise<string> {
    const parts = [
      await inNode(netns, 'ip', '-br', 'link'),
      await inNode(netns, 'ip', '-br', 'addr'),
      await inNode(netns, 'ip', 'route'),
      await inNode(netns, 'nft', 'list', 'ruleset'),
    ];
    return parts.join('---\n');
  }

  async function allNodes(): Promise<string[]> {
    return Promise.all((site.cluster?.nodes ?? []).map(node => nodeState(node.netns)));
  }

  /** Undo entries of any node's helper. */
  function undoEntries(): string[] {
    if (!existsSync(site.helperStateDir)) return [];
    return readdirSync(site.helperStateDir, { recursive: true, encoding: 'utf8' }).filter(path =>
      path.endsWith('undo.jsonl'),
    );
  }

  describe(`a virtual cluster on a real ${name}`, () => {
    it('brings guests up, one a node, reaches them by name, and gives the nodes back as they were', async () => {
      const before = await allNodes();
      const workspace = await site.json<WorkspaceView>(
        [
          'create',
          '--image',
          'mini',
          '--count',
          '4',
          '--memory',
          '160M',
          '--name',
          'all',
          '--duration',
          '10m',
          '--network',
          'private',
          '--network',
          'public',
          '--wait',
        ],
        150_000,
      );
      expect(workspace.state).toBe('running');
      expect(new Set(workspace.vms.map(vm => vm.node)).size).toBe(4);
      expect(workspace.vms.map(vm => vm.context)).toEqual(['ok', 'ok', 'ok', 'ok']);
      for (const vm of workspace.vms) {
        const seen = await site.wsp(['ssh', `all/${vm.name}`, '--', 'hostname']);
        expect(seen).toMatchObject({ code: 0, stdout: `${vm.name}\n` });
      }
      const peers = await site.wsp([
        'ssh',
        'all/vm-0',
        '--',
        'for n in 1 2 3; do ping -c 1 -W 3 vm-$n && ssh vm-$n hostname; done',
      ]);
      for (const peer of ['vm-1', 'vm-2', 'vm-3']) expect(peers.stdout.split('\n')).toContain(peer);
      const destroyed = await site.json<{ workspaces: WorkspaceView[] }>(['destroy', 'all', '--wait']);
      expect(destroyed.workspaces[0]).toMatchObject({ state: 'ended', cause: 'destroyed' });
      expect(await allNodes()).toEqual(before);
      expect(undoEntries()).toEqual([]);
      const left = await systemProcesses.run(['pgrep', '-af', '--', site.workDir], { deadlineMs: 10_000 });
      expect(left.stdout).toBe('');
    });

    it('ends a lease on time, guests shut down before', async () => {
      const created = await site.json<WorkspaceView>([
        'create',
        '--image',
        'mini',
        '--memory',
        '160M',
        '--name',
        'brief',
        '--duration',
        '10s',
        '--wait',
      ]);
      const client = await site.json<{ events: EventView[] }>(['events', created.id]);
      expect(client.events.some(event => event.type === 'workspace.running')).toBe(true);
      const ended = await site
        .client()
        .waitForWorkspace(created.id, ended => ended.state === 'ended', { timeoutMs: 60_000 });
      expect(ended).toMatchObject({ state: 'ended', cause: 'expired' });
      const lateMs = Date.parse(ended.endedAt ?? '') - Date.parse(created.endsAt ?? '');
      expect(Math.abs(lateMs)).toBeLessThanOrEqual(1_000);
      const history = (await site.json<{ events: EventView[] }>(['events', created.id])).events.map(
        event => event.type,
      );
      expect(history.indexOf('vm.stopping')).toBeGreaterThan(-1);
      expect(history.indexOf('vm.terminated')).toBeGreaterThan(history.indexOf('vm.stopping'));
    });

    it('says why a held job waits; cancelled behind our back, the workspace ends with that reason', async () => {
      const held = await startSite({ lrm, nodes: 1, lrmOptions: hold, vmm: { kind: 'sim' } });
      try {
        const created = await held.json<WorkspaceView>(['create', '--image', 'mini', '--memory', '128M']);
        const waiting = await held
          .client()
          .waitForWorkspace(created.id, each => Boolean(each.slot?.lrmReason), { timeoutMs: 60_000 });
        expect(waiting.slot?.lrmReason).toMatch(heldReason);
        await held.cluster?.endJob(waiting.slot?.lrmJobId ?? '');
        const ended = await held
          .client()
          .waitForWorkspace(created.id, each => each.state === 'ended', { timeoutMs: 60_000 });
        expect(ended).toMatchObject({ state: 'ended', cause: 'cancelled' });
        expect(ended.reason?.message).toMatch(/cancelled/);
      } finally {
        await held.stop();
      }
    });

    it('refuses what cannot be, with one clear error and the exit code of its kind', async () => {
      const tooMany = await site.wsp([
        'create',
        '--image',
        'mini',
        '--count',
        '5',
        '--memory',
        '128M',
        '--json',
      ]);
      expect(tooMany.code).toBe(4);
      expect(JSON.parse(tooMany.stdout)).toMatchObject({ error: { code: 'exceeds_site' } });
      const unknown = await site.wsp(['create', '--image', 'nosuch', '--json']);
      expect(unknown.code).toBe(4);
      expect(JSON.parse(unknown.stdout)).toMatchObject({ error: { code: 'image_unknown' } });
      expect((await site.wsp(['show', 'nosuch'])).code).toBe(3);
      expect((await site.wsp(['ls'], { env: { WSP_TOKEN: 'wrong' } })).code).toBe(4);
      expect((await site.wsp(['ls'], { env: { WSP_URL: 'http://127.0.0.1:9' } })).code).toBe(5);
      expect((await site.wsp(['create', '--count', 'many', '--image', 'mini'])).code).toBe(2);
      const stack = await site.wsp(['create', '-f', '/nonexistent.yaml']);
      expect(stack.stderr).not.toMatch(/\n\s+at /);
    });

    it('survives a service that is killed while guests run', async () => {
      const created = await site.json<WorkspaceView>([
        'create',
        '--image',
        'mini',
        '--memory',
        '160M',
        '--name',
        'kept',
        '--wait',
      ]);
      await site.killService();
      await site.startService();
      const shown = await site.json<WorkspaceView>(['show', 'kept']);
      expect(shown).toMatchObject({ id: created.id, state: 'running' });
      const destroyed = await site.json<{ workspaces: WorkspaceView[] }>(['destroy', 'kept', '--wait']);
      expect(destroyed.workspaces[0]?.state).toBe('ended');
      expect(readFileSync(join(site.directory, 'service.log'), 'utf8')).not.toContain('"level":50');
    });
  });
}
