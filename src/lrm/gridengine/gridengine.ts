import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import { type GangRequest, type Lrm, LrmError, type LrmJob } from '../lrm.ts';
import { keepProgram } from '../programs.ts';
import { answerError, isGone } from './answers.ts';
import { capabilities } from './capabilities.ts';
import { accountingFile, commandsOf } from './commands.ts';
import type { GridEngineSettings } from './section.ts';
import { Facts } from './facts.ts';
import { Sizes } from './hosts.ts';
import { listJobs } from './list.ts';
import { Memory } from './memory.ts';
import { mustFit, prepare, submit } from './submit.ts';

/** The adapter for Grid Engine: qsub with a parallel environment, one qstat for all jobs, qdel. It changes nothing of Grid Engine and needs no privilege in it. */
export function gridEngine(settings: GridEngineSettings, processes: ProcessRunner, clock: Clock): Lrm {
  const commands = commandsOf(settings, processes);
  const { programDir = join(homedir(), '.workspace-pilot') } = settings;
  const [memory, sizes, facts] = [new Memory(), new Sizes(), new Facts(commands, settings, clock)];
  return {
    kind: 'gridengine',
    capabilities: () => capabilities(commands, settings, facts, sizes),

    async submit(request: GangRequest): Promise<string> {
      const submission = await prepare(facts, settings, programDir, request);
      await keepProgram(programDir, request);
      return submit(commands, submission);
    },

    async dryRun(request: GangRequest): Promise<void> {
      await mustFit(commands, await prepare(facts, settings, programDir, request));
    },

    list: (): Promise<readonly LrmJob[]> =>
      listJobs({
        commands,
        owner: userInfo().username,
        accounting: accountingFile(settings),
        programDir,
        memory,
        now: () => clock.now(),
      }),

    async cancel(jobId: string): Promise<void> {
      // Before it is gone: nothing else tells the next list that it was deleted.
      memory.noteDeletion(jobId);
      const { code, stdout, stderr } = await commands.run('qdel', [jobId]);
      // A job that is gone is what was wanted; what is not known to be that is tried again.
      if (code !== 0 && !isGone(stdout + stderr))
        throw new LrmError('unavailable', answerError('qdel', code, stderr || stdout).message);
    },

    extend: () =>
      Promise.reject(new LrmError('refused', 'Grid Engine gives a running job no more time (qalter(1))')),
    // Grid Engine tells an ordinary user nothing by itself.
    onChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
}
