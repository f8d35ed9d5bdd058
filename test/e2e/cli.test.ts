import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startChild } from '../../src/platform/children.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import type { EventView, NodeView, WorkspaceView } from '../../src/protocol/api.ts';
import type { DoctorReport } from '../../src/protocol/check.ts';
import type { ErrorBody } from '../../src/protocol/errors.ts';
import { root, startSite, type TestSite } from '../support/site.ts';

/** docs/cli.md as scripts meet it: `bin/wsp` against a real service with the embedded LRM and simulated VMs. */

let site: TestSite;
beforeAll(async () => {
  site = await startSite({
    lrm: 'local',
    nodes: 3,
    vmm: { kind: 'sim', boot: '50ms', failStart: '^bad-', failBoot: '^ill-' },
  });
});
afterAll(() => site?.stop());

type Env = NodeJS.ProcessEnv;
const wsp = (args: readonly string[], env: Env = {}): Promise<CommandResult> => site.wsp(args, { env });

/** Runs a command that must fail, for programs: one document on one line of standard output, and nothing else. */
async function failsAsJson(
  args: readonly string[],
  exit: number,
  env: Env = {},
): Promise<ErrorBody['error']> {
  const { code, stdout, stderr } = await wsp(['--json', ...args], env);
  expect({ code, stderr }, `${args.join(' ')}: ${stdout}`).toEqual({ code: exit, stderr: '' });
  expect(stdout).toMatch(/^\{[^\n]*\}\n$/);
  return (JSON.parse(stdout) as ErrorBody).error;
}

/** The same for people too: on standard error, in the same words. */
async function fails(args: readonly string[], exit: number, env: Env = {}): Promise<ErrorBody['error']> {
  const [text, error] = await Promise.all([wsp(args, env), failsAsJson(args, exit, env)]);
  expect({ code: text.code, stdout: text.stdout }, text.stderr).toEqual({ code: exit, stdout: '' });
  expect(text.stderr).toMatch(/^wsp: /);
  expect(text.stderr).not.toMatch(/\n\s+at /);
  if (error.hint !== undefined && exit !== 1) expect(text.stderr).toContain(error.hint);
  return error;
}

function clusterFile(name: string, text: string): string {
  const path = join(site.directory, name);
  writeFileSync(path, text);
  return path;
}

/** One of each that asks the service something. */
const commands: readonly (readonly string[])[] = [
  ['create', '--image', 'mini'],
  ['ls'],
  ['show', 'w'],
  ['events'],
  ['events', 'w', '-f'],
  ['timeline', 'w'],
  ['destroy', 'w'],
  ['slots'],
  ['nodes'],
  ['images'],
  ['ssh', 'w'],
  ['console', 'w'],
];

