import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type TestApi, testApi } from '../../test/support/api.ts';
import { buildPrograms, type Programs } from '../../test/support/cli.ts';
import type { WorkspaceRequest } from '../protocol/cluster.ts';

/** `wsp` as a process of its own before the real API, whose state and answers are the test's. */

// Every step is a process or several, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let api: TestApi;
let programs: Programs;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  api = await testApi();
  programs = await buildPrograms();
  env = {
    WSP_URL: await api.listen(),
    WSP_TOKEN: 'token-of-ann',
    HOME: programs.directory,
    XDG_CONFIG_DIRS: '/none',
  };
});
afterAll(async () => {
  await api?.app.close();
  programs?.remove();
});

describe('report 6: user data', () => {
  const path = (name: string): string => join(programs.directory, name);

  it.each([
    ['gzip', gzipSync('#cloud-config\npackages: [htop]\n')],
    ['latin1', Buffer.from('#!/bin/sh\n# für Größe\n', 'latin1')],
    ['utf16', Buffer.from('\ufeff#cloud-config\n', 'utf16le')],
    ['text', Buffer.from('#!/bin/sh\necho Größe\n')],
  ])('report 6: %s is sent byte for byte, by every way', async (name, bytes) => {
    writeFileSync(path(name), bytes);
    writeFileSync(path('c.yaml'), `groups: [{ name: a, image: mini, userDataFile: ${name} }]`);
    const before = api.engine.created.length;
    for (const way of [
      `--image mini --user-data ${name}`,
      `--image mini --user-data <(cat ${name})`,
      '-f c.yaml',
    ]) {
      const { code, stderr } = await programs.shell(`wsp create ${way}`, env);
      expect(code, stderr).toBe(0);
    }
    for (const { request } of api.engine.created.slice(before)) {
      const { userData } = (request as WorkspaceRequest).groups[0] ?? {};
      const sent =
        typeof userData === 'object' ? Buffer.from(userData.base64, 'base64') : Buffer.from(userData ?? '');
      expect(sent.equals(bytes)).toBe(true);
    }
    expect(api.engine.created.length - before).toBe(3);
  });

  it('report 6: more than fits is refused, with what fits', async () => {
    const { code, stderr } = await programs.shell(
      'head -c 65537 /dev/zero > much; wsp create --image mini --user-data much',
      env,
    );
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(
        /^wsp: the file of --user-data is too long: it has more than 65536 bytes\n/,
      ),
    });
  });
});

describe('report 9: keys', () => {
  it('report 9: a private key never leaves', async () => {
    const before = api.engine.created.length;
    const { code, stderr } = await programs.shell(
      'ssh-keygen -q -t ed25519 -N "" -f mine; wsp create --image mini --ssh-key mine',
      env,
    );
    expect(code).toBe(2);
    expect(stderr).toContain('wsp: mine holds a private key, which is for you alone; nothing was sent');
    expect(api.engine.created).toHaveLength(before);
  });

  it('report 9: a file may have several, and comments', async () => {
    const script =
      'ssh-keygen -q -t ed25519 -N "" -f k; (echo "# two"; cat k.pub; echo; cat k.pub) > keys; wsp create --image mini --ssh-key keys';
    const { code, stderr } = await programs.shell(script, env);
    expect(code, stderr).toBe(0);
    const created = api.engine.created.at(-1)?.request as WorkspaceRequest | undefined;
    expect(created?.sshKeys?.filter(key => key.startsWith('ssh-ed25519 '))).toHaveLength(3);
  });
});

describe('report 10: times', () => {
  it.each([
    'create --image mini --start-by 1/2/2027',
    'create --image mini --start-by -5',
    'create --image mini --start-by 2027-02-30T00:00:00Z',
    'create --image mini --start-by 2027-01-01T00:00:00',
    'usage --since -5',
    'usage --since 2026',
    'usage --until 1/2/2027',
  ])('report 10: wsp %s is refused, with what is right', async command => {
    const { code, stderr } = await programs.shell(`wsp ${command}`, env);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/^wsp: --[a-z-]+ \S+ is not a time\n {2}say .*2026-11-23T14:00:00Z/),
    });
  });
});

