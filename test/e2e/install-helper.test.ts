import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import type { HelperPolicy } from '../../src/protocol/helper-policy.ts';
import { statIfThere } from '../../src/platform/stat.ts';
import { nicPlan, nicPolicy } from '../support/node.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';
import { makePlace, removePlace } from '../support/temp-dirs.ts';
import { root } from '../support/site.ts';

/** scripts/install-helper, and the way that it opens: a job's user, sudo, the helper. In namespaces of its own, so that this machine's sudo is not touched. */

const user = 'nobody';
let place: string;
/** Where this machine's own directories are not touched. */
let prefix: string;
let sudoers: string;
let policyFile: string;
/** What the interfaces of `nicPlan` need. */
const policy: HelperPolicy = {
  networks: [nicPolicy],
  peers: ['10.77.0.0/16'],
};
beforeAll(() => {
  place = makePlace('wsp-site-');
  prefix = join(place, 'local');
  sudoers = join(place, 'sudoers.d');
  mkdirSync(sudoers);
  policyFile = join(place, 'policy.json');
  writeFileSync(policyFile, JSON.stringify(policy));
  // The user has to get to the program.
  chmodSync(place, 0o755);
});
afterAll(() => removePlace(place));

const installer = `${root}/scripts/install-helper`;

/** Runs a program in a mount and a network namespace of its own, with /etc/sudoers.d from the test's place. */
function run(...argv: readonly string[]): Promise<CommandResult> {
  const inside = 'mount --bind "$1" /etc/sudoers.d && ip link set lo up && shift && exec "$@"';
  return systemProcesses.run(
    ['unshare', '--mount', '--net', '--', 'sh', '-c', inside, 'sh', sudoers, ...argv],
    { deadlineMs: 60_000 },
  );
}

const install = (...more: string[]): Promise<CommandResult> =>
  run(
    installer,
    '--user',
    user,
    '--prefix',
    prefix,
    '--etc-dir',
    join(place, 'etc'),
    '--state-dir',
    join(place, 'state'),
    '--disk-dir',
    join(place, 'disk'),
    ...more,
  );

/**
 * What an installation on this machine itself would be: each file's inode and time, or that there
 * is none.
 */
function ownFiles(): readonly (readonly [string, number | undefined, number | undefined])[] {
  const paths = [
    '/usr/local/sbin/wsp-helper',
    '/usr/local/sbin/wsp-kill-all',
    '/usr/local/lib/workspace-pilot',
  ];
  return paths.map(path => {
    const there = statIfThere(path);
    return [path, there?.ino, there?.mtimeMs];
  });
}

/** As the job's user would: `sudo -n wsp-helper …`, with these lines on its input. */
function asUser(input: string, ...args: readonly string[]): Promise<CommandResult> {
  return asUserWith(['sudo', '-n'], input, ...args);
}

/** The same, with another way to sudo. */
function asUserWith(
  sudo: readonly string[],
  input: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  const helper = join(prefix, 'sbin/wsp-helper');
  const script = 'printf "%s" "$1" > /dev/null; input=$1; shift; printf "%s\\n" "$input" | "$@"';
  return run(
    'setpriv',
    '--reuid=nobody',
    '--regid=nogroup',
    '--clear-groups',
    ...['sh', '-c', script, 'sh', input, ...sudo, helper, ...args],
  );
}