describe('what works: exit code 0', () => {
  it('the life of a workspace, as JSON', async () => {
    const made = await site.json<WorkspaceView>([
      'create',
      '--image',
      'mini',
      '--count',
      '2',
      '--name',
      'life',
      '--wait',
    ]);
    expect(made).toMatchObject({
      name: 'life',
      state: 'running',
      vms: [{ state: 'running' }, { state: 'running' }],
    });
    expect(await site.json(['show', 'life'])).toMatchObject({ id: made.id, slot: { state: 'ready' } });
    expect(await site.json(['show', made.id])).toMatchObject({ name: 'life' });
    expect(await site.json(['ls'])).toMatchObject({ workspaces: [{ id: made.id }] });
    const { events } = await site.json<{ events: EventView[] }>(['events', 'life']);
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['workspace.requested', 'slot.ready', 'workspace.running']),
    );
    const hop = { hop: expect.any(String), meaning: expect.any(String), startedAt: expect.any(String) };
    expect(await site.json(['timeline', 'life'])).toMatchObject({
      hops: expect.arrayContaining([expect.objectContaining(hop)]),
    });
    expect(await site.json(['slots'])).toMatchObject({ slots: [{ workspaces: [made.id], nodesWanted: 2 }] });
    const { nodes } = await site.json<{ nodes: NodeView[] }>(['nodes']);
    expect(nodes.filter(({ slot }) => slot !== null)).toHaveLength(2);
    expect(nodes.filter(({ state }) => state === 'idle')).toMatchObject([{ slot: null, connected: true }]);
    expect(await site.json(['images'])).toMatchObject({
      images: expect.arrayContaining([expect.objectContaining({ name: 'mini' })]),
    });
    expect(await site.json(['destroy', 'life', '--wait'])).toMatchObject({
      workspaces: [{ id: made.id, state: 'ended', cause: 'destroyed', slot: { state: 'released' } }],
    });
    // What has ended can be destroyed again, and is listed when asked for.
    expect(await wsp(['destroy', 'life'])).toMatchObject({ code: 0 });
    expect(await site.json(['ls'])).toEqual({ workspaces: [] });
    expect(await site.json(['ls', '--all'])).toMatchObject({ workspaces: [{ id: made.id }] });
  });

  it('the same for people: sentences and tables, and no progress when it is no terminal', async () => {
    const file = clusterFile('good.yaml', 'name: people\ngroups: [{name: web, image: mini}]\n');
    const made = await wsp(['create', '-f', file, '--wait']);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/^people \(ws-\w{10}\), running[\s\S]*web-0 +running/);
    const answers = await Promise.all(
      [
        ['show', 'people'],
        ['ls'],
        ['events', 'people'],
        ['timeline', 'people'],
        ['slots'],
        ['nodes'],
        ['images'],
      ].map(args => wsp(args)),
    );
    for (const { code, stdout, stderr } of answers) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/\w/);
      expect(stdout).not.toContain('\x1b');
    }
    const gone = await wsp(['destroy', 'people', '--wait']);
    expect(gone).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('given back') });
  });

  it('progress on a terminal', async () => {
    const command = `${root}/bin/wsp create --image mini --name seen --wait`;
    const { code, stdout } = await systemProcesses.run(['script', '-qefc', command, '/dev/null'], {
      deadlineMs: 60_000,
      env: { ...site.clientEnv, TERM: 'xterm' },
    });
    expect(code).toBe(0);
    expect(stdout).toContain('\x1b[2K');
    expect(stdout).toContain('vm-0');
    await site.json(['destroy', 'seen', '--wait']);
  });

  it('events as they happen, one document a line', async () => {
    const { id } = await site.json<WorkspaceView>(['create', '--image', 'mini', '--wait']);
    const child = await startChild([`${root}/bin/wsp`, 'events', id, '-f', '--json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: site.clientEnv,
    });
    const seen: EventView[] = [];
    try {
      if (!child.stdout) throw new Error('no output');
      for await (const line of createInterface({ input: child.stdout })) {
        const event = JSON.parse(line) as EventView;
        seen.push(event);
        if (event.type === 'workspace.running') await site.json(['destroy', id]);
        if (event.type === 'workspace.ended') break;
      }
    } finally {
      child.kill('SIGKILL');
      await child.exited;
    }
    expect(seen.at(-1)).toMatchObject({ type: 'workspace.ended', workspace: id });
    const numbers = seen.map(({ seq }) => seq);
    expect(numbers).toEqual([...new Set(numbers)].sort((one, other) => one - other));
    await site.json(['destroy', id, '--wait']);
  });

  it('a console that ends with its VM, though its standard input stays open', async () => {
    await site.json(['create', '--image', 'mini', '--name', 'seen', '--wait']);
    const child = await startChild([`${root}/bin/wsp`, 'console', 'seen'], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: site.clientEnv,
    });
    try {
      if (!child.stdout) throw new Error('no output');
      expect(String(await once(child.stdout, 'data'))).toContain('simulated VM');
      child.stdout.resume();
      await site.json(['destroy', 'seen', '--wait']);
      expect(await child.exited).toEqual({ code: 0, signal: null });
    } finally {
      child.kill('SIGKILL');
    }
  });

  it.each([['--help'], ['--version'], ['create', '--help'], ['doctor', '--help']])(
    'wsp %s %s',
    async (...args) => {
      const { code, stdout, stderr } = await wsp(args.filter(Boolean));
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/Usage: wsp|^\d+\.\d+\.\d+/);
    },
  );
});

