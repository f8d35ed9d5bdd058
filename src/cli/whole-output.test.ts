import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type TestApi, testApi } from '../../test/support/api.ts';
import { buildPrograms, type Programs } from '../../test/support/cli.ts';
import { startChild } from '../platform/children.ts';
import type { WorkspaceView } from '../protocol/api.ts';

/**
 * What the programs print, by real processes: it arrives whole at any reader's pace, or the exit
 * code says that it does not.
 */

// Every step is a process or several, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let api: TestApi;
let env: NodeJS.ProcessEnv;
let programs: Programs;
/** Several times what a pipe holds, and what Node writes at once. */
const workspaces = 400;

beforeAll(async () => {
  api = await testApi();
  for (let index = 0; index < workspaces; index++) api.engine.addWorkspace({ id: idOf(index) });
  for (let index = 0; index < 3_000; index++) api.engine.tell({ workspaceId: idOf(index % workspaces) });
  programs = await buildPrograms();
  env = {
    WSP_URL: await api.listen(),
    WSP_TOKEN: 'token-of-ann',
    HOME: programs.directory,
    XDG_CONFIG_DIRS: '/none',
  };
});
afterAll(async () => {
  await api?.app.close();
  programs?.remove();
});

function idOf(index: number): string {
  return `ws-${index
    .toString()
    .padStart(10, 'a')
    .replaceAll(/\d/g, digit => 'bcdefghijk'[Number(digit)] ?? '')}`;
}

describe('report G: output is whole', () => {
  it.each([
    ['a pipe', 'wsp ls --json | cat'],
    ['a reader that is slow', 'wsp ls --json | (sleep 1; cat)'],
    ['a file', `wsp ls --json > "$HOME/out"; cat "$HOME/out"`],
  ])('report G: wsp ls --json into %s', async (_what, script) => {
    const { stdout, stderr } = await programs.shell(`set -o pipefail; ${script}`, env);
    expect(stderr).toBe('');
    const { workspaces: read } = JSON.parse(stdout) as { workspaces: WorkspaceView[] };
    expect(read).toHaveLength(workspaces);
  });

  it('report G: wsp events, for people and for programs', async () => {
    const { stdout } = await programs.shell(
      'wsp events | (sleep 1; wc -l); wsp events --json | (sleep 1; cat)',
      env,
    );
    const [lines = '', json = ''] = stdout.split('\n');
    expect(Number(lines)).toBe(3_000);
    expect((JSON.parse(json) as { events: unknown[] }).events).toHaveLength(3_000);
  });

  it('report G: a reader that goes away is no error, also of a command that has no end', async () => {
    const script = `
      wsp ls --json | head -c 10 > /dev/null; echo "\${PIPESTATUS[0]}"
      wsp events -f | head -n 1 > /dev/null; echo "\${PIPESTATUS[0]}"
      wsp show nothing --json | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await programs.shell(script, env);
    expect({ codes: stdout.split('\n'), stderr }).toEqual({ codes: ['0', '0', '3', ''], stderr: '' });
  });
});

describe('report 8: what cannot be written is an error', () => {
  const full = [
    'wsp ls',
    'wsp ls --json',
    'wsp --help',
    'wsp ls --help',
    'wsp --version',
    'wsp events',
    'wsp events -f',
    'wsp doctor',
    'node-tools doctor --node',
    'node-tools kill-all --state-dir /nonexistent --disk-dir /nonexistent --node n01',
  ];
  it.each(full)('report 8: %s > /dev/full', async command => {
    const { code, stderr } = await programs.shell(`${command} > /dev/full`, env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^wsp: standard output cannot be written: ENOSPC: [^\n]*\n$/);
  });

  it('report 8: a disk that takes only a part', async () => {
    const path = join(programs.directory, 'part');
    // bash's limit on the size of files, in KiB; its signal would say it before the write does.
    const { code, stderr } = await programs.shell(`trap '' XFSZ; ulimit -f 16; wsp ls --json > ${path}`, env);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^wsp: standard output cannot be written: EFBIG/),
    });
    expect(readFileSync(path).length).toBe(16 * 1_024);
  });

  it('report 8: a service whose log cannot be written goes on', async () => {
    const { directory } = programs;
    mkdirSync(join(directory, 'images'));
    const config = {
      service: { listen: '127.0.0.1:0', stateDir: 'state', tokensFile: 'tokens', urlFile: 'url' },
      lrm: { kind: 'local', nodes: 1, namespaces: 'none' },
      images: { dir: 'images' },
      networks: [],
      node: { workDir: 'work', helper: ['true'], vmm: { kind: 'sim' } },
    };
    writeFileSync(join(directory, 'site.yaml'), JSON.stringify(config));
    const script = `exec ${directory}/bin/wsp service --config ${directory}/site.yaml 2> /dev/full`;
    const service = await startChild(['bash', '-c', script], { stdio: ['ignore', 'ignore', 'ignore'] });
    try {
      await vi.waitUntil(() => existsSync(join(directory, 'url')), { timeout: 20_000 });
      const health = await fetch(`${readFileSync(join(directory, 'url'), 'utf8').trim()}/v1/health`);
      expect(health.status).toBe(200);
    } finally {
      service.kill('SIGTERM');
    }
    expect(await service.exited).toMatchObject({ code: 0 });
  });

  it('report 8: an error that cannot be told keeps its exit code', async () => {
    expect((await programs.shell('wsp show nothing 2> /dev/full', env)).code).toBe(3);
    expect((await programs.shell('wsp show nothing --json > /dev/full', env)).code).toBe(3);
  });
});
