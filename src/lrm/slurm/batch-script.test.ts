import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../platform/process.ts';
import { gangRequest } from '../lrm.contract.ts';
import { batchScript } from './batch-script.ts';

/** The script itself, run by sh, with an srun of the test's; a real one is in test/e2e/lrm-slurm.test.ts. */

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-batch-'));
  // Nobody waits for the controller here.
  program('sleep', 'echo "$*" >> "$0.args"');
  program('scontrol', 'echo "$*" >> "$0.args"');
});
afterEach(() => rmSync(directory, { recursive: true }));

function program(name: string, text: string): void {
  writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}
const said = (name: string): string => readFileSync(join(directory, name), 'utf8');

async function run(srun: string): Promise<number | null> {
  program('srun', `echo x >> "$0.runs"\nruns=$(wc -l < "$0.runs")\n${srun}`);
  const script = batchScript(gangRequest({ program: 'the whole\nprogram' }), 'node');
  const env = { PATH: `${directory}:/usr/bin:/bin`, SLURM_JOB_ID: '7' };
  const { code } = await systemProcesses.run(['sh'], { input: script, env, deadlineMs: 20_000 });
  return code;
}

describe('the batch script', () => {
  it.each([
    'Unable to confirm allocation for job 7: Unable to contact slurm controller (connect failure)',
    'Unable to create step for job 7: Unable to contact slurm controller (connect failure)',
    'Unable to create step for job 7: Requested nodes are busy',
    'Unable to create step for job 7: Prolog still running',
  ])('site S1: tries again while there is no step for it (%s), with the whole program', async words => {
    const away = `[ "$runs" -gt 3 ] || { echo "srun: error: ${words}" >&2; echo "srun: Check SLURM_JOB_ID environment variable." >&2; exit 1; }`;
    expect(await run(`${away}\ncat > "$0.input"`)).toBe(0);
    expect(said('srun.runs')).toBe('x\n'.repeat(4));
    expect(said('srun.input')).toBe('the whole\nprogram\n');
    expect(said('sleep.args')).toBe('2\n'.repeat(3));
  });

  it('tries no other failure again, and leaves its last words', async () => {
    const failure =
      'srun: error: Unable to create step for job 7: Requested node configuration is not available';
    expect(await run(`echo "${failure}" >&2; exit 3`)).toBe(3);
    expect(said('srun.runs')).toBe('x\n');
    expect(said('scontrol.args')).toContain(`Comment=last words: ${failure}`);
  });
});
