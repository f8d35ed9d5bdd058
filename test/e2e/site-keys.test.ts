import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import { statIfThere } from '../../src/platform/stat.ts';
import type { NewTokenView } from '../../src/protocol/access.ts';
import type { DryRunView, EventView, SlotView, WorkspaceView } from '../../src/protocol/api.ts';
import type { ErrorBody } from '../../src/protocol/errors.ts';
import type { SlurmCluster } from '../cluster/slurm.ts';
import { type SiteOptions, startSite, type TestSite } from '../support/site.ts';
import { whileNodesStandStill } from '../support/stand-still.ts';

/**
 * Keys of the site file that no other test sets, each on a running service with the embedded LRM
 * and its pilots, by what it changes there.
 */

const small = ['--image', 'mini', '--memory', '128M'];
const soon = { timeout: 60_000, interval: 200 };

function siteWith(options: Omit<SiteOptions, 'lrm' | 'nodes'> & Pick<Partial<SiteOptions>, 'lrm'>): {
  readonly site: TestSite;
} {
  const running: { site?: TestSite } = {};
  beforeAll(async () => {
    running.site = await startSite({ lrm: 'local', nodes: 1, ...options });
  });
  afterAll(() => running.site?.stop());
  return {
    get site() {
      if (!running.site) throw new Error('the site has not been started');
      return running.site;
    },
  };
}

const slotsOf = async (site: TestSite): Promise<readonly SlotView[]> =>
  (await site.json<{ slots: SlotView[] }>(['slots'])).slots;