describe('report F: waiting in vain', () => {
  it.each([
    ['wsp wait', 'queued', 'Waiting in the queue as job 42. The batch scheduler says: all nodes are busy.'],
    ['wsp launch --wait', 'queued', 'Waiting in the queue as job 42.'],
    ['wsp destroy --wait', 'ending', 'Ending (destroyed): guests are shutting down.'],
    ['wsp pause --wait', 'running', 'Running until 1970-01-01T01:00:02.000Z.'],
  ] as const)('report F: %s says for how long in people’s units, and why', async (command, state, why) => {
    const cause = state === 'ending' ? 'destroyed' : null;
    const { vmIds } = api.engine.addWorkspace({ id: 'ws-ffffffffff', name: 'slow', state, cause });
    for (const id of vmIds) api.engine.changeVm(id, { state: state === 'queued' ? 'pending' : 'running' });
    api.engine.changeSlot('slot-ffffffffff', { lrmState: 'waiting', lrmReason: 'all nodes are busy' });
    const { code, stderr } = await programs.shell(`${command} slow --timeout 1s`, env);
    expect(code, stderr).toBe(1);
    expect(stderr).toContain(`after 1s workspace slow is still ${state}. ${why}`);
  });
});

describe('wsp wait', () => {
  it.each([
    ['has failed', { state: 'failed', reason: { code: 'vmm_exited', message: 'the VMM died' } }],
    [
      'runs, and whose set-up has failed',
      { state: 'running', context: 'error', reason: { code: 'context', message: 'the VMM died' } },
    ],
  ] as const)('fails, and says why, for a VM that %s', async (_what, change) => {
    const { vmIds } = api.engine.addWorkspace({ id: 'ws-eeeeeeeeee', name: 'broken' });
    for (const id of vmIds) api.engine.changeVm(id, change);
    const answers = await programs.shell(
      'wsp wait broken; echo $?; wsp wait broken --for ended --timeout 9s; echo $?',
      env,
    );
    expect(answers.stdout).toBe('1\n1\n');
    expect(answers.stderr.match(/VM \S+ is (failed|running): the VMM died/g)).toHaveLength(2);
  });

  it('fails also in wsp start, for a guest that is up and not set up', async () => {
    const { vmIds } = api.engine.addWorkspace({ id: 'ws-hhhhhhhhhh', name: 'half' });
    const reason = { code: 'context', message: 'no DHCP' };
    for (const id of vmIds) api.engine.changeVm(id, { state: 'running', context: 'error', reason });
    const { code, stderr } = await programs.shell('wsp start half --wait --timeout 9s', env);
    expect([code, stderr]).toEqual([1, expect.stringContaining('VM a-0 is running: no DHCP')]);
    // One that only goes on has nothing to set up.
    expect((await programs.shell('wsp resume half --wait --timeout 9s', env)).code).toBe(0);
  });

  it('succeeds when all VMs are as wanted, and not before they are set up', async () => {
    const { vmIds } = api.engine.addWorkspace({ id: 'ws-gggggggggg', name: 'good' });
    const change = (context: 'pending' | 'ok'): void => {
      for (const id of vmIds) api.engine.changeVm(id, { state: 'running', context, reason: null });
    };
    change('pending');
    expect((await programs.shell('wsp wait good --timeout 1s', env)).code).toBe(1);
    change('ok');
    expect((await programs.shell('wsp wait good', env)).code).toBe(0);
  });
});

describe('wsp ssh', () => {
  it.each([
    ['ends with a code', 'exit 7', 7],
    ['is killed by a signal', 'kill -KILL $$', 255],
  ])('ends as its ssh does, which %s', async (_what, deed, expected) => {
    api.engine.addWorkspace({ id: 'ws-mmmmmmmmmm', name: 'in' });
    const script = `printf '#!/bin/sh\\n%s\\n' '${deed}' > bin/ssh && chmod +x bin/ssh && wsp ssh in -- true; echo $?; rm bin/ssh`;
    const { stdout, stderr } = await programs.shell(script, env);
    expect(stdout, stderr).toBe(`${expected}\n`);
  });
});

