import { type GangRequest, LrmError } from '../lrm.ts';

/** The two lines of descent of PBS: OpenPBS (and PBS Professional), and Torque. */
export type PbsDialect = 'openpbs' | 'torque';

const plain = /^[A-Za-z0-9._/+-]+$/;

/** On a node: sets HOSTNAME, by which a pilot knows its node, and becomes the pilot. Its output would go through the job's. */
const startPilot =
  'HOSTNAME=$(uname -n); HOSTNAME=${HOSTNAME%%.*}; export HOSTNAME; exec "$0" "$1" < /dev/null > /dev/null 2>&1';
/** On a node: lasts as long as a pilot of this job does. The pattern does not match itself. */
const awaitPilot = 'while pgrep -f -- "$0" > /dev/null; do sleep 0.2; done';

/**
 * The job script of a gang: runs on the first node, and has the program started once on every node of the gang by pbsdsh(1B).
 *
 * - pbsdsh gives its tasks no standard input, and arguments and environments are everybody's to see, so the program, and the slot's secret in it, is in a
 *   file of the job's user alone (`programFile`), for as long as the job lasts.
 * - The warning (SIGTERM, on qdel and at the end of the walltime) is sent to the processes of the first node only. pbsdsh hands it to its tasks on all nodes
 *   and is gone at once; a job whose script ends is killed, so the script waits for the pilots by another pbsdsh, until they have ended or the kill delay has.
 * - PBS feeds the script's path to a login shell (unless it was built to do otherwise), which would die of the warning, and the job with it. That shell, the leader of our
 *   session, is stopped meanwhile: a stopped process gets its SIGTERM when it goes on.
 * - pbsdsh ends with 0 whatever its tasks do, but says `exit status N` of each that failed: the job fails with the first.
 *
 * Throws `LrmError` (`refused`) when a path would not be one word.
 */
export function jobScript(
  dialect: PbsDialect,
  programFile: string,
  node: string,
  binDir: string | undefined,
): string {
  for (const word of [programFile, node, ...(binDir === undefined ? [] : [binDir])])
    if (!plain.test(word)) throw new LrmError('refused', `a job script cannot take this path: ${word}`);
  // OpenPBS starts one task for each chunk, which is a node (place=scatter, mpiprocs=1); Torque one for each processor, unless -u.
  const pbsdsh = dialect === 'openpbs' ? 'pbsdsh --' : 'pbsdsh -u --';
  const pattern = `[w]${programFile
    .slice(programFile.lastIndexOf('/') + 1)
    .replaceAll('.', '[.]')
    .slice(1)}`;
  return `#!/bin/sh
${dialect === 'openpbs' ? '[ -r /etc/pbs.conf ] && . /etc/pbs.conf && PATH=$PATH:$PBS_EXEC/bin\n' : ''}${binDir === undefined ? '' : `PATH=$PATH:${binDir}\n`}ended=0
trap ended=1 TERM
leader=$(ps -o sid= -p $$ | tr -d ' ')
[ "$leader" = "$PPID" ] || leader=
[ -z "$leader" ] || kill -STOP "$leader"
failed=0
if [ -r ${programFile} ]; then
  said=$(${pbsdsh} /bin/sh -c '${startPilot}' ${node} ${programFile} 2>&1)
  case $said in
    '') ;;
    *'exit status '*) failed=$(printf '%s\\n' "$said" | sed -n 's/.*exit status \\([0-9]*\\).*/\\1/p' | head -n 1) ;;
    *) failed=78 ;;
  esac
else
  failed=77
fi
if [ $ended = 1 ]; then
  until ${pbsdsh} /bin/sh -c '${awaitPilot}' '${pattern}' > /dev/null 2>&1; do sleep 0.5; done
  rm -f ${programFile}
  trap - TERM
  [ -z "$leader" ] || kill -CONT "$leader"
  kill -TERM $$
fi
rm -f ${programFile}
[ -z "$leader" ] || kill -CONT "$leader"
exit "\${failed:-1}"
`;
}

/** Arguments of qsub(1B) for a gang; the script comes on standard input. */
export function qsubArguments(dialect: PbsDialect, request: GangRequest): string[] {
  const { nodes, cpusPerNode, memoryMiBPerNode, walltimeMs, jobName, queue, account } = request;
  const resources =
    dialect === 'openpbs'
      ? [
          ...['-l', `select=${nodes}:ncpus=${cpusPerNode}:mpiprocs=1:mem=${memoryMiBPerNode}mb`],
          ...['-l', 'place=scatter'],
        ]
      : // Torque's schedulers share `mem`, which is the whole job's, out among its processors.
        ['-l', `nodes=${nodes}:ppn=${cpusPerNode}`, '-l', `mem=${nodes * memoryMiBPerNode}mb`];
  return [
    ...['-N', jobName],
    ...resources,
    ...['-l', `walltime=${walltimeText(Math.ceil(walltimeMs / 1_000))}`],
    // PBS starting a lease again by itself would be a second lease that nobody asked for.
    ...['-r', 'n'],
    ...['-m', 'n', '-j', 'oe', '-o', '/dev/null', '-S', '/bin/sh'],
    // Where lrm.node is found; nothing else of ours is the job's business.
    ...['-v', 'PATH'],
    ...(queue === undefined ? [] : ['-q', queue]),
    ...(account === undefined ? [] : ['-A', account]),
    ...request.options,
  ];
}

/** Seconds as PBS writes them: `00:10:00`, `100:00:00`. */
export function walltimeText(seconds: number): string {
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map(part => String(part).padStart(2, '0')).join(':');
}
