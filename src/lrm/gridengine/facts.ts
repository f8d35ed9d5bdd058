import type { Clock } from '../../platform/clock.ts';
import type { LrmCommands } from '../commands.ts';
import { LrmError } from '../lrm.ts';
import { answerError } from './answers.ts';
import type { GridEngineSettings } from './section.ts';

/** A parallel environment that puts a fixed number of slots on each node (sge_pe(5), allocation_rule). */
export interface ParallelEnvironment {
  readonly name: string;
  readonly slotsPerNode: number;
}

/**
 * How Grid Engine counts the memory resource (`qconf -sc`, complex(5)):
 * - `slot`: what a job asks for is taken from its node, for each slot.
 * - `node`: taken from each of its nodes once (consumable HOST, of newer Grid Engines).
 * - `load`: not taken at all: a job starts where the load value is large enough just then, as
 *   `mem_free` is when Grid Engine is installed.
 */
export type MemoryCounting = 'slot' | 'node' | 'load';

/** What an administrator has made for gangs. */
export interface SiteFacts {
  readonly environments: readonly ParallelEnvironment[];
  readonly counting: MemoryCounting;
}

/** It seldom changes, and each question is a process: gangs submitted together ask once. */
const freshMs = 60_000;

/** The site's facts, for a minute. Both throw `LrmError`: `refused` when one named is of no use. */
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

/**
 * The allocation rule in `qconf -sp` (sge_pe(5)). Throws `LrmError` (`refused`) when it is not a
 * number of slots, or when jobs may not start anything on their nodes.
 */
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

/** Throws `LrmError` (`refused`) when the resource does not count memory. */
export function memoryCounting(complexes: string, resource: string): MemoryCounting {
  const row = complexes
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .find(([name, shortcut]) => name === resource || shortcut === resource);
  const wrong = (what: string): LrmError =>
    new LrmError(
      'refused',
      `lrm.memoryResource ${resource} ${what}; an administrator can change it (qconf -mc)`,
    );
  if (!row) throw wrong('is no resource of this Grid Engine');
  const [, , type, relation, requestable, consumable = ''] = row;
  if (type !== 'MEMORY' || relation !== '<=')
    throw wrong(`is of type ${type} with ${relation}, not MEMORY with <=`);
  if (requestable === 'NO') throw wrong('cannot be asked for (requestable NO)');
  switch (consumable) {
    case 'NO':
      return 'load';
    case 'YES':
      return 'slot';
    case 'HOST':
      return 'node';
    default:
      throw wrong(`is counted once for a whole job (consumable ${consumable}); use YES`);
  }
}
