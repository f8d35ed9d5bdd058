import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditView, NewTokenView, UsageView, UserView, WhoamiView } from '../../src/protocol/access.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import type { ErrorBody } from '../../src/protocol/errors.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** People, by the command line: who they are, what they may, what they have used, and what is written down of it. */

let site: TestSite;
beforeAll(async () => {
  site = await startSite({
    lrm: 'local',
    nodes: 4,
    vmm: { kind: 'sim', start: '10ms', boot: '10ms', stop: '10ms' },
    more: { quotas: { user: { vms: 3, maxDuration: '1h' } } },
  });
});
afterAll(() => site?.stop());

interface Answer<T> {
  readonly code: number | null;
  readonly body: T;
}

/** The command as somebody else. */
async function as<T>(token: string, ...args: string[]): Promise<Answer<T>> {
  const { code, stdout } = await site.wsp([...args, '--json'], { env: { WSP_TOKEN: token } });
  return { code, body: JSON.parse(stdout) as T };
}
const refusal = ({ code, body }: Answer<unknown>): string => `${code} ${(body as ErrorBody).error.code}`;
const small = ['--image', 'mini', '--memory', '128M'];

describe('users', () => {
  let ann: string;
  let bob: string;
  it('are made with their projects and quotas, and get tokens that are shown once', async () => {
    await site.json(['project', 'qcd', '--quota', 'vms=4']);
    expect(await site.json<UserView>(['user', 'ann', '--project', 'qcd', '--quota', 'cpus=2'])).toMatchObject(
      { role: 'user', projects: ['qcd'], quota: { vms: 3, cpus: 2, maxDurationMs: 3_600_000 } },
    );
    // As people get it: the token alone, for a file.
    const { stdout } = await site.wsp(['token', '--user', 'ann', '--lasts', '1d']);
    ann = stdout.trim();
    expect(ann).toMatch(/^wsp_[\w-]{43}$/);
    bob = (await site.json<NewTokenView>(['token', '--user', 'bob'])).token;
    expect((await as<WhoamiView>(ann, 'whoami')).body).toMatchObject({ user: 'ann', projects: ['qcd'] });
    const kept = readFileSync(join(site.directory, 'state', 'wsp.db'), 'latin1');
    expect(kept).not.toContain(ann.slice(4));
  });

  it('use their token from a file of their own, which must be their own', async () => {
    const file = join(site.directory, 'ann.token');
    writeFileSync(file, `${ann}\n`, { mode: 0o600 });
    const env = { WSP_TOKEN: undefined, WSP_TOKEN_FILE: file };
    expect((await site.wsp(['whoami'], { env })).stdout).toMatch(/^ann, user, in qcd; at most /);
    chmodSync(file, 0o644);
    expect((await site.wsp(['whoami'], { env })).code).not.toBe(0);
  });

  it('lease up to their quota, of themselves and of their project', async () => {
    const lease = await as<WorkspaceView>(ann, 'create', ...small, '--count', '2', '--name', 'a', '--wait');
    expect(lease.body).toMatchObject({ owner: 'ann', project: 'qcd', state: 'running' });
    // Two processors are ann's; the site gives everybody three VMs.
    expect(refusal(await as(ann, 'create', ...small))).toBe('4 quota_exceeded');
    expect(refusal(await as(ann, 'create', ...small, '--dry-run'))).toBe('4 quota_exceeded');
    expect(refusal(await as(bob, 'create', ...small, '--count', '4'))).toBe('4 quota_exceeded');
    expect(refusal(await as(bob, 'create', ...small, '--duration', '2h'))).toBe('4 quota_exceeded');
    expect(refusal(await as(bob, 'create', ...small, '--project', 'qcd'))).toBe('4 forbidden');
  });

  it("do not see each other's workspaces, an operator does, and may end them", async () => {
    expect(refusal(await as(bob, 'show', 'a'))).toBe('3 not_found');
    expect((await as<{ workspaces: unknown[] }>(bob, 'ls')).body.workspaces).toEqual([]);
    await site.json(['user', 'olga', '--role', 'operator']);
    const { token: olga } = await site.json<NewTokenView>(['token', '--user', 'olga']);
    expect((await as<WorkspaceView>(olga, 'show', 'a')).body.owner).toBe('ann');
    expect(refusal(await as(olga, 'pause', 'a'))).toBe('4 forbidden');
    expect(refusal(await as(olga, 'user', 'bob', '--role', 'admin'))).toBe('4 forbidden');
    expect((await as(olga, 'destroy', 'a', '--wait')).code).toBe(0);
  });

  it('have their usage, to the second, from what has happened', async () => {
    const { lines } = (await as<UsageView>(ann, 'usage')).body;
    const line = lines.find(({ kind }) => kind === 'user');
    expect(line).toMatchObject({ name: 'ann', vms: 0, workspaces: 0 });
    expect(line?.vmSeconds).toBeGreaterThan(0);
    expect(lines.find(({ kind }) => kind === 'project')).toMatchObject({
      name: 'qcd',
      vmSeconds: line?.vmSeconds,
    });
    expect((await as<UsageView>(bob, 'usage', '--since', '1h ago')).body.lines).toEqual([]);
  });

  it('are shut out by a revoked token, and by being disabled', async () => {
    const { id, token } = (await as<NewTokenView>(bob, 'token', '--scope', 'read')).body;
    expect(refusal(await as(token, 'create', ...small))).toBe('4 forbidden');
    expect((await as(bob, 'revoke', id)).code).toBe(0);
    expect(refusal(await as(token, 'whoami'))).toBe('4 unauthorized');
    await site.json(['user', 'bob', '--disabled', 'yes']);
    expect(refusal(await as(bob, 'whoami'))).toBe('4 unauthorized');
  });

  it('are all still known when the service is killed and started again', async () => {
    await site.killService('SIGKILL');
    await site.startService();
    expect((await as<WhoamiView>(ann, 'whoami')).body.user).toBe('ann');
    expect(refusal(await as(bob, 'whoami'))).toBe('4 unauthorized');
  });

  it('leave a trace of all that they did and tried', async () => {
    const { entries } = await site.json<{ entries: AuditView[] }>(['audit', '--limit', '1000']);
    const lines = entries.map(
      ({ user, method, path, status, code }) =>
        `${user} ${method} ${path.replace(/ws-\w+/, 'W')} ${status} ${code}`,
    );
    for (const line of [
      'admin PUT /v1/projects/qcd 200 null',
      'admin PUT /v1/users/ann 200 null',
      'ann POST /v1/workspaces 201 null',
      'ann POST /v1/workspaces 403 quota_exceeded',
      'bob POST /v1/workspaces 403 forbidden',
      'olga POST /v1/workspaces/W/operations 403 forbidden',
      'olga PUT /v1/users/bob 403 forbidden',
      'null GET /v1/whoami 401 unauthorized',
    ])
      expect(lines).toContain(line);
    expect(JSON.stringify(entries)).not.toContain('wsp_');
    expect(refusal(await as(ann, 'audit'))).toBe('4 forbidden');
  });

  it.each([
    ['an unknown role', ['user', 'ann', '--role', 'king']],
    ['a quota of nothing', ['user', 'ann', '--quota', 'vms']],
    ['a quota of what is none', ['project', 'qcd', '--quota', 'money=3']],
    ['a lifetime that is none', ['token', '--lasts', 'long']],
  ])('are not changed by %s', async (_, args) => {
    expect(refusal({ ...(await as('x', ...args)) })).toMatch(/^2 usage/);
  });
});
