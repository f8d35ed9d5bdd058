import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, test } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { root, type SiteOptions, startSite, type TestSite } from '../support/site.ts';

/** What goes wrong on a node or in a file: one clear error, a final state with its reason, and nothing left. On a real Slurm. */
const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-refusals-'));
  // Ordinary users look into it.
  chmodSync(directory, 0o755);
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function siteWith(options: Partial<SiteOptions>): Promise<TestSite> {
  const site = await startSite({ lrm: 'slurm', nodes: 1, ...options });
  cleanups.push(() => site.stop());
  return site;
}

async function expectNothingLeft(site: TestSite, workDir = site.workDir): Promise<void> {
  const look = () => site.leftovers(workDir);
  // A workspace has failed when its reason is known; its nodes are given back after that.
  await expect.poll(look, { timeout: 30_000 }).toEqual([]);
}

/** Runs `create --wait`, which must fail; returns the workspace as it is then. */
async function failToCreate(site: TestSite): Promise<WorkspaceView> {
  const result = await site.wsp([
    'create',
    '--image',
    'mini-disk',
    '--memory',
    '256M',
    '--name',
    'bad',
    '--wait',
  ]);
  expect(result.code).toBe(1);
  const ended = await site.client().waitForWorkspace('bad', each => each.state === 'ended', {
    timeoutMs: 60_000,
  });
  // What the user is told is why, in one sentence.
  expect(result.stderr).toContain(ended.reason?.message ?? 'no reason');
  expect(result.stderr).not.toMatch(/\n\s+at /);
  return ended;
}

describe('what cannot work', () => {
  it('a full disk where VMs have their files', async () => {
    const workDir = join(scratch(), 'small');
    mkdirSync(workDir);
    const mounted = await systemProcesses.run(
      ['mount', '-t', 'tmpfs', '-o', 'size=2m,mode=1777', 'wsp-test', workDir],
      {
        deadlineMs: 10_000,
      },
    );
    expect(mounted).toMatchObject({ code: 0 });
    cleanups.push(() => systemProcesses.run(['umount', '--lazy', workDir], { deadlineMs: 10_000 }));
    const site = await siteWith({ node: { workDir } });
    const ended = await failToCreate(site);
    expect(ended).toMatchObject({ state: 'ended', cause: 'failed', reason: { code: 'disk_full' } });
    expect(ended.reason?.message).toMatch(/No space left in .*small/);
    await expectNothingLeft(site, workDir);
  });

  test('security 11 a work directory that another user has made first: the lease says so, and theirs stays as it is', async () => {
    const sticky = join(scratch(), 'sticky');
    mkdirSync(sticky);
    chmodSync(sticky, 0o1777);
    const workDir = join(sticky, 'work');
    const asNobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'] as const;
    // Open to all, so that whoever follows finds nothing in their way.
    const made = await systemProcesses.run(
      [...asNobody, 'mkdir', '-p', '-m', '0777', workDir, join(workDir, 'n01')],
      { deadlineMs: 10_000 },
    );
    expect(made).toMatchObject({ code: 0 });
    const site = await siteWith({ node: { workDir }, vmm: { kind: 'sim' } });
    const ended = await failToCreate(site);
    expect(ended).toMatchObject({ state: 'ended', cause: 'failed', reason: { code: 'workdir_unsafe' } });
    expect(ended.reason?.message).toMatch(/work belongs to another user \(user id 65534/);
    expect(readdirSync(join(workDir, 'n01'))).toEqual([]);
    await expectNothingLeft(site, workDir);
  });

  it('a QEMU that dies at its start', async () => {
    const qemu = join(scratch(), 'qemu-that-dies');
    // It answers all that is asked before, and has one argument too many for a guest.
    writeFileSync(
      qemu,
      '#!/bin/sh\ncase "$*" in *guest=*) exec qemu-system-x86_64 "$@" -device nosuch;; esac\nexec qemu-system-x86_64 "$@"\n',
    );
    chmodSync(qemu, 0o755);
    const site = await siteWith({ vmm: { kind: 'qemu', binary: qemu } });
    const ended = await failToCreate(site);
    expect(ended).toMatchObject({ state: 'ended', cause: 'failed', reason: { code: 'vmm_start_failed' } });
    expect(ended.reason?.message).toMatch(/nosuch/);
    await expectNothingLeft(site);
  });

  it('a malformed cluster file: every mistake with its path, and nothing is created', async () => {
    const site = await siteWith({ vmm: { kind: 'sim' } });
    const file = join(scratch(), 'cluster.yaml');
    writeFileSync(file, 'groups:\n  - name: Head!\n    image: mini\n    memory: much\n    colour: red\n');
    const refused = await site.wsp(['create', '-f', file, '--json']);
    expect(refused.code).toBe(2);
    const { error } = JSON.parse(refused.stdout) as {
      error: { message: string; mistakes?: { path: string }[] };
    };
    const said = JSON.stringify(error);
    for (const path of ['name', 'memory', 'colour']) expect(said).toContain(path);
    writeFileSync(file, 'groups: [\n');
    const broken = await site.wsp(['create', '-f', file]);
    expect(broken).toMatchObject({ code: 2, stdout: '' });
    expect(broken.stderr).toMatch(/cluster\.yaml/);
    expect(broken.stderr).not.toMatch(/\n\s+at /);
    expect((await site.json<{ workspaces: unknown[] }>(['ls'])).workspaces).toEqual([]);
    await expectNothingLeft(site);
  });

  it('a bad site file: every mistake with its path, and the service does not start', async () => {
    const directory = scratch();
    const file = join(directory, 'site.yaml');
    writeFileSync(
      file,
      `service: { listen: nowhere, stateDir: state, tokensFile: tokens, colour: red }\nlrm: { kind: lsf }\nimages: { dir: ${root}/nosuch }\nnetworks: []\n`,
    );
    const result = await systemProcesses.run([`${root}/bin/wsp`, 'service', '--config', file], {
      deadlineMs: 30_000,
    });
    expect(result.code).not.toBe(0);
    for (const path of ['service.listen', 'service.colour', 'lrm.kind', 'node'])
      expect(result.stderr).toContain(path);
    expect(result.stderr).not.toMatch(/\n\s+at /);
    const made = await systemProcesses.run(['ls', '-A', directory], { deadlineMs: 10_000 });
    expect(made.stdout).toBe('site.yaml\n');
  });
});