describe('scripts/install-helper', () => {
  it('only says what it would do when asked to', async () => {
    const { code, stdout } = await install('--policy', policyFile, '--dry-run');
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(5);
    expect(stdout).toMatch(/^would write /);
    expect(existsSync(prefix)).toBe(false);
  });

  it('installs, and again', async () => {
    expect(await install()).toMatchObject({ code: 1, stderr: expect.stringContaining('wsp helper-policy') });
    for (const [attempt, more] of [
      ['first', ['--policy', policyFile]],
      ['again', []],
    ] as const) {
      const { code, stderr, stdout } = await install(...more);
      expect(stdout).toContain(
        'nobody may ask for:\n  network private: VMs with the addresses 10.91.0.1 to 10.91.0.200, on this node alone\n',
      );
      expect({ attempt, code, stderr }).toEqual({ attempt, code: 0, stderr: '' });
    }
    const modes = ['lib/workspace-pilot/node-tools.cjs', 'sbin/wsp-helper', 'sbin/wsp-kill-all'].map(
      path => statSync(join(prefix, path)).mode & 0o777,
    );
    expect(modes).toEqual([0o644, 0o755, 0o755]);
    expect(statSync(join(sudoers, 'workspace-pilot')).mode & 0o777).toBe(0o440);
    expect(readdirSync(sudoers)).toEqual(['workspace-pilot']);
  });

  it("lets the job's user start the helper, which greets, serves and tidies up", async () => {
    const { code, stdout, stderr } = await asUser(
      '{"id":1,"op":"detach-nic","tap":"wtnone"}',
      ...['--node', 'n01', '--slot', 'slot-aaaaaaaaaa'],
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [greeting = '', ...answers] = stdout.split('\n');
    expect(JSON.parse(greeting)).toMatchObject({ id: 0, ok: true, protocol: 2 });
    expect(answers).toEqual(['{"id":1,"ok":true}', '']);
    expect(existsSync(join(place, 'state', 'n01'))).toBe(false);
  });

  it("security 10 runs no program of its caller's, where sudo keeps their PATH too", async () => {
    const keeps = join(sudoers, 'zz-site');
    writeFileSync(keeps, 'Defaults !secure_path\nDefaults env_keep += "PATH NODE_OPTIONS LD_PRELOAD"\n', {
      mode: 0o440,
    });
    const theirs = join(place, 'theirs');
    mkdirSync(theirs);
    chmodSync(theirs, 0o777);
    const ran = join(theirs, 'ran');
    for (const name of ['flock', 'ip', 'nft', 'setsid', 'env', 'dnsmasq', 'setpriv', 'rm', 'node', 'bridge'])
      writeFileSync(join(theirs, name), `#!/bin/sh\necho ${name} >> ${ran}\n`, { mode: 0o755 });
    const { stdout } = await asUserWith(
      ['env', `PATH=${theirs}:/usr/bin:/bin`, `NODE_OPTIONS=--require=${theirs}/env`, '/usr/bin/sudo', '-n'],
      JSON.stringify({ id: 1, op: 'attach-nic', nic: nicPlan(51), hostname: 'one' }),
      ...['--node', 'n01', '--slot', 'slot-aaaaaaaaaa'],
    );
    rmSync(keeps);
    expect(existsSync(ran) && readFileSync(ran, 'utf8')).toBe(false);
    const [greeting = '', answer] = stdout.split('\n');
    expect(JSON.parse(greeting)).toMatchObject({ id: 0, ok: true });
    expect(answer).toMatch(/^\{"id":1,/);
  });

  it('security 10 does not start where sudo has not said who calls', async () => {
    const { code, stderr } = await run(
      join(prefix, 'sbin/wsp-helper'),
      '--node',
      'n01',
      '--slot',
      'slot-aaaaaaaaaa',
    );
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'wsp-helper: start it with sudo, which tells it who asks\n',
    });
  });

  it.each([
    ['a network', { network: 'elsewhere' }],
    ['an address', { address: '10.91.0.250' }],
    ["a site server's address", { address: '10.1.2.3' }],
    ['a gateway', { gateway: '10.91.0.2' }],
    ['a name server', { dns: ['10.1.2.3'] }],
    ['a service address', { bridge: { ...nicPlan(51).bridge, serviceAddress: '169.254.169.254' } }],
    ['an uplink', { bridge: { ...nicPlan(51).bridge, link: { kind: 'uplink', interface: 'lo' } } }],
    [
      'a VXLAN',
      { bridge: { ...nicPlan(51).bridge, link: { kind: 'vxlan', vni: 1, port: 4_789, peers: [] } } },
    ],
  ] as const)("security 2, 3 does nothing that root's policy does not allow: %s", async (_, more) => {
    const { stdout } = await asUser(
      JSON.stringify({
        id: 1,
        op: 'attach-nic',
        nic: nicPlan(51, more as Partial<NicPlan>),
        hostname: 'one',
      }),
      ...['--node', 'n01', '--slot', 'slot-aaaaaaaaaa'],
    );
    expect(stdout).toContain('"code":"not_allowed"');
  });

  it.each([
    ['is not there', undefined, 0o644, /there is no policy/],
    ['has a mistake', '{"networks":[{}],"peers":[]}', 0o644, /networks\[0\]\.name must be a text/],
    ['is no JSON', '{', 0o644, /helper\.json: /],
    ['is not of root alone', JSON.stringify(policy), 0o666, /can be changed by others than root/],
  ])('security 3 starts no helper while the policy %s', async (_, content, mode, says) => {
    const file = join(place, 'etc/helper.json');
    if (content === undefined) rmSync(file);
    else writeFileSync(file, content);
    if (content !== undefined) chmodSync(file, mode);
    const { code, stderr } = await asUser('', '--node', 'n01', '--slot', 'slot-aaaaaaaaaa');
    writeFileSync(file, JSON.stringify(policy));
    chmodSync(file, 0o644);
    expect(code).toBe(2);
    expect(stderr).toMatch(says);
  });

  it("takes the caller's identity from sudo: a directory of root's is not adopted", async () => {
    const { stdout } = await asUser(
      '{"id":1,"op":"adopt-directory","path":"/usr/lib/tmpfiles.d"}',
      ...['--node', 'n01', '--slot', 'slot-aaaaaaaaaa'],
    );
    expect(stdout).toContain('"code":"not_yours"');
  });

  it.each([
    ['another state directory', ['--state-dir', '/etc', '--node', 'n01', '--slot', 'slot-aaaaaaaaaa']],
    ['another policy', ['--policy', '/etc/passwd', '--node', 'n01', '--slot', 'slot-aaaaaaaaaa']],
    ['another directory on disk', ['--disk-dir', '/etc', '--node', 'n01', '--slot', 'slot-aaaaaaaaaa']],
    ['no slot', ['--node', 'n01']],
  ])('gives the user no way to %s', async (_, args) => {
    expect((await asUser('', ...args)).code).toBe(2);
  });

  it('gives the user nothing else', async () => {
    const others = await run(
      'setpriv',
      '--reuid=nobody',
      '--regid=nogroup',
      '--clear-groups',
      ...['sudo', '-n', join(prefix, 'sbin/wsp-kill-all')],
    );
    expect(others.code).not.toBe(0);
    expect(others.stderr).toMatch(/password is required|not allowed/);
  });

  it.each([
    ['an unknown flag', ['--force'], /--force is not known/],
    ['a flag without its value', ['--user'], /--user needs a value/],
    ['a user that is a rule', ['--user', 'a ALL=(ALL) ALL #'], /is not a user's name/],
    ['a prefix with a space', ['--prefix', '/opt/a b'], /is not an absolute path/],
    ['a relative state directory', ['--state-dir', 'run'], /is not an absolute path/],
  ])('refuses %s with exit code 2', async (_, args, says) => {
    const { code, stderr } = await run(installer, '--dry-run', ...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(says);
  });

  it('refuses a program that is not there, and a Node.js that others could replace', async () => {
    const noProgram = await install('--program', join(place, 'nothing.cjs'));
    expect([noProgram.code, noProgram.stderr]).toEqual([1, expect.stringContaining('npm run build')]);
    const node = join(place, 'node');
    writeFileSync(node, '#!/bin/sh\n');
    chmodSync(node, 0o777);
    const open = await install('--node', node);
    expect([open.code, open.stderr]).toEqual([
      1,
      expect.stringContaining('can be changed by others than root'),
    ]);
  });

  it('does not leave while a lease has something on the node; then it leaves nothing', async () => {
    const slot = join(place, 'state', 'n01', 'slots', 'slot-aaaaaaaaaa.0');
    mkdirSync(slot, { recursive: true });
    mkdirSync(join(place, 'state', 'n01', 'bridges'));
    writeFileSync(join(slot, 'undo.jsonl'), '');
    const elsewhere = await install('--state-dir', join(place, 'elsewhere'));
    expect([elsewhere.code, elsewhere.stderr]).toEqual([1, expect.stringContaining('is to take its place')]);
    const refused = await install('--uninstall');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('wsp-kill-all')]);
    const killed = await run(join(prefix, 'sbin/wsp-kill-all'), '--node', 'n01');
    expect([killed.code, killed.stdout]).toEqual([0, 'slot-aaaaaaaaaa: undone\nn01 is a job node again\n']);
    expect((await install('--uninstall')).code).toBe(0);
    expect(readdirSync(sudoers)).toEqual([]);
    expect(new Set(readdirSync(prefix, { recursive: true, encoding: 'utf8' }))).toEqual(
      new Set(['lib', 'sbin']),
    );
  });

  it("installs below a node's image", async () => {
    const own = ownFiles();
    const image = join(place, 'image');
    mkdirSync(join(image, 'usr/bin'), { recursive: true });
    writeFileSync(join(image, 'usr/bin/node'), '#!/bin/sh\n', { mode: 0o755 });
    const { code, stderr } = await run(
      installer,
      ...['--root', image, '--policy', policyFile, '--node', '/usr/bin/node'],
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(readFileSync(join(image, 'usr/local/sbin/wsp-helper'), 'utf8')).toContain(
      '/usr/bin/node /usr/local/lib/workspace-pilot/node-tools.cjs helper --state-dir /run/workspace-pilot-helper --disk-dir /var/lib/workspace-pilot-helper --policy /etc/workspace-pilot/helper.json "$@"',
    );
    expect(existsSync(join(image, 'etc/sudoers.d/workspace-pilot'))).toBe(true);
    // And nothing of this machine's own, which may have the product.
    expect(ownFiles()).toEqual(own);
  });
});
