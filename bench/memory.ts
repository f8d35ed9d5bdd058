/**
 * Memory of jobs whose guests use all of theirs: what the LRM is asked for, which is the limit,
 * against what is really used: guest, QEMU, pilot, and what the LRM runs around
 * them. On a real Slurm that limits jobs by cgroup, without swap. Used: what the kernel cannot take
 * back from the job; the highest, as none of it is given back while the guest lives.
 * Usage: node --import tsx bench/memory.ts [MIB…]. Needs root and `make setup`. Exits with 1 when a
 * guest did not live.
 */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause, systemClock } from '../src/platform/clock.ts';
import type { WorkspaceView } from '../src/protocol/api.ts';
import { filledWord, fillerFor, jobUse, makeFillers } from '../test/support/memory.ts';
import { startSite, type TestSite } from '../test/support/site.ts';
import { machine } from './figures.ts';

const filledDeadlineMs = 300_000;
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [64, 256, 512, 1_024, 2_048];

const images = mkdtempSync(join(tmpdir(), 'wsp-bench-images-'));
let site: TestSite | undefined;
try {
  chmodSync(images, 0o755);
  await makeFillers(images);
  site = await startSite({
    lrm: 'slurm',
    nodes: 1,
    slurm: { sizes: [{ cpus: 2, memoryMiB: Math.max(...sizes) * 2 + 1_024 }] },
    more: { images: { dir: images } },
  });
  console.log(`guests that use all of their memory, ${machine()}`);
  for (const memoryMiB of sizes) await measure(site, memoryMiB);
} finally {
  await site?.stop();
  rmSync(images, { recursive: true, force: true });
}

async function measure(on: TestSite, memoryMiB: number): Promise<void> {
  const name = `fill-${memoryMiB}`;
  const create = [
    'create',
    '--image',
    fillerFor(memoryMiB),
    '--memory',
    `${memoryMiB}M`,
    '--name',
    name,
    '--wait',
  ];
  const { slot } = await on.json<WorkspaceView>(create, 150_000);
  const jobId = slot?.lrmJobId ?? '';
  await untilFilled(on.workDir);
  const use = jobUse('n01', jobId);
  const { state, reason } = await on.json<WorkspaceView>(['show', name]);
  const lives = state === 'running' && use?.oomKills === 0;
  if (!lives) process.exitCode = 1;
  const figures = use
    ? `limit ${use.limitMiB} MiB, used ${use.usedMiB} MiB, ratio ${(use.limitMiB / use.usedMiB).toFixed(3)}`
    : 'memory is not limited here';
  console.log(
    `guest ${String(memoryMiB).padStart(4)} MiB   ${figures}   ${lives ? 'lives' : `${state}: ${reason?.message}`}`,
  );
  await on.json(['destroy', name, '--wait'], 60_000);
}

/** A console has no event that tells of a word in it, and its file is written without one. */
async function untilFilled(workDir: string): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + filledDeadlineMs;
  while (!consoles(workDir).some(text => text.includes(filledWord))) {
    if (systemClock.monotonicMs() > deadlineMs)
      throw new Error('the guest has not filled its memory in time');
    await pause(systemClock, 200);
  }
}

function consoles(workDir: string): readonly string[] {
  return readdirSync(workDir, { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('/console.log'))
    .map(path => readFileSync(join(workDir, path), 'utf8'));
}
