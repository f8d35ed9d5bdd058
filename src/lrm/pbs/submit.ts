import { formatDuration } from '../../protocol/units.ts';
import type { LrmCommands } from '../commands.ts';
import { oneLine } from '../../platform/one-line.ts';
import { type GangRequest, LrmError } from '../lrm.ts';
import { keepProgram, programFile, wordsFile } from '../programs.ts';
import { askSite, type Dialect } from './dialect.ts';
import { jobScript, type PbsDialect, qsubArguments } from './job-script.ts';
import { nodesOfQueue, type PbsSite } from './server.ts';
import { errorKind } from './words.ts';

/** What a submission needs. */
export interface SubmitParts {
  readonly commands: LrmCommands;
  readonly name: PbsDialect;
  readonly dialect: Dialect;
  readonly programDir: string;
  readonly node: string;
  readonly binDir: string | undefined;
}

/** Submits a gang, and returns the job's id. Throws `LrmError`, of any kind. */
export async function submitGang(request: GangRequest, parts: SubmitParts): Promise<string> {
  const { commands, name, dialect, programDir, node, binDir } = parts;
  const script = jobScript(name, {
    programFile: programFile(programDir, request.jobName),
    wordsFile: wordsFile(programDir, request.jobName),
    node,
    binDir,
  });
  await refuseImpossible(commands, dialect, request);
  await keepProgram(programDir, request);
  return qsub(commands, qsubArguments(name, request), script);
}

/** Compares a gang with what the server has: PBS itself cannot be asked. Throws as `submitGang`. */
export async function wouldTake(
  request: GangRequest,
  { commands, dialect }: Pick<SubmitParts, 'commands' | 'dialect'>,
): Promise<void> {
  refuseForQueue(await askSite(dialect, commands), request);
  await refuseImpossible(commands, dialect, request);
}

/** The id of the job that qsub(1B) has submitted. */
async function qsub({ run }: LrmCommands, args: readonly string[], script: string): Promise<string> {
  const { code, stdout, stderr } = await run('qsub', args, script);
  const jobId = stdout.trim().split('\n').at(-1) ?? '';
  if (code === 0 && /^\d+\.[\w.-]+$/.test(jobId)) return jobId;
  const words = oneLine(stderr || stdout).replace(/^qsub: /, '');
  const kind = code === 0 ? 'unavailable' : errorKind(code, words);
  const what = {
    refused: 'PBS refused the job',
    deferred: 'PBS does not accept the job at this moment',
    unavailable: 'PBS could not be asked',
  }[kind];
  throw new LrmError(kind, `${what}: ${words || `qsub exited with ${code} and printed nothing`}`);
}

/** PBS lets wait what no nodes could ever run. Nodes that are down count: they may come back. */
async function refuseImpossible(
  commands: LrmCommands,
  dialect: Dialect,
  { nodes, cpusPerNode, memoryMiBPerNode, queue }: GangRequest,
): Promise<void> {
  const known = nodesOfQueue(await dialect.nodes(commands), queue);
  const fitting = known.filter(({ cpus, memoryMiB }) => cpus >= cpusPerNode && memoryMiB >= memoryMiBPerNode);
  if (fitting.length >= nodes) return;
  throw new LrmError(
    'refused',
    `PBS could never run it: ${nodes} nodes with ${cpusPerNode} processors and ${memoryMiBPerNode} MiB are wanted, ${fitting.length} of ${known.length} nodes have as much`,
  );
}

/** What qsub would say of the queue. Throws `LrmError` (`refused`, `deferred`). */
function refuseForQueue({ queues, server, defaultQueue }: PbsSite, request: GangRequest): void {
  const name = request.queue ?? defaultQueue;
  if (name === undefined) return;
  const queue = queues.get(name);
  if (!queue) throw new LrmError('refused', `PBS has no queue ${name}`);
  if (!queue.isEnabled)
    throw new LrmError('deferred', `the queue ${name} of PBS takes no jobs just now: it is not enabled`);
  const most = queue.maxWalltimeSeconds ?? server.maxWalltimeSeconds ?? Infinity;
  if (request.walltimeMs > most * 1_000)
    throw new LrmError(
      'refused',
      `the longest job of the queue ${name} of PBS is ${formatDuration(most * 1_000)}`,
    );
}
