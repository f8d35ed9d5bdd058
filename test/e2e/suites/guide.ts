import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../../src/platform/process.ts';
import { root, startSite, type TestSite } from '../../support/site.ts';

/** `sh` blocks are run; a block whose fence names a file is that file. `under`: of one section alone. */
export function blocksOf(page: string, under?: string) {
  const all = readFileSync(`${root}/${page}`, 'utf8');
  const text =
    under === undefined ? all : (all.split(/^(?=## )/m).find(part => part.startsWith(`## ${under}\n`)) ?? '');
  return [...text.matchAll(/^```(\S+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(
    ([, language = '', file, content = '']) => ({ language, file, text: content }),
  );
}

/** What the unit of the installation page does, to the service of a test. */
const unit: Readonly<Record<string, (site: TestSite) => Promise<void>>> = {
  'systemctl stop workspace-pilot': site => site.killService('SIGTERM'),
  'systemctl start workspace-pilot': site => site.startService(),
};

/** A command as whoever follows a page runs it. */
type As = (argv: readonly [string, ...string[]]) => readonly [string, ...string[]];

/** As the user of the service, who administers it. */
const asService = ({ cluster }: TestSite): As => cluster?.account?.as ?? (argv => argv);

/** Runs the commands of a block as a reader does, one by one, so that what fails or hangs is named. */
export async function runBlock(site: TestSite, text: string, as: As = asService(site)): Promise<void> {
  for (const command of text.trim().split('\n')) {
    const ofUnit = unit[command];
    if (ofUnit) {
      await ofUnit(site);
      continue;
    }
    // The user of the service may not get to this checkout, nor others to theirs.
    const programs = [site.cluster?.account?.checkout ?? root, root].map(checkout => `${checkout}/bin`);
    const env = {
      ...site.clientEnv,
      PATH: [...programs, site.clientEnv['PATH']].join(':'),
      SITE_FILE: site.siteFile,
      STATE_DIR: join(site.directory, 'state'),
      TOKENS_FILE: join(site.directory, 'tokens'),
    };
    const argv = as(['sh', '-eu', '-c', command]);
    const result = await systemProcesses.run(argv, { deadlineMs: 60_000, cwd: site.directory, env });
    expect([command, result.code, result.stderr]).toEqual([command, 0, expect.any(String)]);
  }
}

/** The guides: every command block of them, in their order, with real guests on a real batch scheduler. */
export function guides(lrm: 'slurm' | 'gridengine'): void {
  let site: TestSite;
  beforeAll(async () => {
    // The guide extends a lease; Grid Engine gives a running job no more time than it was submitted with.
    site = await startSite({ lrm, nodes: 4, leases: { walltimePad: '3m' } });
  });
  afterAll(() => site?.stop());

  describe.each(['docs/user-guide.md', 'docs/admin/operating.md'])(`%s on ${lrm}`, page => {
    const blocks = blocksOf(page);
    const as: As | undefined = page === 'docs/user-guide.md' ? argv => argv : undefined;

    it('has commands to run', () => {
      expect(blocks.filter(({ language }) => language === 'sh').length).toBeGreaterThan(5);
      expect(blocks.every(({ language, file }) => language === 'sh' || file !== undefined)).toBe(true);
    });

    it.each(blocks.map(block => [block.text.trim().split('\n')[0] ?? '', block] as const))(
      'is true: %s',
      async (_first, { file, text }) => {
        if (file !== undefined) return writeFileSync(join(site.directory, file), text);
        await runBlock(site, text, as);
      },
      150_000,
    );

    it('leaves nothing', async () => {
      await site.cluster?.untilIdle();
      expect(await site.leftovers()).toEqual([]);
    });
  });
}
