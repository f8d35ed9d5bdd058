import { type GangRequest, LrmError } from '../lrm.ts';

/** What a comment of a job begins with that says its last words. */
export const lastWordsMark = 'last words: ';

/** Signals of Slurm, its administrators and its users. */
const signals = 'HUP INT QUIT TERM USR1 USR2';

/**
 * What is kept of the words of a job that fails: its last lines, none of them long (an interpreter
 * that is not Node may print the program itself), and no word in them
 * as long as a secret, because a job's comment is for everybody's eyes.
 */
const lastWords = [
  'tail -c 4000',
  // Frames of a stack, and what srun says of itself whatever happens.
  `sed -E -e '/^ +at |^Node\\.js v|^ *$|lacks support for cpu binding/d' -e '/.{400}/d' -e 's/[A-Za-z0-9_+=-]{24,}/.../g'`,
  'cut -c 1-200',
  'tail -n 5',
].join(' | ');

/**
 * What srun says when it has no step for now, as patterns of sh: before it has started anything or
 * read any of its input. Words of Slurm 22.05: without a controller it gives up after nine seconds;
 * while its nodes have not registered with one that is back they are busy.
 */
const noStepYet = [
  `'srun: error: Unable to confirm allocation for job '*'Unable to contact slurm controller'`,
  ...['Unable to contact slurm controller', 'nodes are busy', 'rolog ', 'presently disabled'].map(
    why => `'srun: error: Unable to create step for job '*'${why}'`,
  ),
]
  .map(pattern => `*${pattern}*`)
  .join(' | ');
/** How long srun waits for its step. Left to itself it may wait for ever for one that is back. */
const stepSeconds = 20;
/** Of some ten seconds at least, each. */
const mostTries = 1_000;
const pauseSeconds = 2;

/**
 * The batch script of a gang: hands the program to one `node -` per node through srun, which
 * broadcasts its standard input to all tasks (srun(1), --input). So the program, and the slot's
 * secret in it, is in no argument, no environment and no file but the batch script, which Slurm
 * keeps readable by its owner and Slurm's administrators; where slurmdbd stores scripts
 * (AccountingStoreFlags=job_script), it has it for as long as it keeps jobs, and shows it to the
 * same. The secret is of one slot, and worth nothing once that is over.
 *
 * - `trap ''` and `trap -`: signals are srun's, which hands them on to the pilots; the shell and
 *   what reads srun's words outlive it.
 * - srun is started again while it has no step: a job may begin in the moment in which slurmctld
 *   stops, and has its nodes all the same. The program is still there, unread, on the script's input.
 * - `--kill-on-bad-exit=0 --wait=0`: a pilot that ends does not take the others with it.
 * - `--output=/dev/null`: nothing that a pilot leaves behind holds a pipe of Slurm's, for which it would keep the job for another minute.
 * - `--cpus-per-task`: since 22.05 srun does not take it from sbatch; without it a pilot would have one processor.
 * - The last words of a job that fails become its comment: the one place that its user may write
 *   to, that the service reads with its list, and that goes
 *   with the job. A controller that is away is not waited for.
 * - The delimiter ends the program only if the program has it as a line; it is taken from the slot's random id and checked.
 *
 * Throws `LrmError` (`refused`) when the script would not be what was asked for.
 */
export function batchScript(request: GangRequest, node: string): string {
  const { nodes, cpusPerNode, jobName, program } = request;
  const delimiter = `end-of-program-${jobName}`;
  if (program.split('\n').includes(delimiter))
    throw new LrmError('refused', `the program contains the line ${delimiter}`);
  if (!/^[A-Za-z0-9._/+-]+$/.test(node))
    throw new LrmError('refused', `lrm.node has characters that a batch script cannot take: ${node}`);
  const srun = [
    'srun --input=all --output=/dev/null --error=all --kill-on-bad-exit=0 --wait=0 --mpi=none --cpu-bind=none --export=ALL',
    `--immediate=${stepSeconds}`,
    `--nodes=${nodes} --ntasks=${nodes} --ntasks-per-node=1 --cpus-per-task=${cpusPerNode}`,
  ].join(' ');
  return `#!/bin/sh
trap '' ${signals}
{
tries=0
while
words=$({ (trap - ${signals}; exec ${srun} ${node} -); echo "exit $?" >&2; } 2>&1 >/dev/null | ${lastWords})
tries=$((tries + 1))
case $words in ${noStepYet}) [ "$tries" -lt ${mostTries} ] && sleep ${pauseSeconds} ;; *) false ;; esac
do :; done
code=\${words##*exit }
[ "$code" = 0 ] || timeout 5 scontrol update "JobId=$SLURM_JOB_ID" "Comment=${lastWordsMark}\${words%exit *}" >/dev/null 2>&1
exit "$code"
} <<'${delimiter}'
${program}
${delimiter}
`;
}

/** Arguments of sbatch(1) for a gang; the script comes on standard input. */
export function sbatchArguments(request: GangRequest): string[] {
  return [
    '--parsable',
    `--job-name=${request.jobName}`,
    `--nodes=${request.nodes}-${request.nodes}`,
    '--ntasks-per-node=1',
    `--cpus-per-task=${request.cpusPerNode}`,
    `--mem=${request.memoryMiBPerNode}M`,
    `--time=${Math.ceil(request.walltimeMs / 60_000)}`,
    // Slurm starting a lease again by itself would be a second lease that nobody asked for.
    '--no-requeue',
    // All of the few variables that sbatch itself was given. Anything else makes slurmd run a login shell first (--get-user-env): 0.25 s.
    '--export=ALL',
    // The service's working directory need not exist on a node.
    '--chdir=/',
    '--output=/dev/null',
    ...(request.queue === undefined ? [] : [`--partition=${request.queue}`]),
    ...(request.account === undefined ? [] : [`--account=${request.account}`]),
    ...request.options,
  ];
}
