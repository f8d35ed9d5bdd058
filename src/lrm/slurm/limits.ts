import { formatDuration } from '../../protocol/units.ts';
import { type LrmCommands, secondsOf } from '../commands.ts';
import { LrmError, type LrmJob } from '../lrm.ts';
import type { AskTable } from './table.ts';

/** A limit that a job is beyond: whose it is, and the column of sacctmgr(1) with its figure. */
interface LimitOfJob {
  readonly of: 'qos' | 'assoc';
  readonly column: 'MaxWall' | 'MaxTRES' | 'MaxTRESPerNode' | 'MinTRES';
  /** Of a list of trackable resources. */
  readonly resource?: 'cpu' | 'mem' | 'node';
}

const resources = { Cpu: 'cpu', CPU: 'cpu', Mem: 'mem', Memory: 'mem', Node: 'node' } as const;

/** By Slurm's word for why a job waits, such as `QOSMaxWallDurationPerJobLimit`. */
function limitIn(reason: string): LimitOfJob | undefined {
  const [, owner, bound, thing = '', part] =
    /\((QOS|Assoc)(Max|Min)(WallDuration|Cpu|CPU|Mem|Memory|Node)(PerJob|PerNode|NotSatisfied)?(?:Limit)?\)/.exec(
      reason,
    ) ?? [];
  if (owner === undefined) return undefined;
  const of = owner === 'QOS' ? 'qos' : 'assoc';
  if (thing === 'WallDuration') return { of, column: 'MaxWall' };
  const column = bound === 'Min' ? 'MinTRES' : part === 'PerNode' ? 'MaxTRESPerNode' : 'MaxTRES';
  return { of, column, resource: resources[thing as keyof typeof resources] };
}

/** The figures of limits that jobs are beyond, each asked for once: they say what would fit. */
export class SlurmLimits {
  readonly #askTable: AskTable;
  readonly #commands: LrmCommands;
  /** By job and reason; empty: it could not be learnt, which is no reason to ask again. */
  #known = new Map<string, string>();

  constructor(askTable: AskTable, commands: LrmCommands) {
    this.#askTable = askTable;
    this.#commands = commands;
  }

  /** The jobs, with the figures of their limits in their reasons. */
  async addTo(jobs: readonly LrmJob[]): Promise<readonly LrmJob[]> {
    const known = new Map<string, string>();
    const told: LrmJob[] = [];
    for (const job of jobs) {
      const limit = job.outlook === 'never' ? limitIn(job.reason ?? '') : undefined;
      if (limit === undefined) {
        told.push(job);
        continue;
      }
      const key = `${job.jobId} ${job.reason}`;
      const figure = this.#known.get(key) ?? (await this.#ask(job.jobId, limit));
      known.set(key, figure);
      told.push(figure === '' ? job : { ...job, reason: `${job.reason}: ${figure}` });
    }
    this.#known = known;
    return told;
  }

  async #ask(jobId: string, { of, column, resource }: LimitOfJob): Promise<string> {
    try {
      const fields = ['QOS', 'Account', 'UserName'];
      const [job] = await this.#askTable('squeue', ['-j', jobId], fields);
      const [qos = '', account = '', user = ''] = job ?? [];
      const which =
        of === 'qos'
          ? ['qos', 'where', `name=${qos}`]
          : ['assoc', 'where', `account=${account}`, `user=${user}`];
      const printed = await this.#commands.ask('sacctmgr', ['-nP', 'show', ...which, `format=${column}`]);
      return wordsOf(printed.trim(), column === 'MinTRES' ? 'least' : 'most', resource);
    } catch (cause) {
      // The reason stands without it.
      if (cause instanceof LrmError) return '';
      throw cause;
    }
  }
}

/** Of `00:03:00`, `1-00:00:00` or `cpu=4,mem=8G`: `at most 3m`; empty: there is no such limit. */
function wordsOf(printed: string, bound: 'most' | 'least', resource: LimitOfJob['resource']): string {
  const value =
    resource === undefined
      ? wallText(printed)
      : new RegExp(`(?:^|,)${resource}=([0-9.]+[KMGTP]?)(?:,|$)`).exec(printed)?.[1];
  const unit = resource === 'cpu' ? ' processors' : resource === 'node' ? ' nodes' : '';
  return value === undefined ? '' : `at ${bound} ${value}${unit}`;
}

function wallText(printed: string): string | undefined {
  const [, days = '0', clock = ''] = /^(?:(\d+)-)?([\d:]+)$/.exec(printed) ?? [];
  const seconds = secondsOf(clock);
  return seconds === undefined ? undefined : formatDuration((Number(days) * 86_400 + seconds) * 1_000);
}
