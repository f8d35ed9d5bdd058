import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startChild } from '../../src/platform/children.ts';
import type {
  AuditView,
  NewTokenView,
  NewWebhookView,
  TokenView,
  UsageView,
} from '../../src/protocol/access.ts';
import type { EventView, WorkspaceView } from '../../src/protocol/api.ts';
import type { DoctorReport } from '../../src/protocol/check.ts';
import type { SlotAssignment } from '../../src/protocol/pilot.ts';
import { whileNodesStandStill } from '../support/stand-still.ts';
import { helperArgv, root, startSite, type TestSite } from '../support/site.ts';

/**
 * Flags and commands that no other test uses, each on a running service with the embedded LRM, by
 * what it changes there.
 */

let site: TestSite;
let receiver: Server;
/** Types of events by the path that they were posted to. */
const posted: [string, string][] = [];
beforeAll(async () => {
  receiver = createServer((request, response) => {
    let body = '';
    request.on('data', chunk => (body += String(chunk)));
    request.on('end', () => {
      posted.push([request.url ?? '', (JSON.parse(body) as EventView).type]);
      response.writeHead(204).end();
    });
  });
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  site = await startSite({
    lrm: 'local',
    nodes: 3,
    // A guest that ignores its shutdown is ended at the end of its grace; one that is asked nicely
    // never ends.
    vmm: { kind: 'sim', boot: '20ms', failStart: '^bad-', ignoreShutdown: '^deaf-' },
    leases: { shutdownGrace: '50s', releaseTimeout: '2m' },
    more: { webhooks: { allow: ['127.0.0.0/8'] } },
  });
});
afterAll(async () => {
  await site?.stop();
  receiver?.closeAllConnections();
  await new Promise(resolve => receiver?.close(resolve));
});

const small = ['--image', 'mini', '--memory', '128M'];
const soon = { timeout: 30_000, interval: 100 };

function file(name: string, text: string): string {
  const path = join(site.directory, name);
  writeFileSync(path, text);
  return path;
}

describe('a workspace', () => {
  it('runs with the VMs that come up: --keep-partial', async () => {
    const groups = file(
      'partial.yaml',
      'groups: [{ name: good, image: mini, memory: 128M }, { name: bad, image: mini, memory: 128M }]',
    );
    const create = ['create', '-f', groups, '--keep-partial', '--name', 'partial', '--wait'];
    const { vms } = await site.json<WorkspaceView>(create);
    expect(vms.map(({ state }) => state)).toEqual(['running', 'failed']);
    await site.json(['destroy', 'partial', '--wait']);
  });

  it('grows by groups of a file, and by one with processors, networks and data of its own: wsp add', async () => {
    await site.json(['create', '--pending', '--name', 'grows']);
    await site.json([
      'add',
      'grows',
      '-f',
      file('more.yaml', 'groups: [{ name: a, image: mini, memory: 128M }]'),
    ]);
    const data = file('data.sh', '#!/bin/sh\ntrue\n');
    const networks = ['--network', 'public', '--network', 'private'];
    const grown = await site.json<WorkspaceView>([
      'add',
      'grows',
      ...small,
      ...['--group', 'b', '--cpus', '2', ...networks, '--user-data', data],
    ]);
    expect(grown.groups).toMatchObject([
      { name: 'a', cpus: 1, networks: ['private'] },
      { name: 'b', cpus: 2, networks: ['public', 'private'] },
    ]);
    const refused = await site.wsp(['add', 'grows', ...small, '--group', 'c', '--user-data', '/no/data']);
    expect(refused.stderr).toContain('the file of --user-data is not there (/no/data)');
  });

  it('is launched, and waited for no longer than --timeout says', async () => {
    // No pilot has started by then.
    const late = await site.wsp(['launch', 'grows', '--wait', '--timeout', '1ms']);
    expect([late.code, late.stderr]).toEqual([1, expect.stringMatching(/^wsp: after /)]);
    await site.json(['wait', 'grows']);
    await site.json(['destroy', 'grows', '--wait']);
  });

  it.each([
    ['pause', 'paused'],
    ['resume', 'running'],
    ['shutdown', 'stopped'],
    ['start', 'running'],
    ['reboot', 'running'],
    ['kill', 'terminated'],
  ])('wsp %s waits no longer than --timeout says, and goes on', async (order, state) => {
    if (order === 'pause') await site.json(['create', ...small, '--name', 'told', '--wait']);
    await whileNodesStandStill(site, async () => {
      const late = await site.wsp([order, 'told', '--wait', '--timeout', '1s']);
      expect([late.code, late.stderr]).toEqual([1, expect.stringMatching(/^wsp: after 1s/)]);
    });
    const becomes = async (): Promise<string | undefined> =>
      (await site.json<WorkspaceView>(['show', 'told'])).vms[0]?.state;
    await expect.poll(becomes, soon).toBe(state);
    if (order === 'kill') await site.json(['destroy', 'told', '--wait']);
  });

  it.each([
    ['reboot', 'running'],
    ['shutdown', 'stopped'],
  ])(
    'wsp %s ends a guest that does not listen after --grace, not after what the site gives',
    async (order, state) => {
      const create = ['create', ...small, '--group', 'deaf', '--name', `deaf-${order}`, '--wait'];
      const { vms } = await site.json<WorkspaceView>(create);
      expect(vms[0]?.state).toBe('running');
      // The site gives 50 s, and this is not waited for so long.
      const done = await site.json<WorkspaceView>([
        order,
        `deaf-${order}`,
        '--grace',
        '1s',
        '--wait',
        '--timeout',
        '30s',
      ]);
      expect(done.vms[0]?.state).toBe(state);
      await site.json(['kill', `deaf-${order}`, '--wait']);
      await site.json(['destroy', `deaf-${order}`, '--wait']);
    },
  );
});