describe('report H: lists', () => {
  it('report H: wsp ls reads all pages, and filters', async () => {
    for (let index = 0; index < 1_050; index++) {
      const digits = String(index).padStart(7, '0');
      const id = `ws-lll${digits.replaceAll(/\d/g, digit => 'abcdefghij'[Number(digit)] ?? '')}`;
      api.engine.addWorkspace({ id, owner: 'olga', state: index === 7 ? 'queued' : 'running' });
    }
    const many = api.engine.state.workspaces.size;
    const script = `
      wsp ls --all | tail -n +2 | wc -l
      wsp ls --owner olga --state queued | wc -l
      wsp ls --state happy; echo $?`;
    const { stdout, stderr } = await programs.shell(script, { ...env, WSP_TOKEN: 'token-of-admin' });
    expect(stdout.split('\n').slice(1)).toEqual(['2', '2', '']);
    expect(Number(stdout.split('\n')[0])).toBe(many);
    expect(stderr).toContain('say one of pending, requested, queued');
  });
});

describe('report 7: homes and paths', () => {
  /** A directory to be in, which must stay empty, and where all that lasts may go. */
  const prepare = 'rm -rf cwd tmp "a home" && mkdir cwd tmp "a home" && cd cwd';

  it.each([
    ['home is missing', 'HOME=/dev/null/none'],
    ['home cannot be written', 'HOME=/proc'],
    ['XDG variables are empty', 'HOME="$DIR/a home" XDG_CONFIG_HOME= XDG_CACHE_HOME= XDG_RUNTIME_DIR='],
    [
      'XDG variables are relative',
      'HOME="$DIR/a home" XDG_CONFIG_HOME=conf XDG_CACHE_HOME=./cache XDG_RUNTIME_DIR=run',
    ],
    ['home is relative', 'HOME=home XDG_CONFIG_HOME="$DIR/a home"'],
    ['the home’s path has a space', 'HOME="$DIR/a home"'],
  ])(
    'report 7: all works from WSP_URL and WSP_TOKEN, and nothing is written where one is, when %s',
    async (_what, setting) => {
      const name = `h${api.engine.created.length}`;
      const script = `${prepare} && export ${setting} && wsp create --image mini --name ${name} && wsp ls > /dev/null &&
      wsp create --image mini > /dev/null && find . -type f && find "$DIR/tmp" "$DIR/a home" -name id_ed25519 | wc -l`;
      const { code, stdout, stderr } = await programs.shell(script, {
        WSP_URL: env['WSP_URL'],
        WSP_TOKEN: env['WSP_TOKEN'],
        DIR: programs.directory,
        TMPDIR: join(programs.directory, 'tmp'),
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      // The same key both times.
      expect(stdout.trim().split('\n').at(-1)).toBe('1');
      expect(stdout.trim().split('\n')).toHaveLength(2);
      const [one, two] = api.engine.created
        .slice(-2)
        .map(({ request }) => (request as WorkspaceRequest).sshKeys);
      expect(one).toEqual(two);
    },
  );

  it.each(['a home', '50% "of it"', String.raw`back\slash`, "it's"])(
    'report 7: wsp ssh gives ssh every path as it is: %s',
    async home => {
      api.engine.addWorkspace({ id: 'ws-mmmmmmmmmm', name: 'in' });
      // The real ssh reads what it was given, and says how it understood it.
      const script = `mkdir -p "$HOME" && printf '#!/bin/sh\\nexec /usr/bin/ssh -G "$@"\\n' > bin/ssh && chmod +x bin/ssh && wsp ssh in -- true`;
      const { code, stdout, stderr } = await programs.shell(script, {
        ...env,
        HOME: join(programs.directory, home),
      });
      expect(code, stderr).toBe(0);
      const said = new Map(
        stdout.split('\n').map(line => [line.split(' ')[0], line.slice(line.indexOf(' ') + 1)]),
      );
      const literal = (text: string | undefined): string | undefined => text?.replaceAll('%%', '%');
      expect(literal(said.get('identityfile'))).toBe(
        join(programs.directory, home, '.config/wsp/id_ed25519'),
      );
      expect(literal(said.get('userknownhostsfile'))).toBe(
        join(programs.directory, home, '.cache/wsp/known_hosts.ws-mmmmmmmmmm'),
      );
    },
  );
});
