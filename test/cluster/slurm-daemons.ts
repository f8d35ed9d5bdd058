import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startTimeOf } from '../../src/control/helper/proc.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import { systemRandom } from '../../src/platform/random.ts';
import type { BatchCluster } from './cluster.ts';

/** The daemons of a private Slurm that belong to the site, not to a node: slurmctld and munged. */

const deadlineMs = 60_000;

/**
 * Starts slurmctld with the state that it has saved, if any; resolves when it answers. `run` has
 * its SLURM_CONF.
 */
export async function startController(directory: string, run: BatchCluster['run']): Promise<void> {
  await must(run, ['slurmctld', '-f', join(directory, 'slurm.conf')]);
  await until(run, ['scontrol', 'ping'], ({ stdout }) => stdout.includes(' is UP'));
}

/** Starts a munged with a key of its own. */
export async function startMunge(directory: string): Promise<void> {
  const munge = join(directory, 'munge');
  const key = join(munge, 'key');
  // Started again, it has the key that everybody's credentials are made with.
  if (!existsSync(key)) writeFileSync(key, systemRandom.bytes(1024), { mode: 0o400 });
  const file = (name: string): string => `--${name}-file=${join(munge, name)}`;
  await must(
    argv => systemProcesses.run(argv, { deadlineMs: 30_000 }),
    [
      'munged',
      '--force',
      `--socket=${join(munge, 'socket')}`,
      `--key-file=${key}`,
      file('pid'),
      file('log'),
      file('seed'),
    ],
  );
}

/** SIGTERM to the daemon that has written this file; resolves when it has ended. */
export async function endDaemon(pidFile: string): Promise<void> {
  const pid = Number(readFileSync(pidFile, 'utf8'));
  const started = startTimeOf(pid);
  process.kill(pid, 'SIGTERM');
  // The kernel tells the end of a process only to its parent, which it has left.
  const endsMs = systemClock.monotonicMs() + deadlineMs;
  while (startTimeOf(pid) === started) {
    if (systemClock.monotonicMs() > endsMs)
      throw new Error(`${pidFile}: process ${pid} did not end within ${deadlineMs} ms`);
    await pause(systemClock, 20);
  }
}

/**
 * Slurm has no event for what is waited for; it is asked again until the answer is right or the
 * deadline is over.
 */
export async function until(
  run: BatchCluster['run'],
  argv: readonly [string, ...string[]],
  isRight: (result: CommandResult) => boolean,
): Promise<void> {
  const endsMs = systemClock.monotonicMs() + deadlineMs;
  for (;;) {
    const result = await run(argv);
    if (isRight(result)) return;
    if (systemClock.monotonicMs() > endsMs)
      throw new Error(
        `${argv.join(' ')} still says after ${deadlineMs} ms: ${result.stdout}${result.stderr}`,
      );
    await pause(systemClock, 100);
  }
}

/** Rejects when the command fails. */
export async function must(
  run: (argv: readonly [string, ...string[]]) => Promise<CommandResult>,
  argv: readonly [string, ...string[]],
): Promise<void> {
  const result = await run(argv);
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: exit ${result.code}: ${result.stderr.trim()}`);
}
