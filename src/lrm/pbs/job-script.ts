import type { GangRequest } from '../lrm.ts';
import { requireWords } from '../programs.ts';

/** The two lines of descent of PBS: OpenPBS (and PBS Professional), and Torque. */
export type PbsDialect = 'openpbs' | 'torque';

/** What of a gang's script depends on the site. */
export interface ScriptPlaces {
  /** The program, with the slot's secret: a file that all nodes see and its user alone can read. */
  readonly programFile: string;
  /** What went wrong on any node is written here; a job that ends well removes it. */
  readonly wordsFile: string;
  readonly node: string;
  /** Where pbsdsh is on the nodes. Default: PATH, and what /etc/pbs.conf says. */
  readonly binDir: string | undefined;
}

/**
 * In sh, whichever it is: waits for our child $1, whatever signals we handle meanwhile (each sets
 * `heard`); its exit code is then `code`. A shell forgets a child that it has waited for (127).
 */
const awaitChild = `await() {
  code= heard=1
  while [ $heard = 1 ]; do
    heard=0; wait "$1"; now=$?
    [ $now = 127 ] && [ -n "$code" ] || code=$now
  done
}`;

/**
 * On a node: starts the pilot ($0 runs $1; $2 takes what it says), and lasts as long. It outlives
 * the warning, which is the pilot's. HOSTNAME is how a pilot knows its node. `$3`: where PBS keeps
 * what we print: nothing is printed, and the file is not left behind even by a job that is killed.
 */
const startPilot = `exec >> "$2" 2>&1 < /dev/null
rm -f "$3"
HOSTNAME=$(uname -n); HOSTNAME=\${HOSTNAME%%.*}; export HOSTNAME
${awaitChild}
trap heard=1 TERM
"$0" "$1" &
await $!
exit $code`;

/** On a node: hands the warning to our user's pilot, whose whole command line $0 matches. */
const relayWarning = `exec > /dev/null 2>&1 < /dev/null
trap : TERM
sleep 2147483647 & wait $!
pkill -TERM -u "$(id -u)" -f -- "$0"
kill $!`;

/**
 * The job script of a gang: runs on the first node, and has the program started once on every node
 * of
 * the gang by pbsdsh(1B).
 *
 * - pbsdsh gives its tasks no standard input, and arguments and environments are everybody's to
 *   see:
 *   hence the file.
 * - The warning (SIGTERM, on qdel, preemption and at the end of the walltime) is sent to the
 *   sessions
 *   of the first node only, and a job whose script ends is killed. The pbsdsh that starts the pilots
 *   must outlast it, so it has a session of its own. On gangs another one, which the warning reaches,
 *   hands it to its tasks on all nodes, and is gone. Nothing can be started after the warning: on gangs
 *   it also ends pbs_demux, without which pbs_mom starts no task.
 * - PBS feeds the script's path to a login shell (unless it was built to do otherwise), which would
 *   die of the warning, and the job with it. That shell, the leader of our session, is stopped
 *   meanwhile, also after PBS has suspended the job and continued it: a stopped process gets its
 *   SIGTERM when it goes on. It goes on only when nothing else is left in its session, for pbs_mom
 *   looks for such processes but every ten seconds.
 * - pbsdsh ends with 0 whatever its tasks do, but says `exit status N` of each that failed, and
 *   `on spawn` of each that it could not start.
 *
 * Throws `LrmError` (`refused`) when a path would not be one word.
 */
export function jobScript(dialect: PbsDialect, places: ScriptPlaces): string {
  const { programFile, wordsFile, node, binDir } = places;
  requireWords(programFile, wordsFile, node, ...(binDir === undefined ? [] : [binDir]));
  // OpenPBS starts one task for each chunk, which is a node (place=scatter, mpiprocs=1); Torque one for each processor, unless -u.
  const pbsdsh = dialect === 'openpbs' ? 'pbsdsh --' : 'pbsdsh -u --';
  const pilot = `^[^ ]+ ${programFile.replace(/[.+]/g, '[$&]')}$`;
  return `#!/bin/sh
kept=$HOME/$PBS_JOBNAME.o\${PBS_JOBID%%.*}
rm -f "$kept"
${dialect === 'openpbs' ? '[ -r /etc/pbs.conf ] && . /etc/pbs.conf && PATH=$PATH:$PBS_EXEC/bin\n' : ''}${binDir === undefined ? '' : `PATH=$PATH:${binDir}\n`}leader=$(ps -o sid= -p $$ | tr -d ' ')
[ "$leader" = "$PPID" ] || leader=
hold() { [ -z "$leader" ] || kill -STOP "$leader"; }
warned=0
${awaitChild}
trap 'heard=1 warned=1' TERM
trap 'heard=1; hold' CONT
hold
failed=0
if [ -r ${programFile} ]; then
  setsid ${pbsdsh} /bin/sh -c '${startPilot}' ${node} ${programFile} ${wordsFile} "$kept" >> ${wordsFile} 2>&1 < /dev/null &
  pilots=$!
  relay=
  if [ "$(sort -u "$PBS_NODEFILE" | wc -l)" -gt 1 ]; then
    ${pbsdsh} /bin/sh -c '${relayWarning}' '${pilot}' > /dev/null 2>&1 < /dev/null &
    relay=$!
  fi
  await $pilots
  pilots=$code
  if [ -n "$relay" ]; then
    kill -TERM $relay 2> /dev/null
    await $relay
  fi
  said=$(grep -e '^pbsdsh' -e 'on spawn$' ${wordsFile})
  case $said in
    *' on spawn'*|*'spawn failed'*) failed=78 ;;
    *'exit status '*) failed=$(printf '%s\\n' "$said" | sed -n 's/.*exit status \\([0-9]*\\).*/\\1/p' | head -n 1) ;;
    *) [ "$said$pilots" = 0 ] || failed=78 ;;
  esac
else
  failed=77
fi
rm -f ${programFile} "$kept"
[ "$warned$failed" != 00 ] || rm -f ${wordsFile}
if [ -n "$leader" ]; then
  exec setsid /bin/sh -c 'kill -CONT "$0"; exit "$1"' "$leader" "\${failed:-1}"
elif [ $warned = 1 ]; then
  trap - TERM
  kill -TERM $$
fi
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
    // Kept on the first node, where the script removes it: -o would copy it to this host first.
    ...['-m', 'n', '-j', 'oe', '-k', 'oe', '-S', '/bin/sh'],
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