describe('people', () => {
  it('are listed with their projects: wsp users, wsp projects', async () => {
    await site.json(['project', 'qcd', '--quota', 'vms=4']);
    await site.json(['user', 'ann', '--project', 'qcd']);
    expect(await site.json(['users'])).toMatchObject({
      users: expect.arrayContaining([expect.objectContaining({ name: 'ann', projects: ['qcd'] })]),
    });
    expect(await site.json(['projects'])).toMatchObject({
      projects: [{ name: 'qcd', members: ['ann'], quota: { vms: 4 } }],
    });
  });

  it('have tokens with labels, which administrators see all of: wsp token --label, wsp tokens --all', async () => {
    await site.json<NewTokenView>(['token', '--user', 'ann', '--label', 'for ci']);
    const tokens = async (...all: readonly string[]): Promise<readonly TokenView[]> =>
      (await site.json<{ tokens: TokenView[] }>(['tokens', ...all])).tokens;
    expect(await tokens('--all')).toMatchObject([{ user: 'ann', label: 'for ci' }]);
    expect(await tokens()).toEqual([]);
  });

  it('find workspaces and deeds by what the flags say: wsp ls --state, --owner, --name, --since, wsp audit --user, --since', async () => {
    await site.json(['create', '--pending', '--name', 'found']);
    await site.json(['create', '--pending', '--name', 'not-it']);
    const names = async (...args: readonly string[]): Promise<readonly string[]> =>
      (await site.json<{ workspaces: WorkspaceView[] }>(['ls', ...args])).workspaces.map(({ name }) => name);
    expect(await names('--name', 'found')).toEqual(['found']);
    expect((await names('--state', 'pending')).toSorted()).toEqual(['found', 'not-it']);
    expect(await names('--state', 'running')).toEqual([]);
    expect(await names('--owner', 'ann')).toEqual([]);
    expect(await names('--owner', 'admin', '--since', '1d', '--name', 'found')).toEqual(['found']);
    expect(await names('--since', '2199-01-01T00:00:00Z')).toEqual([]);
    await site.json(['destroy', 'found', 'not-it', '--wait']);
    expect(await names('--state', 'ended', '--name', 'found')).toEqual(['found']);

    const deeds = async (...args: readonly string[]): Promise<readonly AuditView[]> =>
      (await site.json<{ entries: AuditView[] }>(['audit', ...args])).entries;
    expect(new Set((await deeds('--user', 'admin', '--since', '1d')).map(({ user }) => user))).toEqual(
      new Set(['admin']),
    );
    expect(await deeds('--user', 'ann')).toEqual([]);
  });

  it('have their usage until a time: wsp usage --until', async () => {
    await site.json(['create', ...small, '--name', 'used', '--wait']);
    await site.json(['destroy', 'used', '--wait']);
    const lines = async (...args: readonly string[]): Promise<UsageView['lines']> =>
      (await site.json<UsageView>(['usage', ...args])).lines;
    const secondsOf = async (...args: readonly string[]): Promise<number> =>
      (await lines(...args)).reduce((sum, { vmSeconds }) => sum + vmSeconds, 0);
    expect(await secondsOf('--since', '1h ago')).toBeGreaterThan(0);
    expect(await secondsOf('--since', '2h ago', '--until', '1h ago')).toBe(0);
  });
});

