import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../client/client.ts';
import type { WorkspaceView } from '../protocol/api.ts';
import type { CommandContext } from './program.ts';
import { scp, ssh } from './ssh.ts';
import { sshConfigFile, sshHosts } from './ssh-config.ts';

/** What is handed to OpenSSH's programs. What they make of it: test/e2e/guest-flags.test.ts. */

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'wsp-ssh-'));
});
afterEach(() => rmSync(home, { recursive: true }));

const workspace = (id: string, name = 'osg', vm = 'ce-0') =>
  ({ id, name, vms: [{ name: vm }] }) as unknown as WorkspaceView;
const numbered = (index: number): WorkspaceView =>
  workspace(`ws-${'abcdefghij'[Math.floor(index / 10)]}${'abcdefghij'[index % 10]}aaaaaaaa`);

/** A command before a service that says this of its workspaces. */
function context(told: WorkspaceView = numbered(0), lines: readonly string[] = []): CommandContext {
  const client = {
    url: 'http://head:8080',
    getWorkspace: async () => told,
    knownHosts: async () => lines,
  } as unknown as Client;
  const env = { HOME: join(home, 'user'), PATH: `${home}/bin:${process.env['PATH']}` };
  return { env, json: false, client: () => client, answer: () => undefined, list: () => undefined };
}

describe('a configuration for ssh', () => {
  it('is of a file of its own for each login and set of workspaces', async () => {
    const as = (login: string, ...of: readonly WorkspaceView[]) => sshConfigFile(context(), of, login);
    const [root, ann] = [await as('root', numbered(0)), await as('ann', numbered(0))];
    expect(readFileSync(root, 'utf8')).toContain('User root');
    expect(readFileSync(ann, 'utf8')).toContain('User ann');
    expect(await as('ann', numbered(0))).toBe(ann);
    expect(await as('ann', numbered(0), numbered(1))).not.toBe(ann);
  });

  it('is of many workspaces, at the first use of the key, too', async () => {
    const many = Array.from({ length: 60 }, (_, index) => numbered(index));
    const text = readFileSync(await sshConfigFile(context(), many, 'root'), 'utf8');
    expect(text.match(/^Host /gm)).toHaveLength(60);
  });

  it.each([
    ['/../../../.ssh/authorized_keys', 'osg', 'ce-0'],
    ['ws-aaaaaaaaaa\n', 'osg', 'ce-0'],
    ['ws-aaaaaaaaaa', 'osg\n  ProxyCommand touch /tmp/owned', 'ce-0'],
    ['ws-aaaaaaaaaa', '*', 'ce-0'],
    ['ws-aaaaaaaaaa', 'osg', '-oProxyCommand=touch'],
    ['ws-aaaaaaaaaa', 'osg', 'ce-0;touch /tmp/owned'],
  ])(
    'security 27: is none of what a rogue calls %j, %j, %j, and nothing is written or run',
    async (...told) => {
      mkdirSync(join(home, 'user'));
      const rogue = workspace(...told);
      const refused = {
        code: 'service_unreachable',
        message: expect.stringMatching(/calls a workspace or a VM "/),
      };
      const before = context(rogue, ['ssh-ed25519 AAAA rogue']);
      await expect(sshHosts(before, rogue, 'root')).rejects.toMatchObject(refused);
      await expect(ssh(before, 'osg', [], 'root')).rejects.toMatchObject(refused);
      await expect(scp(before, ['osg:x', '.'], { login: 'root' })).rejects.toMatchObject(refused);
      expect(readdirSync(join(home, 'user'))).toEqual([]);
    },
  );

  it.each(['', '-oProxyCommand=x', 'a b', 'a\nb', 'a%h', '"a"'])('has no login %j', async login => {
    await expect(sshHosts(context(), numbered(0), login)).rejects.toMatchObject({ code: 'usage' });
    expect(existsSync(join(home, 'user'))).toBe(false);
  });
});

describe('wsp scp', () => {
  it.each([
    ['osg:a', 'root@osg:b'],
    ['osg/ce-0:a', 'OSG:b'],
    ['[::1]:a', 'osg:b'],
  ])('hands no file to another host: %s, %s', async (...places) => {
    await expect(scp(context(), places, { login: 'root' })).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('is neither a place in a VM'),
    });
  });

  it.each([[['a', 'b']], [['./osg:a', '/x/osg:b']]])('of %j is none', async places => {
    await expect(scp(context(), places, { login: 'root' })).rejects.toMatchObject({
      code: 'usage',
      message: 'none of these is in a VM',
    });
  });

  it('gives scp each place as it is', async () => {
    mkdirSync(join(home, 'bin'));
    const told = join(home, 'told');
    writeFileSync(join(home, 'bin/scp'), `#!/bin/sh\nprintf '%s\\0' "$@" > ${told}\nexit 3\n`);
    chmodSync(join(home, 'bin/scp'), 0o755);
    const places = ['-x', './a:b', "50% it's", 'osg/ce-0:~/a b%h', 'osg:'];
    expect(await scp(context(), places, { login: 'root', recursive: true })).toBe(3);
    const [three, flag, , ...words] = readFileSync(told, 'utf8').split('\0');
    expect([three, flag]).toEqual(['-3', '-F']);
    const id = 'ws-aaaaaaaaaa';
    expect(words).toEqual(['-r', '--', '-x', './a:b', "50% it's", `ce-0.${id}:~/a b%h`, `ce-0.${id}:`, '']);
  });
});