describe('what failed: exit code 1', () => {
  it.each([
    ['a VM that does not start', 'bad', 'failed'],
    ['a guest that is not set up', 'ill', 'failed'],
  ])('%s', async (_what, group, code) => {
    const file = clusterFile(`${group}.yaml`, `groups: [{name: ${group}, image: mini}]\n`);
    expect(await fails(['create', '-f', file, '--wait'], 1)).toMatchObject({ code });
    const { workspaces } = await site.json<{ workspaces: WorkspaceView[] }>(['ls']);
    await Promise.all(workspaces.map(({ id }) => site.json(['destroy', id, '--wait'])));
  });

  it('a wait that is too short; the workspace goes on', async () => {
    const error = await fails(['create', '--image', 'mini', '--wait', '--timeout', '1ms'], 1);
    expect(error).toMatchObject({ code: 'timeout', hint: expect.stringMatching(/wsp show .*wsp destroy/) });
    const { workspaces } = await site.json<{ workspaces: WorkspaceView[] }>(['ls']);
    expect(workspaces).toHaveLength(2);
    await Promise.all(workspaces.map(({ id }) => site.json(['destroy', id, '--wait'])));
  });
});

describe('a wrong command line: exit code 2', () => {
  it.each([
    [['frob'], /frob/],
    [[], /no command given/],
    [['creat'], /Did you mean create/],
    [['create'], /-f FILE or --image/],
    [['create', '-f', 'a', '--image', 'b'], /-f FILE or --image/],
    [['create', '--frob'], /--frob/],
    [['create', '--image'], /--image.*missing/],
    [['create', '--image', 'mini', '--count', '0'], /--count 0 .*at least 1/],
    [['create', '--image', 'mini', '--cpus', '1.5'], /--cpus 1.5 .*whole number/],
    [['create', '--image', 'mini', '--memory', '256'], /--memory 256 .*256M/],
    [['create', '--image', 'mini', '--duration', '1 hour'], /--duration 1 hour .*1h30m/],
    [['create', '--image', 'mini', '--wait', '--timeout', 'soon'], /--timeout soon .*90s/],
    [
      ['create', '--image', 'mini', '--ssh-key', '/no/key'],
      /the file of --ssh-key is not there \(\/no\/key\)/,
    ],
    [
      ['create', '--image', 'mini', '--user-data', '/no/data'],
      /the file of --user-data is not there \(\/no\/data\)/,
    ],
    [['show'], /workspace/],
    [['show', 'a', 'b'], /too many arguments/],
    [['destroy'], /workspaces/],
    [['destroy', 'a', '--timeout', 'never'], /--timeout never/],
    [['proxy', 'a/b', '0'], /0 is not a port/],
    [['service'], /--config/],
  ])('wsp %j', async (args, words) => {
    const error = await fails(args, 2);
    expect(error.code).toBe('usage');
    // What is wrong, and what to do: in the message itself, or as a hint.
    expect(error.message).toMatch(words);
    expect(`${error.message} ${error.hint}`).toMatch(/--help|say|cannot be read|at least|either/);
  });

  it('every mistake of a cluster file, each with its path', async () => {
    const file = clusterFile(
      'mistakes.yaml',
      'duration: long\ngroups:\n  - {name: A, image: mini, count: 0}\n  - {image: mini, cpu: 1}\n',
    );
    const error = await fails(['create', '-f', file], 2);
    expect(error.code).toBe('invalid_file');
    expect(error.details?.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        'duration',
        'groups[0].name',
        'groups[0].count',
        'groups[1].cpu',
        'groups[1].name',
      ]),
    );
    const { stderr } = await wsp(['create', '-f', file]);
    for (const { path, message } of error.details ?? []) expect(stderr).toContain(`  ${path}: ${message}`);
  });

  it.each([
    ['not YAML', 'groups: [', /line 1, column/],
    ['no mapping', '- a\n', /must be a mapping/],
    ['nothing', '', /must be a mapping/],
    ['no groups', 'name: a\n', /groups: is missing/],
  ])('a cluster file that is %s', async (what, text, words) => {
    const error = await fails(['create', '-f', clusterFile(`${what}.yaml`, text)], 2);
    expect(error).toMatchObject({ code: 'invalid_file', message: expect.stringMatching(words) });
  });

  it('a request that the service finds malformed', async () => {
    const error = await fails(['create', '--image', 'Not_A_Name'], 2);
    expect(error).toMatchObject({ code: 'invalid_request', details: [{ path: 'groups[0].image' }] });
  });

  it('settings that are missing say where they are given', async () => {
    // Where this machine has no service of its own either, whose socket would be taken.
    const alone = 'if [ -d "$0" ]; then mount -t tmpfs none "$0"; fi; exec "$@"';
    const noUrl = await systemProcesses.run(
      [
        'unshare',
        '--mount',
        '--',
        'sh',
        '-c',
        alone,
        '/run/workspace-pilot',
        ...site.command('--json', 'ls'),
      ],
      { deadlineMs: 60_000, env: { ...site.clientEnv, WSP_URL: undefined } },
    );
    expect(noUrl.code).toBe(2);
    expect((JSON.parse(noUrl.stdout) as ErrorBody).error).toMatchObject({
      code: 'usage',
      hint: expect.stringContaining('WSP_URL'),
    });
    const noToken = { WSP_TOKEN: undefined };
    // No token is a login, which this service does not take.
    expect(await fails(['ls'], 4, noToken)).toMatchObject({
      code: 'unauthorized',
      hint: expect.stringContaining('WSP_TOKEN_FILE'),
    });
  });

  it.each([
    ['kill-all', '--frob'],
    ['helper'],
    ['pilot'],
    ['helper', '--state-dir', 'relative', '--node', 'n', '--slot', 's'],
  ])('on a node: wsp %s %s', async (...args) => {
    const { code, stdout, stderr } = await wsp(args.filter(Boolean));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^wsp/);
  });
});

