import Database from 'libsql';
import { copyFileSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import type { ErrorBody } from '../../src/protocol/errors.ts';
import { root, startSite, type TestSite } from '../support/site.ts';
import { blocksOf, runBlock } from './suites/guide.ts';

/** Backing up, restoring and upgrading as docs/admin/operating.md says it, with leases that run. */

const page = 'docs/admin/operating.md';

/** Runs the commands of a section of the page, all of them. */
async function follow(site: TestSite, section: string): Promise<void> {
  const blocks = blocksOf(page, section).filter(({ language }) => language === 'sh');
  expect(blocks.length, section).toBeGreaterThan(0);
  for (const { text } of blocks) await runBlock(site, text);
}

const small = ['--image', 'mini', '--memory', '128M'];
const lease = (site: TestSite, name: string): Promise<WorkspaceView> =>
  site.json<WorkspaceView>(['create', ...small, '--name', name, '--wait']);

describe('the database of a service that runs', () => {
  let site: TestSite;
  beforeAll(async () => {
    site = await startSite({ lrm: 'slurm', nodes: 3, vmm: { kind: 'sim' } });
  });
  afterAll(() => site?.stop());

  it('is copied while it writes, by its user alone, and never over another file; people are told what else to keep', async () => {
    const file = join(site.directory, 'first.db');
    const backup = ['backup', '--config', site.siteFile, file];
    const [, made] = await Promise.all([
      site.json(['create', ...small, '--name', 'meanwhile', '--wait']),
      site.json<{ besides: string[]; live: number }>(backup),
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(made.besides).toEqual([site.siteFile, join(site.directory, 'tokens')]);
    const again = await site.wsp([...backup, '--json']);
    expect(again.code).toBe(4);
    const { error } = JSON.parse(again.stdout) as ErrorBody;
    expect(error).toMatchObject({
      code: 'conflict',
      message: `${file} is there already; nothing was written`,
    });
    const told = await site.wsp(['backup', '--config', site.siteFile, `${file}.2`]);
    expect(told.stdout).toContain('1 workspaces (1 have not ended)');
    expect(told.stdout).toMatch(/secrets.*\n.*\n {2}\/.*site\.yaml\n {2}\/.*tokens\n$/);
    await site.json(['destroy', 'meanwhile', '--wait']);
  });

  it('is restored: leases of then go on or end with a reason, and those of since then leave by themselves', async () => {
    const kept = await lease(site, 'kept');
    await lease(site, 'over');
    await follow(site, 'Backing up');
    for (const order of ['pause', 'resume']) await site.json([order, 'kept', '--wait']);
    await site.json(['destroy', 'over', '--wait']);
    const { slot } = await lease(site, 'later');

    await follow(site, 'Restoring');
    const over = await site.json<WorkspaceView>(['wait', 'over', '--for', 'ended', '--timeout', '90s']);
    expect(over).toMatchObject({
      cause: 'failed',
      reason: { code: expect.stringMatching(/^lrm_/) as string },
    });
    expect((await site.wsp(['show', 'later'])).code).toBe(3);
    // Its pilot has heard an order with the same number, which the database does not know any more.
    const paused = await site.json<WorkspaceView>(['pause', 'kept', '--wait']);
    expect(paused).toMatchObject({ id: kept.id, state: 'running', vms: [{ state: 'paused' }] });

    const laterHasJob = async (): Promise<boolean> =>
      ((await site.cluster?.jobs()) ?? []).some(job => job.includes(slot?.id ?? 'none'));
    expect(await laterHasJob()).toBe(true);
    await expect.poll(laterHasJob, { timeout: 120_000, interval: 500 }).toBe(false);
    await site.json(['destroy', 'kept', '--wait']);
    await site.cluster?.untilIdle();
    expect(await site.leftovers()).toEqual([]);
  });
});

describe('an upgrade', () => {
  let site: TestSite;
  beforeAll(async () => {
    // The slots of the database that is recorded have room for so little.
    site = await startSite({
      lrm: 'local',
      nodes: 2,
      vmm: { kind: 'sim' },
      leases: { pilotOverhead: '16M' },
    });
  });
  afterAll(() => site?.stop());

  const database = (): string => join(site.directory, 'state', 'wsp.db');
  const inDatabase = <T>(file: string, use: (opened: Database.Database) => T): T => {
    const opened = new Database(file);
    try {
      return use(opened);
    } finally {
      opened.close();
    }
  };
  const all = async (): Promise<readonly string[]> => {
    const { workspaces } = await site.json<{ workspaces: WorkspaceView[] }>(['ls', '--all']);
    return workspaces.map(({ name }) => name);
  };
  /** What the service of the version before has left: see `src/service/store/recorded.test.ts`. */
  const ofBefore = ['past', 'runs', 'waits', 'grows', 'owed'];

  it('of the version before goes on with what that has left, and keeps a backup that it has not touched', async () => {
    await site.killService('SIGTERM');
    for (const end of ['', '-wal', '-shm']) rmSync(database() + end, { force: true });
    const recorded = readFileSync(`${root}/test/recorded/state-15.sql`, 'utf8');
    inDatabase(database(), opened => opened.exec(recorded));

    await follow(site, 'Upgrading');
    expect((await all()).toSorted()).toEqual(ofBefore.toSorted());
    await site.json(['wait', 'owed', '--for', 'running', '--timeout', '60s']);
    for (const name of ['runs', 'waits'])
      expect(
        await site.json<WorkspaceView>(['wait', name, '--for', 'ended', '--timeout', '60s']),
      ).toMatchObject({ reason: { message: expect.stringMatching(/job|lease/) as string } });
    // What was never launched was given up in its time, and destroying it again is no error.
    await site.json(['destroy', 'owed', 'grows', '--wait']);
    const before = inDatabase(join(site.directory, 'before-upgrade.db'), opened =>
      opened.prepare('pragma user_version').get(),
    );
    expect(before).toMatchObject({ user_version: 15 });
  });

  it('can be taken back: the version before refuses the newer database, and starts from the backup', async () => {
    await site.killService('SIGTERM');
    inDatabase(database(), opened => opened.exec('pragma user_version = 999'));
    await expect(site.startService()).rejects.toThrow(
      /has schema version 999; this program knows up to \d+[^]*restore the backup from before the upgrade/,
    );
    copyFileSync(join(site.directory, 'before-upgrade.db'), join(site.directory, 'wsp-backup.db'));
    await follow(site, 'Restoring');
    expect((await all()).toSorted()).toEqual(ofBefore.toSorted());
  });
});
