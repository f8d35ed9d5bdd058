import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';

const root = new URL('../..', import.meta.url).pathname;

/**
 * Our programs, built from the sources as they are now, for tests of what only real processes show.
 */
export interface Programs {
  /** A directory that goes with them. */
  readonly directory: string;
  /**
   * Runs a bash script in which `wsp` is the command and `pilot` the one file of nodes. Of our
   * environment it has PATH alone; it runs in `directory` unless it
   * goes elsewhere.
   */
  shell(script: string, env?: NodeJS.ProcessEnv): Promise<CommandResult>;
  remove(): void;
}

export async function buildPrograms(): Promise<Programs> {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-programs-'));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  const dist = join(directory, 'dist');
  const built = await systemProcesses.run([process.execPath, join(root, 'scripts/build.mjs'), dist], {
    deadlineMs: 120_000,
  });
  if (built.code !== 0) throw new Error(built.stderr);
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  for (const [name, file] of [
    ['wsp', 'wsp.js'],
    ['pilot', 'pilot.cjs'],
    ['node-tools', 'node-tools.cjs'],
  ] as const) {
    const script = `#!/bin/sh\nexec '${process.execPath}' '${dist}/${file}' "$@"\n`;
    writeFileSync(join(bin, name), script, { mode: 0o755 });
  }
  return {
    directory,
    shell: (script, env = {}) =>
      systemProcesses.run(['bash', '--norc', '-c', script], {
        deadlineMs: 110_000,
        cwd: directory,
        env: { PATH: `${bin}:${process.env['PATH']}`, ...env },
      }),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
