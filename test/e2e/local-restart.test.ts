import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { embeddedTag, namespacesOf, startSite, type TestSite } from '../support/site.ts';

/** The embedded LRM lives in the service: what becomes of its nodes and guests when that is killed. */

let site: TestSite;
beforeAll(async () => {
  site = await startSite({ lrm: 'local', nodes: 2 });
});
afterAll(() => site?.stop());

const tagOf = ({ directory }: TestSite): string => embeddedTag(directory) ?? '';

it('a service that is killed leaves no node and no guest to the one that is started again', async () => {
  const tag = tagOf(site);
  expect(await namespacesOf(tag)).toHaveLength(2);
  await site.json(['create', '--image', 'mini', '--memory', '160M', '--name', 'lost', '--wait']);
  await site.killService();
  await site.startService();
  const ended = await site.json<WorkspaceView>(['wait', 'lost', '--for', 'ended', '--timeout', '60s']);
  expect(ended.state).toBe('ended');
  await expect.poll(() => namespacesOf(tag), { timeout: 60_000, interval: 200 }).toEqual([]);
  expect(await namespacesOf(tagOf(site))).toHaveLength(2);
  const pids = async (): Promise<string> =>
    (await systemProcesses.run(['pgrep', '-f', '--', site.workDir], { deadlineMs: 10_000 })).stdout;
  await expect.poll(pids, { timeout: 60_000, interval: 200 }).toBe('');
  const undone = existsSync(site.helperStateDir)
    ? readdirSync(site.helperStateDir, { recursive: true, encoding: 'utf8' })
    : [];
  expect(undone.filter(path => path.endsWith('undo.jsonl'))).toEqual([]);
});
