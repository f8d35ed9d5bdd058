import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemProcesses } from '../../src/platform/process.ts';
import { bareFiller } from './bare-filler.ts';
import { imagesDirectory } from './guest.ts';

/** Guests that use all of their memory, and what the kernel counts for the job that they are in. */

/**
 * A shell's commands: fills a guest's memory but for what its kernel needs to go on. `run`: how its
 * programs are called.
 */
function filling(run: string): string {
  return `${run} mkdir -p /fill
${run} mount -t tmpfs -o size=100%,nr_inodes=0 fill /fill
room() { while read -r key value unit; do [ "$key" = "$1" ] && echo "$value"; done < /proc/meminfo; }
${run} dd if=/dev/zero of=/fill/most bs=1M count=$(($(room MemAvailable:) / 1024 - 8)) 2> /dev/null
n=0
while [ $(room MemFree:) -gt 6000 ] && [ $(room MemAvailable:) -gt 4000 ]; do
	${run} dd if=/dev/zero of=/fill/$n bs=256k count=1 2> /dev/null || break
	n=$((n + 1))
done
`;
}

/** User data with which the image mini fills its memory before it says that it is up. */
export const fillMemory = `#!/bin/sh\n${filling('')}`;

/**
 * What the images of `makeFillers` say on their consoles when their memory is full; they then stay.
 */
export const filledWord = 'memory is full';

/**
 * The least that the image `filler` boots in, and what `filler-bare` has: no kernel of Debian's
 * boots in that.
 */
const leastMiB = 128;
const bareMiB = 64;

/** The image for a guest that fills that much memory. */
export function fillerFor(memoryMiB: number): string {
  if (memoryMiB >= leastMiB) return 'filler';
  if (memoryMiB === bareMiB) return 'filler-bare';
  throw new RangeError(`there is no image for ${memoryMiB} MiB`);
}

/**
 * Makes the images `filler`, which is mini's kernel with nothing but a shell, and `filler-bare`,
 * which has no kernel.
 */
export async function makeFillers(directory: string): Promise<void> {
  const mini = join(imagesDirectory, 'mini');
  const manifest = JSON.parse(readFileSync(join(mini, 'image.json'), 'utf8')) as { readonly boot: object };
  const describe = (name: string, more: object): string => {
    const at = join(directory, name);
    mkdirSync(at);
    const text = {
      ...manifest,
      name,
      description: 'fills its memory',
      agent: false,
      minMemoryMiB: 1,
      ...more,
    };
    writeFileSync(join(at, 'image.json'), JSON.stringify(text));
    return at;
  };
  const filler = describe('filler', {});
  copyFileSync(join(mini, 'vmlinux'), join(filler, 'vmlinux'));
  await packShell(join(directory, '.filler'), join(filler, 'initrd'));
  const disk = { file: 'disk', format: 'raw' };
  const bare = describe('filler-bare', { machine: 'q35', boot: { kind: 'disk' }, disk });
  writeFileSync(join(bare, 'disk'), Buffer.concat([bareFiller(bareMiB, filledWord)], 2 ** 20));
}

/** An initrd of busybox alone, whose first program fills the memory; `tree` is made for it. */
async function packShell(tree: string, initrd: string): Promise<void> {
  for (const name of ['bin', 'dev', 'proc']) mkdirSync(join(tree, name), { recursive: true });
  copyFileSync('/bin/busybox', join(tree, 'bin/busybox'));
  const init = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
${filling('/bin/busybox')}
echo '${filledWord}' > /dev/console
while :; do /bin/busybox sleep 1000; done
`;
  writeFileSync(join(tree, 'init'), init, { mode: 0o755 });
  const pack = 'cd "$0" && find . | cpio -o -H newc --quiet > "$1"';
  const packed = await systemProcesses.run(['sh', '-c', pack, tree, initrd], { deadlineMs: 30_000 });
  if (packed.code !== 0) throw new Error(`cpio: ${packed.stderr}`);
}

/** Memory of a job of the tests' Slurm on a node, as the first cgroup hierarchy counts it. */
export interface JobUse {
  readonly limitMiB: number;
  /**
   * Of the job's processes and of the kernel for them: not what it keeps of files, which it gives
   * up when it must.
   */
  readonly usedMiB: number;
  /** How many of its processes the kernel has killed for want of memory. */
  readonly oomKills: number;
}

/** Undefined where memory is not limited by the first hierarchy. */
export function jobUse(node: string, jobId: string): JobUse | undefined {
  const users = join('/sys/fs/cgroup/memory', `slurm_${node}`);
  for (const user of directoriesIn(users)) {
    const job = join(users, user, `job_${jobId}`);
    if (!existsSync(job)) continue;
    const groups = [job, ...below(job)];
    const read = (path: string, name: string): string => readFileSync(join(path, name), 'utf8');
    const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
    const rss = Number(/^total_rss (\d+)$/m.exec(read(job, 'memory.stat'))?.[1]);
    return {
      limitMiB: mebibytes(Number(read(job, 'memory.limit_in_bytes'))),
      usedMiB: mebibytes(rss + Number(read(job, 'memory.kmem.usage_in_bytes'))),
      oomKills: groups.reduce(
        (sum, path) => sum + Number(/^oom_kill (\d+)$/m.exec(read(path, 'memory.oom_control'))?.[1] ?? 0),
        0,
      ),
    };
  }
  return undefined;
}

function below(directory: string): readonly string[] {
  return directoriesIn(directory).flatMap(name => [join(directory, name), ...below(join(directory, name))]);
}

function directoriesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
