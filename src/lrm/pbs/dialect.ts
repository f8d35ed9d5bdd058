import type { LrmCommands } from '../commands.ts';
import { oneLine } from '../../platform/one-line.ts';
import { LrmError } from '../lrm.ts';
import type { PbsJob } from './job.ts';
import type { PbsDialect } from './job-script.ts';
import { parseJsonJobs, parseJsonLimits, parseJsonNodes } from './qstat-json.ts';
import { parseTextLimits, parseXmlJobs, parseXmlNodes } from './qstat-xml.ts';
import type { PbsLimits, PbsNode, PbsSite } from './server.ts';

/** What a server says of jobs that have left its list. */
export interface History {
  readonly jobs: readonly PbsJob[];
  /** Those of which it says that it knows no such job, or none that it would tell of. */
  readonly unknown: ReadonlySet<string>;
}

/** What differs between OpenPBS and Torque when they are asked something. All throw `LrmError` (`unavailable`). */
export interface Dialect {
  /** Our jobs that the server has: of OpenPBS those that have not ended, of Torque also those that have, for as long as `keep_completed` says. */
  jobs(commands: LrmCommands, user: string): Promise<readonly PbsJob[]>;
  /** What is still known of jobs that have left that list, at least one. */
  history(commands: LrmCommands, jobIds: readonly string[]): Promise<History>;
  nodes(commands: LrmCommands): Promise<readonly PbsNode[]>;
  /** Undefined: none is listed. */
  server(commands: LrmCommands): Promise<PbsLimits | undefined>;
  queues(commands: LrmCommands): Promise<ReadonlyMap<string, PbsLimits>>;
  /** From SIGTERM to SIGKILL where neither queue nor server says (pbs_server_attributes(7B), kill_delay). */
  readonly defaultKillDelaySeconds: number;
}

const json = ['-f', '-F', 'json'];

const openPbs: Dialect = {
  // Not with -x: a server has the history of everybody's last weeks. The server leaves out what is
  // others'; -f must come after -u.
  jobs: async ({ ask }, user) => parseJsonJobs(await ask('qstat', ['-u', user, ...json])),
  async history(commands, jobIds) {
    const told = await ended(commands, ['-x', ...json, ...jobIds]);
    if (!told.withoutHistory) return told;
    return ended(commands, [...json, ...jobIds]);
  },
  nodes: async ({ ask }) => parseJsonNodes(await ask('pbsnodes', ['-a', '-F', 'json'])),
  server: async ({ ask }) => [...parseJsonLimits(await ask('qstat', ['-B', ...json]), 'Server').values()][0],
  queues: async ({ ask }) => parseJsonLimits(await ask('qstat', ['-Q', ...json]), 'Queue'),
  defaultKillDelaySeconds: 10,
};

const torque: Dialect = {
  // Its qstat prints everybody's jobs as XML, or one user's as a table.
  async jobs({ ask }) {
    const stdout = await ask('qstat', ['-x']);
    if (stdout.trim() !== '') return parseXmlJobs(stdout);
    // A server without jobs prints nothing at all. It is taken for that only if it is there.
    const servers = [...parseTextLimits(await ask('qstat', ['-B', '-f'])).values()];
    if (servers.some(({ isActive }) => isActive)) return [];
    throw new LrmError(
      'unavailable',
      'qstat -x printed nothing, and the server does not say that it is active',
    );
  },
  async history({ run }, jobIds) {
    const { code, stdout, stderr } = await run('qstat', ['-x', ...jobIds]);
    const unknown = unknownIn(stderr, jobIds);
    if (code !== 0 && unknown.size === 0) throw noAnswer(stderr || stdout);
    return { jobs: stdout.trim() === '' ? [] : parseXmlJobs(stdout), unknown };
  },
  nodes: async ({ ask }) => parseXmlNodes(await ask('pbsnodes', ['-x'])),
  server: async ({ ask }) => [...parseTextLimits(await ask('qstat', ['-B', '-f'])).values()][0],
  queues: async ({ ask }) => parseTextLimits(await ask('qstat', ['-Q', '-f'])),
  defaultKillDelaySeconds: 2,
};

/** Both of them. */
export const dialects: Readonly<Record<PbsDialect, Dialect>> = { openpbs: openPbs, torque };

/** Exit codes of qstat(1B), as in pbs_error.h: a job is unknown, has ended, or has no history. */
const notThere: readonly (number | null)[] = [0, 15_001 % 256, 15_139 % 256];

/**
 * What OpenPBS says of jobs by their ids. Its exit code is that of the worst job. What it says of
 * none of them, and a server that dies between two answers, is no answer: it would end leases.
 */
async function ended(
  { run }: LrmCommands,
  args: readonly string[],
): Promise<History & { readonly withoutHistory: boolean }> {
  const { code, stdout, stderr } = await run('qstat', args);
  if (!notThere.includes(code)) throw noAnswer(stderr || stdout);
  const withoutHistory = /not configured to maintain job history/i.test(stderr + stdout);
  const jobIds = args.filter(each => /^\d/.test(each));
  return {
    jobs: withoutHistory ? [] : parseJsonJobs(stdout),
    unknown: unknownIn(stderr, jobIds),
    withoutHistory,
  };
}

/** The jobs of which an answer says that there is no such job, or that it has ended and no more. */
function unknownIn(stderr: string, jobIds: readonly string[]): ReadonlySet<string> {
  const lines = stderr.split('\n').filter(line => /unknown job id|job has finished/i.test(line));
  const words = new Set(lines.flatMap(line => line.split(/\s+/)));
  return new Set(jobIds.filter(jobId => words.has(jobId)));
}

function noAnswer(said: string): LrmError {
  return new LrmError('unavailable', `qstat: ${oneLine(said)}`);
}

/** What a server says of itself, its queues and its nodes. Throws `LrmError` (`unavailable`). */
export async function askSite(dialect: Dialect, commands: LrmCommands): Promise<PbsSite> {
  const server = await dialect.server(commands);
  const queues = await dialect.queues(commands);
  const nodes = await dialect.nodes(commands);
  if (server === undefined) throw new LrmError('unavailable', 'qstat -B lists no server');
  return { defaultQueue: server.defaultQueue, server, queues, nodes };
}
