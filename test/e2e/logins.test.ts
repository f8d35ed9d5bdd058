import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import type { AuditView } from '../../src/protocol/access.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { root, startSite, type TestSite } from '../support/site.ts';

/** A service that speaks TLS with a certificate of its own, and whose Unix users need no password: real Slurm, its MUNGE, a real guest. */

let site: TestSite;
let certificate: string;
let socket: string;
beforeAll(async () => {
  site = await startSite({
    lrm: 'slurm',
    nodes: 1,
    service: (cluster, directory) => ({
      tls: { certificateFile: join(directory, 'tls/cert.pem'), keyFile: join(directory, 'tls/key.pem') },
      socket: join(directory, 'run/socket'),
      munge: join(cluster?.directory ?? '', 'munge/socket'),
    }),
  });
  // Other users' programs must be able to come in.
  chmodSync(site.directory, 0o755);
  certificate = join(site.directory, 'tls/cert.pem');
  socket = `unix:${join(site.directory, 'run/socket')}`;
});
afterAll(() => site?.stop());

/** `wsp` as a Unix user, who knows no token. */
function as(user: string, url: string, env: NodeJS.ProcessEnv, ...args: string[]): Promise<CommandResult> {
  const home = join(site.directory, 'nobodys-home');
  const tool = [
    '/usr/bin/setpriv',
    `--reuid=${user}`,
    '--clear-groups',
    process.execPath,
    `${root}/dist/wsp.js`,
  ];
  return systemProcesses.run([...(tool as [string, ...string[]]), ...args], {
    deadlineMs: 60_000,
    env: { PATH: process.env['PATH'], HOME: home, XDG_CONFIG_HOME: home, WSP_URL: url, ...env },
  });
}

describe('TLS', () => {
  it('is with a certificate that is made at the first start, its key for the service alone', async () => {
    expect(site.url).toMatch(/^https:/);
    const { mode } = await import('node:fs').then(({ statSync }) =>
      statSync(join(site.directory, 'tls/key.pem')),
    );
    expect(mode & 0o777).toBe(0o600);
  });

  it('is taken by a client that has the certificate, and by no other', async () => {
    const pinned = await site.wsp(['whoami'], { env: { WSP_CA_FILE: certificate } });
    expect([pinned.stderr, pinned.code]).toEqual(['', 0]);
    const without = await site.wsp(['whoami']);
    expect(without.code).not.toBe(0);
    expect(without.stderr).toContain('its certificate is not the expected one');
    const other = join(site.directory, 'other.pem');
    const made = await systemProcesses.run(
      [
        'openssl',
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-subj',
        '/CN=other',
        '-keyout',
        '/dev/null',
        '-out',
        other,
      ],
      { deadlineMs: 60_000 },
    );
    expect(made.code).toBe(0);
    expect((await site.wsp(['whoami'], { env: { WSP_CA_FILE: other } })).stderr).toContain(
      'not the expected one',
    );
    const nothing = await site.wsp(['whoami'], { env: { WSP_CA_FILE: site.siteFile } });
    expect(nothing.stderr).toContain('holds no certificate');
  });

  it('carries a lease from its request to a shell in a real guest', async () => {
    const env = { WSP_CA_FILE: certificate };
    const created = await site.wsp(['create', '--image', 'mini', '--name', 'sealed', '--wait', '--json'], {
      env,
    });
    expect([created.stdout.slice(0, 300), created.code]).toEqual([expect.stringContaining('running'), 0]);
    expect((JSON.parse(created.stdout) as WorkspaceView).state).toBe('running');
    const shell = await site.wsp(['ssh', 'sealed', 'hostname'], { env });
    expect([shell.stdout.trim(), shell.code]).toEqual(['vm-0', 0]);
    expect((await site.wsp(['destroy', 'sealed', '--wait'], { env })).code).toBe(0);
    expect(await site.leftovers()).toEqual([]);
  });
});

describe('a login with no password', () => {
  it('makes a Unix user of the head node himself, by the socket', async () => {
    const { stdout, stderr, code } = await as('nobody', socket, {}, 'whoami');
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout).toMatch(/^nobody, user/);
    expect((await as('root', socket, {}, 'whoami')).stdout).toMatch(/^admin, admin/);
  });

  it('leaves no file, and is in the audit log with its user', async () => {
    const { stdout } = await systemProcesses.run(['ls', '-A', join(site.directory, 'run/login')], {
      deadlineMs: 10_000,
    });
    expect(stdout).toBe('');
    const { stdout: text } = await as('root', socket, {}, 'audit', '--json');
    const entries = (JSON.parse(text) as { entries: AuditView[] }).entries;
    expect(entries).toContainEqual(
      expect.objectContaining({ user: 'nobody', path: '/v1/login/file/claim', status: 201 }),
    );
  });

  it('makes him himself by MUNGE, from anywhere of its realm', async () => {
    const munge = {
      WSP_MUNGE_SOCKET: join(site.cluster?.directory ?? '', 'munge/socket'),
      WSP_CA_FILE: certificate,
    };
    const { stdout, stderr, code } = await as('nobody', site.url, munge, 'whoami');
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout).toMatch(/^nobody, user/);
  });

  it('takes no MUNGE credential twice, nor one that was made for something else', async () => {
    const api = async (credential: string): Promise<[number, string]> => {
      const path = join(site.directory, 'credential.json');
      writeFileSync(path, JSON.stringify({ credential }));
      const { stdout } = await systemProcesses.run(
        [
          'curl',
          '-s',
          '-w',
          '\n%{http_code}',
          '--cacert',
          certificate,
          '-H',
          'content-type: application/json',
          '-d',
          `@${path}`,
          `${site.url}/v1/login/munge`,
        ],
        { deadlineMs: 10_000 },
      );
      const [body = '', status] = stdout.split('\n');
      return [Number(status), body];
    };
    const munge = async (text: string): Promise<string> => {
      const argv = ['munge', '-S', join(site.cluster?.directory ?? '', 'munge/socket')] as const;
      return (await systemProcesses.run([...argv], { deadlineMs: 10_000, input: text })).stdout.trim();
    };
    const credential = await munge('wsp-login');
    expect((await api(credential))[0]).toBe(201);
    const again = await api(credential);
    expect(again[0]).toBe(401);
    expect(again[1]).toMatch(/replayed/i);
    const other = await api(await munge('a batch job'));
    expect(other[0]).toBe(401);
    expect(other[1]).toContain('made for something else');
  });

  it('is made anew by itself when the service has been started again', async () => {
    const ca = readFileSync(certificate, 'utf8');
    const client = createClient({ url: socket, ca });
    expect((await client.whoami()).user).toBe('admin');
    await site.killService();
    await site.startService();
    expect((await client.whoami()).user).toBe('admin');
  });

  it('says what is missing when there is neither a token nor a way to log in', async () => {
    const { code, stderr } = await as(
      'nobody',
      site.url,
      { WSP_CA_FILE: certificate, PATH: '/nowhere' },
      'whoami',
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain('munge');
    rmSync(join(site.directory, 'credential.json'), { force: true });
  });
});
