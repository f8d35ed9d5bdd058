import { type GangRequest, LrmError } from '../lrm.ts';
import { requireWords } from '../programs.ts';
import type { MemoryCounting, ParallelEnvironment } from './facts.ts';

/** The most of a job's words that are kept. */
const wordsBytes = 2_000;

/**
 * The job script of a gang: runs on the first node, and has the program started on every node of the gang by `qrsh -inherit`.
 *
 * - Grid Engine's spools show every user every job script, so the program, and the slot's secret in it, is in a file of the job's user alone
 *   (`programFile`), for as long as the job lasts. (It is not on standard input: qrsh stalls after 64 KiB of that.)
 * - `wordsFile` is there as soon as the script runs, after the prolog, which nothing else tells;
 *   the last that qrsh and the pilots said is in it when the job fails.
 * - The warning (SIGUSR2, qsub(1) -notify) reaches pilots directly on every node. It is for them: the script and the qrsh clients, which would die of it, ignore it.
 * - The job fails with the exit code of a pilot that failed.
 *
 * Throws `LrmError` (`refused`) when a path would not be one word.
 */
export function jobScript(files: { readonly program: string; readonly words: string }, node: string): string {
  const { program, words } = files;
  requireWords(program, words, node);
  return `#!/bin/sh
trap '' USR1 USR2
umask 077
PATH=$SGE_ROOT/bin/$ARC:$PATH
[ -r ${program} ] || exit 77
: > ${words}
gang() {
  failed=0
  set --
  while read -r host _; do
    qrsh -inherit -nostdin "$host" ${node} ${program} 2>&1 > /dev/null &
    set -- "$@" $!
  done < "$PE_HOSTFILE"
  for pid; do wait "$pid" || failed=$?; done
  echo $failed >&3
}
failed=$({ gang | tail -c ${wordsBytes} > ${words}; } 3>&1)
rm -f ${program}
[ "$failed" != 0 ] || rm -f ${words}
exit $failed
`;
}

/** Arguments of qsub(1) for a gang, without the check (`-w`); the script is its standard input. */
export function qsubArguments(
  request: GangRequest,
  environment: ParallelEnvironment,
  memory: { readonly resource: string; readonly counting: MemoryCounting },
): string[] {
  const { nodes, memoryMiBPerNode, walltimeMs, jobName, queue, account } = request;
  const { name, slotsPerNode } = environment;
  const memoryMiB =
    memory.counting === 'slot' ? Math.ceil(memoryMiBPerNode / slotsPerNode) : memoryMiBPerNode;
  return [
    '-terse',
    ...['-N', jobName],
    '-notify',
    // Grid Engine starting a lease again by itself would be a second lease that nobody asked for.
    ...['-r', 'n'],
    ...['-pe', name, String(nodes * slotsPerNode)],
    ...['-l', `${memory.resource}=${memoryMiB}M,h_rt=${Math.ceil(walltimeMs / 1_000)}`],
    ...['-S', '/bin/sh', '-wd', '/', '-o', '/dev/null', '-j', 'y'],
    ...(queue === undefined ? [] : ['-q', queue]),
    ...(account === undefined ? [] : ['-P', account]),
    ...request.options,
  ];
}

/** The environment with room for so many processors on each node, and no more than needed. Throws `LrmError` (`refused`). */
export function environmentFor(
  cpusPerNode: number,
  environments: readonly ParallelEnvironment[],
): ParallelEnvironment {
  const fitting = environments
    .filter(({ slotsPerNode }) => slotsPerNode >= cpusPerNode)
    .toSorted((one, other) => one.slotsPerNode - other.slotsPerNode)[0];
  if (fitting) return fitting;
  const known = environments.map(({ name, slotsPerNode }) => `${name}: ${slotsPerNode}`).join(', ');
  throw new LrmError(
    'refused',
    `no parallel environment gives ${cpusPerNode} slots on one node (slots per node of ${known}); an administrator can make one`,
  );
}