describe('what is not there: exit code 3', () => {
  it.each([
    ['show', 'nobody'],
    ['events', 'nobody'],
    ['events', 'nobody', '-f'],
    ['timeline', 'nobody'],
    ['destroy', 'nobody'],
    ['destroy', 'nobody', '--wait'],
    ['ssh', 'nobody'],
    ['ssh', 'nobody/vm-0', '--', 'true'],
    ['console', 'nobody/vm-0'],
    ['proxy', 'nobody/vm-0', '22'],
  ])('wsp %s %s %s', async (...args) => {
    const error = await fails(args.filter(Boolean), 3);
    expect(error).toMatchObject({ code: 'not_found', message: expect.stringContaining('nobody') });
  });

  it('a VM that its workspace does not have; the hint names those that it has', async () => {
    await site.json(['create', '--image', 'mini', '--name', 'one', '--wait']);
    for (const command of ['ssh', 'console'])
      expect(await fails([command, 'one/vm-7'], 3)).toMatchObject({
        code: 'not_found',
        hint: expect.stringContaining('vm-0'),
      });
    await site.json(['destroy', 'one', '--wait']);
  });

  it('files', async () => {
    expect(await fails(['create', '-f', '/no/cluster.yaml'], 3)).toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('/no/cluster.yaml'),
    });
    expect(await fails(['service', '--config', '/no/site.yaml'], 3)).toMatchObject({ code: 'not_found' });
  });
});

describe('what is refused: exit code 4', () => {
  it.each(commands)('a wrong token: wsp %s %s %s', async (...args) => {
    const error = await failsAsJson(args.filter(Boolean), 4, { WSP_TOKEN: 'not-the-right-token' });
    expect(error.code).toBe('unauthorized');
    expect(JSON.stringify(error)).not.toContain('not-the-right-token');
  });

  it.each([
    ['image_unknown', ['--image', 'none'], /none/],
    ['exceeds_site', ['--image', 'mini', '--count', '4'], /4/],
    ['exceeds_site', ['--image', 'mini', '--memory', '1T'], /memory|MiB/i],
    ['exceeds_site', ['--image', 'mini', '--cpus', '500'], /500|processors/],
    ['network_unknown', ['--image', 'mini', '--network', 'none'], /none/],
  ])('%s: wsp create %j', async (code, args, words) => {
    expect(await fails(['create', ...args], 4)).toMatchObject({
      code,
      message: expect.stringMatching(words),
    });
  });

  it('a name that is in use', async () => {
    await site.json(['create', '--image', 'mini', '--name', 'mine']);
    expect(await fails(['create', '--image', 'mini', '--name', 'mine'], 4)).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('mine'),
    });
    await site.json(['destroy', 'mine', '--wait']);
  });
});

describe('no service: exit code 5', () => {
  // Port 1 (tcpmux) is nobody's.
  it.each(commands)('wsp %s %s %s', async (...args) => {
    const error = await failsAsJson(args.filter(Boolean), 5, { WSP_URL: 'http://127.0.0.1:1' });
    expect(error).toMatchObject({
      code: 'service_unreachable',
      message: expect.stringContaining('http://127.0.0.1:1'),
      hint: expect.stringContaining('WSP_URL'),
    });
  });

  it('something else that answers', async () => {
    const server = createServer((_request, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<p>hello'),
    );
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const error = await fails(['ls'], 5, { WSP_URL: `http://127.0.0.1:${port}` });
      expect(error.code).toBe('service_unreachable');
    } finally {
      await new Promise(resolve => server.close(resolve));
    }
  });
});

