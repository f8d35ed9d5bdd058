import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { root, startSite, type TestSite } from '../support/site.ts';

/**
 * A virtual cluster on the Node.js that runs the tests: `make test` does this once more on the
 * newest that is supported.
 */

const nodes = 4;
let site: TestSite;
beforeAll(async () => {
  site = await startSite({ lrm: 'local', nodes });
});
afterAll(() => site?.stop());

/** The programs of all processes in the nodes' namespaces, by their paths. */
async function programsOnNodes(): Promise<readonly string[]> {
  const run = async (...argv: readonly [string, ...string[]]): Promise<readonly string[]> =>
    (await systemProcesses.run(argv, { deadlineMs: 10_000 })).stdout.split('\n').filter(line => line !== '');
  const tag = readFileSync(`${site.directory}/state/pools/default/nodes-tag`, 'utf8').trim();
  const namespaces = (await run('ip', 'netns', 'list')).filter(line => line.startsWith(`ws${tag}-`));
  expect(namespaces).toHaveLength(nodes);
  const pids = await Promise.all(
    namespaces.map(line => run('ip', 'netns', 'pids', line.split(' ')[0] ?? '')),
  );
  return pids.flat().flatMap(programOf);
}

/** None when the process has ended meanwhile. */
function programOf(pid: string): readonly string[] {
  try {
    return [readlinkSync(`/proc/${pid}/exe`)];
  } catch {
    return [];
  }
}

it('report I: a virtual cluster comes and goes, its pilots and helpers on the Node.js of this run', async () => {
  const file = `${root}/examples/osg-cluster.yaml`;
  const made = await site.json<WorkspaceView>(['create', '-f', file, '--name', 'osg', '--wait'], 150_000);
  expect(made.vms.map(({ state, context }) => [state, context])).toEqual(
    made.vms.map(() => ['running', 'ok']),
  );
  const programs = (await programsOnNodes()).filter(program => basename(program) === 'node');
  expect(programs.length).toBeGreaterThanOrEqual(2 * nodes);
  expect(new Set(programs)).toEqual(new Set([process.execPath]));
  await site.json(['destroy', 'osg', '--wait']);
  await expect.poll(programsOnNodes, { timeout: 60_000, interval: 200 }).toEqual([]);
  const undone = existsSync(site.helperStateDir)
    ? readdirSync(site.helperStateDir, { recursive: true, encoding: 'utf8' })
    : [];
  expect(undone.filter(path => path.endsWith('undo.jsonl'))).toEqual([]);
});