describe('policies and the terms of leases', () => {
  const local = {
    kind: 'local',
    nodes: 1,
    memoryPerNode: '2G',
    cpusPerNode: 4,
    namespaces: 'none',
  };
  const the = siteWith({
    vmm: { kind: 'sim' },
    leases: {
      defaultDuration: '20m',
      maxDuration: '50m',
      walltimePad: '7m',
      vmmOverhead: '300M',
      pilotOverhead: '200M',
    },
    pools: () => [
      { name: 'exact', lrm: local, policy: { kind: 'exact' }, networks: ['private'] },
      { name: 'longer', lrm: local, policy: { kind: 'extendable', factor: 2 } },
      {
        name: 'kept',
        lrm: local,
        policy: { kind: 'reuse', keep: '1h', factor: 2.5, vmsPerNode: 2, shared: true },
      },
      {
        name: 'warm',
        lrm: { ...local, nodes: 3 },
        policy: {
          kind: 'warm',
          slots: 1,
          nodes: 2,
          memoryPerNode: '1300M',
          cpusPerNode: 3,
          duration: '2h',
          vmsPerNode: 2,
          shared: true,
        },
      },
    ],
  });
  const trial = async (...args: readonly string[]): Promise<DryRunView['slot']> =>
    (await the.site.json<DryRunView>(['create', ...small, ...args, '--dry-run'])).slot;
  /** The command as another user. */
  const as = async (user: string, ...args: readonly string[]): Promise<WorkspaceView> => {
    const { token } = await the.site.json<NewTokenView>(['token', '--user', user]);
    const { code, stdout, stderr } = await the.site.wsp([...args, '--json'], { env: { WSP_TOKEN: token } });
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as WorkspaceView;
  };
  const minutes = 60_000;

  /** How long the job is that would be asked for. */
  const walltimeOf = async (...args: readonly string[]): Promise<number> =>
    (await trial(...args))?.walltimeMs ?? 0;

  it('a lease that names no time has the default, none is longer than the longest, and the job is longer by the pad', async () => {
    const ordinary = await walltimeOf('--pool', 'exact');
    expect(ordinary).toBe(await walltimeOf('--pool', 'exact', '--duration', '20m'));
    // The pad, and the seconds in which pilots leave before the job's end.
    expect(ordinary).toBeGreaterThanOrEqual(27 * minutes);
    expect(ordinary).toBeLessThan(29 * minutes);
    expect((await walltimeOf('--pool', 'exact', '--duration', '50m')) - ordinary).toBe(30 * minutes);
    const refused = await the.site.wsp(['create', ...small, '--duration', '51m', '--json']);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'exceeds_site' } });
  });

  it('the memory that is asked for has what the site gives each VMM and the pilot', async () => {
    expect((await trial('--pool', 'exact'))?.memoryMiBPerNode).toBe(128 + 300 + 200);
    expect((await trial('--pool', 'kept', '--count', '2'))?.memoryMiBPerNode).toBe(2 * (128 + 300) + 200);
  });

  it('a pool has the networks that the site says, and no others', async () => {
    expect(await trial('--pool', 'exact', '--network', 'private')).toMatchObject({ nodes: 1 });
    expect(await trial('--pool', 'longer', '--network', 'public')).toMatchObject({ nodes: 1 });
    const other = ['--pool', 'exact', '--network', 'public', '--dry-run', '--json'];
    const refused = await the.site.wsp(['create', ...small, ...other]);
    expect(refused.code).toBe(4);
    expect(refused.stdout).toContain('public');
  });

  it('slots are longer by the factor of extendable and of reuse', async () => {
    for (const [pool, factor] of [
      ['exact', 1],
      ['longer', 2],
      ['kept', 2.5],
    ] as const) {
      const long = await walltimeOf('--pool', pool, '--duration', '20m');
      const short = await walltimeOf('--pool', pool, '--duration', '10m');
      expect([pool, long - short]).toEqual([pool, factor * 10 * minutes]);
    }
  });

  it('reuse: as many VMs on a node as the site says, and a slot that others may have afterwards', async () => {
    const pool = ['--pool', 'kept'];
    expect(await trial(...pool, '--count', '2')).toMatchObject({ nodes: 1, cpusPerNode: 2 });
    const first = await as('ann', 'create', ...small, ...pool, '--name', 'one', '--wait');
    await the.site.json(['destroy', first.id, '--wait']);
    const second = await as('bob', 'create', ...small, ...pool, '--name', 'two', '--wait');
    expect(second.slot?.id).toBe(first.slot?.id);
    await the.site.json(['destroy', second.id, '--wait']);
  });

  it('warm: a slot of the size and length that the site says, which several owners are in at once', async () => {
    const warm = async (): Promise<SlotView | undefined> =>
      (await slotsOf(the.site)).find(slot => slot.warm && slot.state === 'ready');
    await expect.poll(warm, soon).toMatchObject({
      nodesWanted: 2,
      memoryMiBPerNode: 1_300,
      cpusPerNode: 3,
      walltimeMs: expect.any(Number),
    });
    const length = (await warm())?.walltimeMs ?? 0;
    expect(length).toBeGreaterThanOrEqual(120 * minutes);
    expect(length).toBeLessThan(130 * minutes);
    const pool = ['--pool', 'warm'];
    const one = await as('ann', 'create', ...small, ...pool, '--count', '3', '--name', 'a', '--wait');
    expect(new Set(one.vms.map(({ node }) => node)).size).toBe(2);
    const two = await as('bob', 'create', ...small, ...pool, '--name', 'b', '--wait');
    expect(two.slot?.id).toBe(one.slot?.id);
    await the.site.json(['destroy', one.id, two.id, '--wait']);
  });
});

