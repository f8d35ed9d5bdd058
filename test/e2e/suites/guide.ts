import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../../src/platform/process.ts';
import { root, startSite, type TestSite } from '../../support/site.ts';

/** `sh` blocks are run; a block whose fence names a file is that file. */
function blocksOf(page: string) {
  const text = readFileSync(`${root}/${page}`, 'utf8');
  return [...text.matchAll(/^```(\S+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(
    ([, language = '', file, content = '']) => ({ language, file, text: content }),
  );
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

    it('has commands to run', () => {
      expect(blocks.filter(({ language }) => language === 'sh').length).toBeGreaterThan(5);
      expect(blocks.every(({ language, file }) => language === 'sh' || file !== undefined)).toBe(true);
    });

    it.each(blocks.map(block => [block.text.trim().split('\n')[0] ?? '', block] as const))(
      'is true: %s',
      async (_first, { file, text }) => {
        if (file !== undefined) return writeFileSync(join(site.directory, file), text);
        const path = `${root}/bin:${process.env['PATH']}`;
        const env = { ...site.clientEnv, PATH: path, SITE_FILE: site.siteFile };
        // One by one, so that what fails or hangs is named.
        for (const command of text.trim().split('\n')) {
          const argv = ['sh', '-eu', '-c', command] as const;
          const result = await systemProcesses.run(argv, { deadlineMs: 60_000, cwd: site.directory, env });
          expect([command, result.code, result.stderr]).toEqual([command, 0, expect.any(String)]);
        }
      },
      150_000,
    );

    it('leaves nothing', async () => {
      await site.cluster?.untilIdle();
      expect(await site.leftovers()).toEqual([]);
    });
  });
}
