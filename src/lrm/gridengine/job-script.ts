import { type GangRequest, LrmError } from '../lrm.ts';

/** A parallel environment that puts a fixed number of slots on each node (sge_pe(5), allocation_rule). */
export interface ParallelEnvironment {
  readonly name: string;
  readonly slotsPerNode: number;
}

const plain = /^[A-Za-z0-9._/+-]+$/;

/**
 * The job script of a gang: runs on the first node, and has the program started on every node of the gang by `qrsh -inherit`.
 *
 * - Grid Engine's spools show every user every job script, so the program, and the slot's secret in it, is in a file of the job's user alone
 *   (`programFile`), for as long as the job lasts. (It is not on standard input: qrsh stalls after 64 KiB of that.)
 * - The warning (SIGUSR2, qsub(1) -notify) reaches pilots directly on every node. It is for them: the script and the qrsh clients, which would die of it, ignore it.
 * - The job fails with the exit code of a pilot that failed.
 *
 * Throws `LrmError` (`refused`) when a path would not be one word.
 */
export function jobScript(programFile: string, node: string): string {
  for (const word of [programFile, node])
    if (!plain.test(word)) throw new LrmError('refused', `a job script cannot take this path: ${word}`);
  return `#!/bin/sh
trap '' USR1 USR2
PATH=$PATH:$SGE_ROOT/bin/$ARC
[ -r ${programFile} ] || exit 77
failed=0
set --
while read -r host _; do
  qrsh -inherit -nostdin "$host" ${node} ${programFile} > /dev/null 2>&1 &
  set -- "$@" $!
done < "$PE_HOSTFILE"
for pid; do wait "$pid" || failed=$?; done
rm -f ${programFile}
exit $failed
`;
}

/** Arguments of qsub(1) for a gang; the script comes on standard input. */
export function qsubArguments(
  request: GangRequest,
  environment: ParallelEnvironment,
  memoryResource: string,
): string[] {
  const { nodes, memoryMiBPerNode, walltimeMs, jobName, queue, account } = request;
  const { name, slotsPerNode } = environment;
  return [
    '-terse',
    // Refused now if it could never run, and not in the queue for ever.
    ...['-w', 'e'],
    ...['-N', jobName],
    '-notify',
    // Grid Engine starting a lease again by itself would be a second lease that nobody asked for.
    ...['-r', 'n'],
    ...['-pe', name, String(nodes * slotsPerNode)],
    // Memory is asked for by slot.
    ...[
      '-l',
      `${memoryResource}=${Math.ceil(memoryMiBPerNode / slotsPerNode)}M,h_rt=${Math.ceil(walltimeMs / 1_000)}`,
    ],
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

/** The allocation rule in `qconf -sp` (sge_pe(5)). Throws `LrmError` (`refused`) when it is not a number of slots, or when jobs may not start anything on their nodes. */
export function parallelEnvironment(text: string): ParallelEnvironment {
  const value = (key: string): string => new RegExp(`^${key}\\s+(\\S+)`, 'm').exec(text)?.[1] ?? '';
  const name = value('pe_name');
  const slotsPerNode = Number(value('allocation_rule'));
  if (!Number.isInteger(slotsPerNode) || slotsPerNode < 1)
    throw new LrmError(
      'refused',
      `parallel environment ${name} has the allocation rule ${value('allocation_rule')}; one pilot on each node takes a number, such as 1`,
    );
  if (value('control_slaves') !== 'TRUE')
    throw new LrmError(
      'refused',
      `parallel environment ${name} needs control_slaves TRUE: pilots are started on its nodes`,
    );
  return { name, slotsPerNode };
}
