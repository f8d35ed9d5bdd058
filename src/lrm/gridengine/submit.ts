import type { LrmCommands } from '../commands.ts';
import type { GangRequest } from '../lrm.ts';
import { programFile, wordsFile } from '../programs.ts';
import { answerError, plainWords, submittedId } from './answers.ts';
import type { GridEngineSettings } from './section.ts';
import type { Facts, MemoryCounting } from './facts.ts';
import { environmentFor, jobScript, qsubArguments } from './job-script.ts';
import { whatStandsInTheWay } from './reasons.ts';

/** A gang, ready to be handed to qsub. */
export interface Submission {
  readonly script: string;
  /** `mem_total`: the hosts' fixed sizes for load values, of which some checks know nothing. */
  arguments(resource?: string): readonly string[];
  readonly counting: MemoryCounting;
}

/** What a request is for this Grid Engine. Throws `LrmError`: `refused` when no such job can be. */
export async function prepare(
  facts: Facts,
  settings: GridEngineSettings,
  programDir: string,
  request: GangRequest,
): Promise<Submission> {
  const { memoryResource, node = 'node' } = settings;
  const { environments, counting } = await facts.known();
  const environment = environmentFor(request.cpusPerNode, environments);
  return {
    script: jobScript(
      {
        program: programFile(programDir, request.jobName),
        words: wordsFile(programDir, request.jobName),
      },
      node,
    ),
    counting,
    arguments: (resource = memoryResource) => qsubArguments(request, environment, { resource, counting }),
  };
}

/**
 * Submits it and returns the job's id. Grid Engine refuses at once what could never run (`-w e`;
 * `-w n`: no check), but knows no load values then: what is only measured, as `mem_free` is when
 * Grid Engine is installed, is never there. What it refuses so is asked about once more.
 */
export async function submit({ run }: LrmCommands, submission: Submission): Promise<string> {
  const once = (check: 'e' | 'n') => run('qsub', ['-w', check, ...submission.arguments()], submission.script);
  const checked = submission.counting === 'load' ? undefined : await once('e');
  const unfit = checked === undefined || isUnfit(checked.stderr);
  if (unfit) await mustFit({ run }, submission);
  const { code, stdout, stderr } = unfit ? await once('n') : checked;
  const jobId = submittedId(stdout, stderr);
  if (jobId !== undefined) return jobId;
  throw answerError('Grid Engine did not take the job', code, stderr || stdout);
}

/** Asks whether it would be taken. Throws as `submit` would, with what stands in the way. */
export async function mustFit({ run }: Pick<LrmCommands, 'run'>, submission: Submission): Promise<void> {
  // `v`: an empty site, without load values; `p`: the site as it is now, with them.
  const look = (how: 'v' | 'p', args: readonly string[]) =>
    run('qsub', ['-w', how, ...args], submission.script);
  const { counting } = submission;
  const ever = await look('v', submission.arguments(counting === 'load' ? 'mem_total' : undefined));
  if (ever.code === 0) return;
  const words = ever.stderr || ever.stdout;
  // Some of it may be a load value: with those, and only as the site is now, it may do.
  if (isUnfit(words) && (await look('p', submission.arguments())).code === 0) return;
  throw answerError('Grid Engine would not run the job', ever.code, words, causes(words));
}

function isUnfit(words: string): boolean {
  return /no suitable queues/.test(words);
}

/** What `qsub -w v` says of every queue and node, in few words. */
function causes(words: string): string {
  if (!isUnfit(words)) return plainWords(words);
  const remarks = words.split('\n').map(line => plainWords(line).replace(/^Job \d+ /, ''));
  const told = remarks.filter(line => line !== '' && !line.startsWith('verification: '));
  return whatStandsInTheWay(told) || 'no suitable queues';
}
