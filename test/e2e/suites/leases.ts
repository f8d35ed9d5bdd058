import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DryRunView, EventView, TypesView, WorkspaceView } from '../../../src/protocol/api.ts';
import { startSite, type TestSite } from '../../support/site.ts';

/** A scheduler on which leases are tried, and its own words. */
export interface LeaseSuite {
  readonly lrm: 'slurm' | 'gridengine';
  /** Why it does not let a job run for longer. */
  readonly noMoreTime: RegExp;
  /** What a workspace waits for. */
  readonly waits: RegExp;
}

/** What a lease can be asked, on a real batch scheduler with four nodes: real guests where guests matter, two sites because the VMM is the site's. */
export function leases({ lrm, noMoreTime, waits }: LeaseSuite): void {
  let site: TestSite;
  let simulated: TestSite;

  beforeAll(async () => {
    site = await startSite({
      lrm,
      nodes: 2,
      leases: { endNotices: ['20s'], walltimePad: '3m' },
    });
    simulated = await startSite({
      lrm,
      nodes: 4,
      vmm: { kind: 'sim', start: '10ms', boot: '10ms', stop: '10ms', failStart: '^bad-' },
    });
  });
  afterAll(async () => {
    await site?.stop();
    await simulated?.stop();
  });

  const small = ['--image', 'mini', '--memory', '160M'];
  const eventsOf = async (on: TestSite, workspace: string): Promise<readonly EventView[]> =>
    (await on.json<{ events: EventView[] }>(['events', workspace])).events;

  describe(`a lease on ${lrm}`, () => {
    it('is announced before its end to its owner and inside its guests, and can be extended as far as its job lasts', async () => {
      const lease = await site.json<WorkspaceView>([
        ...['create', ...small, '--name', 'noticed', '--duration', '30s', '--wait'],
      ]);
      const client = site.client();
      const heard: string[] = [];
      await client.waitForWorkspace(lease.id, () => heard.includes('workspace.ends-soon'), {
        timeoutMs: 60_000,
        onEvent: event => heard.push(event.type),
      });
      const longer = await site.json<WorkspaceView>(['extend', 'noticed', '1m']);
      expect(Date.parse(longer.endsAt ?? '') - Date.parse(lease.endsAt ?? '')).toBe(60_000);
      expect((await site.wsp(['ssh', 'noticed', '--', 'cat', '/run/notices'])).stdout).toMatch(
        /^the lease ends in 20s, at \d{4}-.*Z\n$/,
      );
      const tooLong = await site.wsp(['extend', 'noticed', '1h', '--json']);
      expect(tooLong.code).toBe(4);
      const { error } = JSON.parse(tooLong.stdout) as {
        error: { code: string; message: string; hint: string };
      };
      expect(error).toMatchObject({ code: 'conflict' });
      expect(error.message).toMatch(noMoreTime);
      // What it says would work, works.
      const possible = /can be extended by (\S+) at most/.exec(error.hint)?.[1] ?? '';
      await site.json(['extend', 'noticed', possible]);
      await site.json(['destroy', 'noticed', '--wait']);
    });

    it('grows group by group until it is launched as a whole, on nodes of one job', async () => {
      await simulated.json(['create', '--pending', '--name', 'grown']);
      await simulated.json(['add', 'grown', ...small, '--group', 'head']);
      const grown = await simulated.json<WorkspaceView>([
        ...['add', 'grown', ...small, '--group', 'worker', '--count', '2'],
      ]);
      expect(grown).toMatchObject({ state: 'pending', vms: [], slot: null });
      expect(grown.groups.map(({ name }) => name)).toEqual(['head', 'worker']);
      const launched = await simulated.json<WorkspaceView>(['launch', 'grown', '--wait']);
      expect(launched.vms.map(({ name }) => name)).toEqual(['head-0', 'worker-0', 'worker-1']);
      expect(new Set(launched.vms.map(({ node }) => node)).size).toBe(3);
      const late = await simulated.wsp(['add', 'grown', ...small, '--group', 'late', '--json']);
      expect(late.code).toBe(4);
      expect(JSON.parse(late.stdout)).toMatchObject({ error: { code: 'conflict' } });
      expect((await simulated.json<WorkspaceView>(['launch', 'grown'])).id).toBe(launched.id);
      await simulated.json(['destroy', 'grown', '--wait']);
    });

    it('is one however often its client token comes, also at once; another request is a conflict', async () => {
      const create = (...more: string[]) =>
        simulated.json<WorkspaceView>(['create', ...small, '--client-token', 'once', ...more]);
      const all = await Promise.all(Array.from({ length: 6 }, () => create()));
      expect(new Set(all.map(({ id }) => id)).size).toBe(1);
      const other = await simulated.wsp([
        ...['create', ...small, '--client-token', 'once', '--count', '2', '--json'],
      ]);
      expect(other.code).toBe(4);
      expect(JSON.parse(other.stdout)).toMatchObject({ error: { code: 'conflict' } });
      await simulated.killService();
      await simulated.startService();
      expect((await create()).id).toBe(all[0]?.id);
      await simulated.json(['destroy', all[0]?.id ?? '', '--wait']);
    });

    it('fails whole when one VM fails, and runs with the rest when it may be partial', async () => {
      const file = [
        { name: 'good', image: 'mini', memoryMiB: 128, cpus: 1, count: 2 },
        { name: 'bad', image: 'mini', memoryMiB: 128, cpus: 1, count: 1 },
      ];
      const client = simulated.client();
      const whole = await client.createWorkspace({ groups: file });
      const failed = await client.waitForWorkspace(whole.id, ({ state }) => state === 'ended', {
        timeoutMs: 60_000,
      });
      expect(failed).toMatchObject({ cause: 'failed' });
      expect(failed.reason?.message).toMatch(/^VM bad-0 on node n0\d failed: /);
      const partial = await client.createWorkspace({ groups: file, keepPartial: true });
      const running = await client.waitForWorkspace(partial.id, ({ state }) => state === 'running', {
        timeoutMs: 60_000,
      });
      expect(running.vms.map(({ state }) => state)).toEqual(['running', 'running', 'failed']);
      await simulated.json(['destroy', partial.id, '--wait']);
    });

    it('that cannot start by its latest time is given up, and says what it waited for', async () => {
      const first = await simulated.json<WorkspaceView>([
        'create',
        ...small,
        '--count',
        '4',
        '--cpus',
        '2',
        '--wait',
      ]);
      const second = await simulated.json<WorkspaceView>(['create', ...small, '--start-by', '8s']);
      const missed = await simulated
        .client()
        .waitForWorkspace(second.id, ({ state }) => state === 'ended', { timeoutMs: 60_000 });
      expect(missed).toMatchObject({ cause: 'cancelled', reason: { code: 'start_by_missed' } });
      expect(missed.reason?.message).toMatch(waits);
      expect((await eventsOf(simulated, second.id)).map(({ type }) => type)).toContain('workspace.queued');
      await simulated.json(['destroy', first.id, '--wait']);
    });

    it('has types: what can be leased, and what is free now', async () => {
      const types = await simulated.json<TypesView>(['types']);
      expect(types).toMatchObject({
        pools: [{ name: 'default', policy: 'exact', lrm, nodes: { count: 4, idle: 4, vmCpus: 2 } }],
      });
      expect(types.images).toContainEqual({ name: 'mini', agent: true });
      const { id } = await simulated.json<WorkspaceView>(['create', ...small, '--wait']);
      const later = await simulated.json<TypesView>(['types']);
      expect(later.pools[0]?.nodes?.idle).toBe(3);
      const free = ({ networks }: TypesView): number =>
        networks.find(({ name }) => name === 'private')?.freeAddresses ?? 0;
      expect(free(later)).toBe(free(types) - 1);
      await simulated.json(['destroy', id, '--wait']);
    });

    it('can be tried out: what would be asked for, or why not; and nothing comes of it', async () => {
      const trial = await simulated.json<DryRunView>(['create', ...small, '--count', '3', '--dry-run']);
      expect(trial).toMatchObject({ accepted: true, refusal: null, slot: { nodes: 3, cpusPerNode: 1 } });
      const refused = await simulated.wsp(['create', ...small, '--count', '5', '--dry-run', '--json']);
      expect(refused.code).toBe(4);
      expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'exceeds_site' } });
      expect((await simulated.json<{ workspaces: unknown[] }>(['ls'])).workspaces).toEqual([]);
    });
  });
}
