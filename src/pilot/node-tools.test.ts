import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildPrograms, type Programs } from '../../test/support/cli.ts';
import { type CommandResult, systemProcesses } from '../platform/process.ts';

/** Processes of a busy machine. */
const slow = { timeout: 110_000 };
let programs: Programs;
let program: string;
let place: string;
beforeAll(async () => {
  programs = await buildPrograms();
  program = join(programs.directory, 'dist/node-tools.cjs');
}, slow.timeout);
afterAll(() => programs.remove());
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-node-tools-'));
});
afterEach(() => rmSync(place, { recursive: true }));

const run = (...args: readonly string[]): Promise<CommandResult> =>
  systemProcesses.run([process.execPath, program, ...args], { deadlineMs: 100_000 });

describe('the program of nodes', slow, () => {
  it('says what it is, when it is started as nothing of that', async () => {
    const outcomes = await Promise.all([run(), run('pilot')]);
    expect(outcomes.map(({ code, stderr }) => [code, stderr.split('\n')[0]])).toEqual([
      [2, 'wsp: no command: one of agent, helper, kill-all, doctor is needed'],
      [2, 'wsp: pilot: one of agent, helper, kill-all, doctor is needed'],
    ]);
  });

  it('is agent, helper, kill-all and doctor, each of which knows its own arguments', async () => {
    const [agent, helper, killAll, doctor] = await Promise.all([
      run('agent', '--pools', 'x'),
      run('helper', '--wrong'),
      run('kill-all', '--slot', 'x'),
      run('doctor', '--wrong'),
    ]);
    expect(agent.stderr).toContain('usage: wsp agent');
    expect(helper.stderr).toContain('--wrong');
    expect(killAll.stderr).toContain('--slot takes a slot id');
    expect(doctor.stderr).toContain('--wrong');
    expect([agent, helper, killAll, doctor].map(({ code }) => code)).toEqual([2, 2, 2, 2]);
  });

  it('does the errand that it came with', async () => {
    const errand = JSON.stringify({ kind: 'remove', directory: place });
    const input = `globalThis.wspAgentErrand=${errand};
${readFileSync(program, 'utf8')}`;
    const argv = [process.execPath, '-'] as const;
    const { code, stdout } = await systemProcesses.run(argv, { deadlineMs: 100_000, input });
    expect([code, JSON.parse(stdout)]).toEqual([0, { done: true, pid: null }]);
  });
});