describe('wsp service with a bad site file', () => {
  it('tells every mistake with its path: exit code 2', async () => {
    const file = clusterFile('bad-site.yaml', 'service: {listen: 8080}\nlrm: {kind: lsf}\n');
    const error = await fails(['service', '--config', file], 2);
    expect(error.code).toBe('invalid_file');
    expect(error.details?.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        'service.listen',
        'service.stateDir',
        'lrm.kind',
        'images',
        'networks',
        'node',
      ]),
    );
  });
});

describe('wsp doctor', () => {
  const report = (result: CommandResult): DoctorReport => JSON.parse(result.stdout) as DoctorReport;
  const statusOf = (result: CommandResult): Record<string, string> =>
    Object.fromEntries(report(result).checks.map(({ name, status }) => [name, status]));

  it('helper-policy prints what the site needs of the helper, and install-helper takes it', async () => {
    const { code, stdout, stderr } = await wsp(['helper-policy', '--config', site.siteFile]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const file = join(site.directory, 'policy.json');
    writeFileSync(file, stdout, { mode: 0o644 });
    const argv = [`${root}/dist/node-tools.cjs`, 'helper', '--check-policy', file];
    const checked = await systemProcesses.run([process.execPath, ...argv], { deadlineMs: 20_000 });
    expect(checked.stdout).toMatch(
      /^network public: .*, bridged to eth1\nnetwork private: .*, in VXLANs 4000 to /,
    );
  });

  it('finds this site in order, with its service running: exit code 0', async () => {
    const result = await wsp(['doctor', '--config', site.siteFile, '--json']);
    expect(result, result.stdout).toMatchObject({ code: 0, stderr: '' });
    expect(report(result).ok).toBe(true);
    expect(report(result).checks.find(({ name }) => name === 'listen')?.message).toMatch(
      /the service answers .*version/,
    );
    expect(statusOf(result)).toMatchObject({
      'site-file': 'ok',
      'tokens-file': 'ok',
      'image mini': 'ok',
      lrm: 'ok',
      vmm: 'ok',
    });
  });

  it('tells people the same, a line for each check', async () => {
    const { code, stdout } = await wsp(['doctor', '--config', site.siteFile]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ok +nodejs +Node\.js v\d+/);
    expect(stdout).toMatch(/\d+ ok, \d+ warnings, 0 failures\n$/);
  });

  it('looks at a client: service and token', async () => {
    expect(statusOf(await wsp(['doctor', '--json']))).toMatchObject({
      client: 'ok',
      service: 'ok',
      token: 'ok',
    });
    const wrong = await wsp(['doctor', '--json'], { WSP_TOKEN: 'not-the-right-token' });
    expect(wrong.code).toBe(1);
    expect(statusOf(wrong)).toMatchObject({ service: 'ok', token: 'fail' });
  });

  it('fails with exit code 1, and still reports', async () => {
    const file = clusterFile('bad-doctor.yaml', 'lrm: {kind: pbs}\n');
    const site = await wsp(['doctor', '--config', file, '--json']);
    expect(site).toMatchObject({ code: 1, stderr: '' });
    expect(report(site).ok).toBe(false);
    const helper = await wsp(['doctor', '--node', '--json', '--', 'false']);
    expect(helper.code).toBe(1);
    expect(statusOf(helper)).toMatchObject({ helper: 'fail' });
  });

  it('runs on a node that has the one file only, from standard input', async () => {
    const { stdout } = await systemProcesses.run(
      [
        'sh',
        '-c',
        'exec "$0" - doctor --node --json < "$1"',
        process.execPath,
        `${root}/dist/node-tools.cjs`,
      ],
      { deadlineMs: 60_000 },
    );
    const names = (JSON.parse(stdout) as DoctorReport).checks.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['nodejs', 'qemu', 'nft', 'tun', 'helper', 'work-dir']));
  });

  it('usage: exit code 2', async () => {
    expect(await fails(['doctor', '--frob'], 2)).toMatchObject({ code: 'usage' });
  });
});
