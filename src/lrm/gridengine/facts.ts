import type { Clock } from '../../platform/clock.ts';
import type { LrmCommands } from '../commands.ts';
import { answerError } from './answers.ts';
import type { GridEngineSettings } from './section.ts';
import { type MemoryCounting, memoryCounting } from './complexes.ts';
import { type ParallelEnvironment, parallelEnvironment } from './job-script.ts';

/** What an administrator has made for gangs. */
export interface SiteFacts {
  readonly environments: readonly ParallelEnvironment[];
  readonly counting: MemoryCounting;
}

/**
 * Administrators seldom change it, and each of qconf's answers is a process: many gangs that are
 * submitted at once ask once.
 */
const freshMs = 60_000;

/**
 * The site's facts, read when they are first needed and again after a minute. Both throw
 * `LrmError`: `refused` when what the site file names is not there or not of use.
 */
export class Facts {
  readonly #commands: LrmCommands;
  readonly #settings: GridEngineSettings;
  readonly #clock: Clock;
  #last: { readonly at: number; readonly facts: Promise<SiteFacts> } | undefined;

  constructor(commands: LrmCommands, settings: GridEngineSettings, clock: Clock) {
    this.#commands = commands;
    this.#settings = settings;
    this.#clock = clock;
  }

  /** As they were less than a minute ago. */
  known(): Promise<SiteFacts> {
    const age = this.#last === undefined ? Infinity : this.#clock.monotonicMs() - this.#last.at;
    return this.#last === undefined || age > freshMs ? this.now() : this.#last.facts;
  }

  /** As they are. */
  now(): Promise<SiteFacts> {
    const facts = this.#read();
    const last = { at: this.#clock.monotonicMs(), facts };
    this.#last = last;
    // What could not be read is asked again.
    facts.catch(() => {
      if (this.#last === last) this.#last = undefined;
    });
    return facts;
  }

  async #read(): Promise<SiteFacts> {
    const { run, ask } = this.#commands;
    const { parallelEnvironments, memoryResource } = this.#settings;
    const environments = parallelEnvironments.map(async name => {
      const { code, stdout, stderr } = await run('qconf', ['-sp', name]);
      if (code === 0) return parallelEnvironment(stdout);
      throw answerError(`lrm.parallelEnvironments has ${name}`, code, stderr || stdout);
    });
    const complexes = ask('qconf', ['-sc']);
    const [known, text] = await Promise.all([Promise.all(environments), complexes]);
    return { environments: known, counting: memoryCounting(text, memoryResource) };
  }
}
