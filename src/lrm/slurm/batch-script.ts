import type { GangRequest } from '../lrm.ts';

/**
 * The batch script of a gang: hands the program to one `node -` per node through srun, which broadcasts its standard input to
 * all tasks (srun(1), --input). So the program, and the slot's secret in it, is in no argument, no environment and no file but the batch
 * script, which Slurm keeps readable by its owner and Slurm's administrators.
 *
 * - `exec`: the batch step becomes srun; there is no shell left that could swallow a signal.
 * - `--kill-on-bad-exit=0 --wait=0`: a pilot that ends does not take the others with it.
 * - The delimiter ends the program only if the program has it as a line; it is taken from the slot's random id and checked.
 */
export function batchScript(request: GangRequest, node: string): string {
  const delimiter = `end-of-program-${request.jobName}`;
  if (request.program.split('\n').includes(delimiter))
    throw new Error(`the program contains the line ${delimiter}`);
  if (!/^[A-Za-z0-9._/+-]+$/.test(node))
    throw new Error(`the Node program's path has characters that a script cannot take: ${node}`);
  return `#!/bin/sh
exec srun --input=all --kill-on-bad-exit=0 --wait=0 --mpi=none --cpu-bind=none --export=ALL --ntasks-per-node=1 ${node} - <<'${delimiter}'
${request.program}
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
    // The service's environment is none of the job's business.
    '--export=PATH,HOME,SLURM_CONF',
    '--output=/dev/null',
    ...(request.queue === undefined ? [] : [`--partition=${request.queue}`]),
    ...(request.account === undefined ? [] : [`--account=${request.account}`]),
    ...request.options,
  ];
}