describe('quotas and rates', () => {
  const of = (vms: number): object => ({
    workspaces: 2,
    vms,
    cpus: vms + 1,
    memory: '600M',
    vmMinutes: 100,
    maxDuration: '1h',
  });
  const the = siteWith({
    vmm: { kind: 'sim' },
    more: { quotas: { user: of(4), project: of(3) } },
    service: () => ({ rate: { perSecond: 50, burst: 60 } }),
  });
  /** What a dry run of that user is refused with; undefined when it is accepted. */
  const refusalOf = async (token: string, ...args: readonly string[]): Promise<string | undefined> => {
    const { code, stdout } = await the.site.wsp(['create', ...small, ...args, '--dry-run', '--json'], {
      env: { WSP_TOKEN: token },
    });
    return code === 0 ? undefined : (JSON.parse(stdout) as ErrorBody).error.code;
  };
  const tokenOf = async (user: string): Promise<string> =>
    (await the.site.json<NewTokenView>(['token', '--user', user])).token;
  /**
   * A request for each limit that is just inside of it, and one that is not: when so many VMs are
   * allowed.
   */
  const limits = (vms: number): readonly (readonly [string, readonly string[], readonly string[]])[] => {
    const short = ['--duration', '5m'];
    return [
      ['vms', ['--count', '3', ...short], ['--count', String(vms + 1), ...short]],
      ['cpus', ['--cpus', String(vms + 1), ...short], ['--cpus', String(vms + 2), ...short]],
      ['memory', ['--memory', '600M', ...short], ['--memory', '601M', ...short]],
      ['vmMinutes', ['--count', '2', '--duration', '50m'], ['--count', '2', '--duration', '51m']],
      ['maxDuration', ['--duration', '60m'], ['--duration', '61m']],
    ];
  };

  it.each(limits(4))('a user may have %s up to the limit of users', async (_what, inside, over) => {
    const token = await tokenOf('solo');
    // The embedded LRM has one node: what is more than it can give is another refusal, after the
    // quota's.
    expect(await refusalOf(token, ...inside)).not.toBe('quota_exceeded');
    expect(await refusalOf(token, ...over)).toBe('quota_exceeded');
  });

  it.each(limits(3))('a project may have %s up to the limit of projects', async (_what, inside, over) => {
    await the.site.json(['project', 'qcd']);
    const own = ['workspaces=9', 'vms=99', 'cpus=99', 'memory=9G', 'vm-minutes=9999', 'duration=9h'];
    await the.site.json(['user', 'mia', '--project', 'qcd', ...own.flatMap(each => ['--quota', each])]);
    const token = await tokenOf('mia');
    expect(await refusalOf(token, ...inside)).not.toBe('quota_exceeded');
    expect(await refusalOf(token, ...over)).toBe('quota_exceeded');
  });

  it.each(['solo', 'mia'])('so many live workspaces, of a user and of a project: %s', async user => {
    const token = await tokenOf(user);
    const create = ['create', ...small, '--duration', '5m', '--json'];
    const made = [0, 1].map(() => the.site.wsp(create, { env: { WSP_TOKEN: token } }));
    const ids = (await Promise.all(made)).map(({ stdout }) => (JSON.parse(stdout) as WorkspaceView).id);
    expect(await refusalOf(token, '--duration', '5m')).toBe('quota_exceeded');
    await the.site.json(['destroy', ...ids, '--wait']);
    expect(await refusalOf(token, '--duration', '5m')).toBeUndefined();
  });

  it('who asks more than the burst at once is told when to come again, and may then', async () => {
    const token = await tokenOf('eager');
    const ask = (): Promise<Response> =>
      fetch(`${the.site.url}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
    const began = systemClock.monotonicMs();
    const answers = await Promise.all(Array.from({ length: 300 }, ask));
    const seconds = (systemClock.monotonicMs() - began) / 1_000;
    const accepted = answers.filter(({ status }) => status === 200).length;
    expect(accepted).toBeGreaterThanOrEqual(60);
    expect(accepted).toBeLessThanOrEqual(60 + Math.ceil(50 * seconds));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBe(300 - accepted);
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
    await expect.poll(async () => (await ask()).status, soon).toBe(200);
  });
});

describe('times', () => {
  const the = siteWith({
    // A VMM that starts no VM, as far as a test can tell.
    vmm: { kind: 'sim', start: '1d' },
    leases: { deployTimeout: '2s', releaseTimeout: '4s', shutdownGrace: '1s' },
  });

  it('VMs that do not run within deployTimeout end their workspace, and its nodes are given back', async () => {
    const { id } = await the.site.json<WorkspaceView>(['create', ...small, '--name', 'late']);
    const ended = await the.site.json<WorkspaceView>(['wait', id, '--for', 'ended', '--timeout', '60s']);
    expect(ended).toMatchObject({ cause: 'failed', reason: { code: 'deploy_timeout' } });
    expect(ended.reason?.message).toContain('within 2s');
    await expect.poll(() => slotsOf(the.site), soon).toEqual([]);
  });
});

describe('guests that do not answer', () => {
  const the = siteWith({
    vmm: { kind: 'sim', boot: '1d', ignoreShutdown: '^deaf-' },
    leases: { contextTimeout: '2s', shutdownGrace: '1s', releaseTimeout: '4s' },
  });

  it('a guest that has not reported within contextTimeout is in error; one that ignores its shutdown is ended after the grace', async () => {
    const create = ['create', ...small, '--group', 'deaf', '--name', 'mute', '--wait', '--json'];
    const made = await the.site.wsp(create);
    expect(made.code).toBe(1);
    const shown = await the.site.json<WorkspaceView>(['show', 'mute']);
    expect(shown.vms[0]).toMatchObject({ context: 'error' });
    expect(shown.vms[0]?.reason?.message ?? shown.reason?.message ?? made.stdout).toContain('2s');
    await the.site.json(['destroy', 'mute', '--wait']);
    const { events } = await the.site.json<{ events: EventView[] }>(['events', shown.id]);
    expect(events.map(({ type }) => type)).toContain('vm.terminated');
  });

  it('a node that does not give itself back within releaseTimeout is taken back', async () => {
    await the.site.json(['create', ...small, '--name', 'stuck']);
    await the.site.json(['wait', 'stuck', '--timeout', '30s']).catch(() => undefined);
    // An ordinary site would give them a minute, and this is not waited for so long.
    await whileNodesStandStill(the.site, async () => {
      await the.site.json(['destroy', 'stuck']);
      const state = async (): Promise<string> =>
        (await the.site.json<WorkspaceView>(['show', 'stuck'])).state;
      await expect.poll(state, { timeout: 40_000, interval: 200 }).toBe('ended');
      await expect.poll(() => slotsOf(the.site), { timeout: 40_000, interval: 200 }).toEqual([]);
    });
  });
});

describe('a scheduler that suspends jobs, or takes none', () => {
  const the = siteWith({
    lrm: 'slurm',
    vmm: { kind: 'sim' },
    leases: { submitTimeout: '5s', suspended: 'leave' },
  });

  it('a lease leaves a job that Slurm suspends, where the site says so', async () => {
    const slurm = the.site.cluster as SlurmCluster;
    const { slot } = await the.site.json<WorkspaceView>(['create', ...small, '--name', 'held', '--wait']);
    await slurm.suspend(slot?.lrmJobId ?? '');
    const ended = await the.site.json<WorkspaceView>(['wait', 'held', '--for', 'ended', '--timeout', '90s']);
    expect(ended.cause).toBe('preempted');
    expect(ended.reason?.message).toContain('suspended');
    await slurm.untilIdle();
  });

  it('a lease whose job is not taken within submitTimeout ends, with what the scheduler said', async () => {
    const slurm = the.site.cluster as SlurmCluster;
    await slurm.stopController();
    const { id } = await the.site.json<WorkspaceView>(['create', ...small]);
    const ended = await the.site.json<WorkspaceView>(['wait', id, '--for', 'ended', '--timeout', '60s']);
    expect(ended).toMatchObject({ cause: 'failed', reason: { code: 'submit_timeout' } });
    expect(ended.reason?.message).toMatch(/slurm|contact|controller/i);
    await slurm.startController();
  });
});

describe.each([
  ['as many as slots says', { slots: 1, for: '1h' }],
  ['as long as for says', { slots: 100, for: '1s' }],
])('logs of ended slots are kept %s', (_what, keepLogs) => {
  const the = siteWith({ vmm: { kind: 'sim' }, node: { keepLogs } });

  it('a later pilot removes the others: node.keepLogs', async () => {
    const slots: string[] = [];
    for (const name of ['one', 'two', 'three']) {
      const { slot } = await the.site.json<WorkspaceView>(['create', ...small, '--name', name, '--wait']);
      slots.push(slot?.id ?? '');
      await the.site.json(['destroy', name, '--wait']);
    }
    const directory = (slot: string | undefined): string => join(the.site.workDir, 'n01', slot ?? '');
    const first = directory(slots[0]);
    // What ended within the last minute is left alone: these ended some minutes ago.
    for (const [index, slot] of slots.entries()) {
      const endedAt = new Date(systemClock.now() - (10 - index) * 60_000);
      utimesSync(join(directory(slot), 'pilot.log'), endedAt, endedAt);
    }
    await the.site.json(['create', ...small, '--name', 'last', '--wait']);
    await expect.poll(() => statIfThere(first), soon).toBeUndefined();
    await the.site.json(['destroy', 'last', '--wait']);
  });
});