describe('webhooks', () => {
  it('get what they asked for and no more, go on when told to, and end: --workspace, --type, rehook, dead-letters, unhook', async () => {
    const at = (path: string): string =>
      `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/${path}`;
    await site.json(['create', '--pending', '--name', 'heard']);
    const one = await site.json<NewWebhookView>(['webhook', at('one'), '--workspace', 'heard']);
    const two = ['--type', 'vm.running', '--type', 'vm.terminated'];
    const hook = await site.json<NewWebhookView>(['webhook', at('two'), ...two]);
    await site.json(['create', ...small, '--name', 'other', '--wait']);
    await site.json(['add', 'heard', ...small]);
    await site.json(['launch', 'heard', '--wait']);
    await site.json(['destroy', 'heard', 'other', '--wait']);
    const { events } = await site.json<{ events: EventView[] }>(['events', 'heard']);
    const typesAt = (path: string): readonly string[] =>
      posted.filter(([url]) => url === path).map(([, type]) => type);
    await expect.poll(() => typesAt('/one').at(-1), soon).toBe(events.at(-1)?.type);
    expect(typesAt('/one').filter(type => type === 'vm.running')).toHaveLength(1);
    await expect.poll(() => typesAt('/two').length, soon).toBe(4);
    expect(new Set(typesAt('/two'))).toEqual(new Set(['vm.running', 'vm.terminated']));

    expect(await site.json(['dead-letters', hook.id])).toEqual({ deadLetters: [] });
    expect(await site.json(['rehook', hook.id])).toMatchObject({ id: hook.id, stopped: null });
    for (const { id } of [one, hook]) await site.json(['unhook', id]);
    expect(await site.json(['webhooks'])).toEqual({ webhooks: [] });
    expect((await site.wsp(['unhook', hook.id])).code).toBe(3);
  });
});

describe('wsp doctor', () => {
  it('looks at a node as the flags say: --node, --qemu, --work-dir, --images', async () => {
    const flags = ['--node', '--qemu', '/no/qemu', '--work-dir', site.directory];
    const { stdout, code } = await site.wsp([
      'doctor',
      ...flags,
      '--images',
      `${root}/.cache/images`,
      '--json',
    ]);
    const { checks } = JSON.parse(stdout) as DoctorReport;
    const of = (name: string): unknown => checks.find(check => check.name === name);
    expect(code).toBe(1);
    expect(of('qemu')).toMatchObject({ status: 'fail', message: expect.stringContaining('/no/qemu') });
    expect(of('work-dir')).toMatchObject({ status: 'ok', message: expect.stringContaining(site.directory) });
    expect(checks.map(({ name }) => name)).toContain('image mini');
  });
});

describe('wsp pilot', () => {
  it('runs by hand with the assignment of a file, is not taken by a service that does not know it, and leaves when it is told: --assignment', async () => {
    const slotId = 'slot-aaaaaaaaaa';
    const workDir = join(site.directory, 'by-hand');
    const assignment: SlotAssignment = {
      slotId,
      secret: 'no secret of the service',
      serviceUrl: site.url,
      serviceCa: null,
      transports: [{ kind: 'websocket' }],
      nodeNameEnv: ['BY_HAND_NODE'],
      jobEndEnv: [],
      walltimeMs: 600_000,
      memoryMiB: 256,
      cpus: 1,
      networks: [],
      killDelayMs: 30_000,
      node: {
        workDir,
        helper: helperArgv(join(site.directory, 'by-hand-helper')),
        adaptation: 'none',
        shutdownGraceMs: 1_000,
        keepLogs: { slots: 1, forMs: 60_000 },
        vmm: { kind: 'sim', startMs: 0, bootMs: 0, stopMs: 0 },
      },
    };
    const pilot = await startChild(
      [`${root}/bin/wsp`, 'pilot', '--assignment', file('assignment.json', JSON.stringify(assignment))],
      { env: { PATH: process.env['PATH'], BY_HAND_NODE: 'hand' } },
    );
    const logged = (): string => {
      const path = join(workDir, 'hand', slotId, 'pilot.log');
      return existsSync(path) ? readFileSync(path, 'utf8') : '';
    };
    await expect.poll(logged, soon).toContain('pilot started');
    await expect.poll(logged, soon).toContain('401');
    pilot.kill('SIGTERM');
    await pilot.exited;
    await expect.poll(() => existsSync(join(site.directory, 'by-hand-helper')), soon).toBe(false);
    const wrong = await site.wsp(['pilot', '--assignment', file('wrong.json', '{}')]);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('slotId is not a slot id')]);
  });
});
