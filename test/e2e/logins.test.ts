import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import type { AuditView } from '../../src/protocol/access.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { mungeText } from '../../src/protocol/login.ts';
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

/** Of the account that the service runs as. */
const serviceUid = (): number => statSync(join(site.directory, 'run')).uid;

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
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      XDG_CONFIG_HOME: home,
      XDG_CONFIG_DIRS: join(home, '.none'),
      WSP_URL: url,
      WSP_SERVICE_USER: String(serviceUid()),
      ...env,
    },
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

  const mungeSocket = (): string => join(site.cluster?.directory ?? '', 'munge/socket');
  const munge = async (text: string, ...more: string[]): Promise<string> => {
    const argv = ['munge', '-S', mungeSocket(), ...more] as const;
    return (await systemProcesses.run([...argv], { deadlineMs: 10_000, input: text })).stdout.trim();
  };
  /** One request without a token; the service's status and answer. */
  const api = async (path: string, body?: object): Promise<[number, string]> => {
    const file = join(site.directory, 'request.json');
    writeFileSync(file, JSON.stringify(body ?? {}));
    const data = body === undefined ? [] : ['-H', 'content-type: application/json', '-d', `@${file}`];
    const curl = ['curl', '-s', '-w', '\n%{http_code}', '--cacert', certificate] as const;
    const { stdout } = await systemProcesses.run([...curl, ...data, `${site.url}${path}`], {
      deadlineMs: 10_000,
    });
    const [answer = '', status] = stdout.split('\n');
    return [Number(status), answer];
  };
  const ways = async () => JSON.parse((await api('/v1/login'))[1]) as { nonce: string; uid: number };

  it('takes no MUNGE credential twice, nor one that was made for something else', async () => {
    const { nonce, uid } = await ways();
    const good = [mungeText(new URL(site.url).origin, nonce), '-u', String(uid)] as const;
    const credential = await munge(...good);
    expect((await api('/v1/login/munge', { credential }))[0]).toBe(201);
    const again = await api('/v1/login/munge', { credential });
    expect([again[0], again[1]]).toEqual([401, expect.stringMatching(/replayed/i)]);
    for (const [text, more, why] of [
      [good[0], ['-u', String(uid)], 'was made before'],
      ['a batch job', ['-u', String(uid)], 'made for something else'],
      ['wsp-login', [], 'this wsp is older than the service'],
      [mungeText(site.url, (await ways()).nonce), [], 'can be read by others'],
      [mungeText('https://other:1', (await ways()).nonce), ['-u', String(uid)], 'is no name of this service'],
    ] as const) {
      const refused = await api('/v1/login/munge', { credential: await munge(text, ...more) });
      expect([refused[0], refused[1]]).toEqual([401, expect.stringContaining(why)]);
    }
  });

  it('security 6: gives a rogue nothing that is good at the service, which it stands before', async () => {
    const heard: string[] = [];
    const rogue = createServer((request, response) => {
      void text(request)
        .then(body => api(request.url ?? '', body === '' ? undefined : (JSON.parse(body) as object)))
        .then(([status, answer]) => {
          heard.push(`${request.url} ${status}`);
          response.writeHead(status, { 'content-type': 'application/json' }).end(answer);
        });
    });
    await new Promise<void>(resolve => rogue.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(rogue.address() as AddressInfo).port}`;
      const victim = await as('nobody', url, { WSP_MUNGE_SOCKET: mungeSocket() }, 'whoami');
      expect(victim.code).not.toBe(0);
      expect(victim.stderr).toContain(`made for ${url}@`);
      expect(heard).toEqual(['/v1/login 200', '/v1/login/munge 401']);
    } finally {
      rogue.closeAllConnections();
      await new Promise(resolve => rogue.close(resolve));
      rmSync(join(site.directory, 'request.json'), { force: true });
    }
  });

  it('security 6: believes no socket of another user, unless the configuration names them', async () => {
    expect(serviceUid()).not.toBe(0);
    const doubted = await as('nobody', socket, { WSP_SERVICE_USER: '0' }, 'whoami');
    expect([doubted.code === 0, doubted.stderr]).toEqual([
      false,
      expect.stringContaining(`belongs to uid ${serviceUid()}, who is not known to run the service`),
    ]);
  });

  it('is made anew by itself when the service has been started again', async () => {
    const ca = readFileSync(certificate, 'utf8');
    const client = createClient({ url: socket, ca, login: { serviceUids: async () => [serviceUid()] } });
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
  });
});
