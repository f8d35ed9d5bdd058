import type { LrmCommands } from '../commands.ts';
import { LrmError } from '../lrm.ts';
import type { PbsJob } from './job.ts';
import type { PbsDialect } from './job-script.ts';
import { parseJsonJobs, parseJsonLimits, parseJsonNodes } from './qstat-json.ts';
import { parseTextLimits, parseXmlJobs, parseXmlNodes } from './qstat-xml.ts';
import type { PbsNode, PbsSite } from './server.ts';

/** What differs between OpenPBS and Torque when they are asked something. All throw `LrmError` (`unavailable`). */
export interface Dialect {
  /** Our jobs that the server has: of OpenPBS those that have not ended, of Torque also those that have, for as long as `keep_completed` says. */
  jobs(commands: LrmCommands): Promise<readonly PbsJob[]>;
  /** What is still known of jobs that have left that list. */
  history(commands: LrmCommands, jobIds: readonly string[]): Promise<readonly PbsJob[]>;
  nodes(commands: LrmCommands): Promise<readonly PbsNode[]>;
  site(commands: LrmCommands): Promise<PbsSite>;
  /** From SIGTERM to SIGKILL where neither queue nor server says (pbs_server_attributes(7B), kill_delay). */
  readonly defaultKillDelaySeconds: number;
}

/** The questions of a dialect. */
export function dialectOf(dialect: PbsDialect): Dialect {
  switch (dialect) {
    case 'openpbs':
      return openPbs;
    case 'torque':
      return torque;
  }
}

const json = ['-f', '-F', 'json'];

const openPbs: Dialect = {
  // Not with -x: a server has the history of everybody's last weeks.
  jobs: async ({ ask }) => parseJsonJobs(await ask('qstat', json)),
  async history({ run }, jobIds) {
    // Its exit code is that of the worst job; one that is too old is unknown.
    const { stdout } = await run('qstat', ['-x', ...json, ...jobIds]);
    return parseJsonJobs(stdout);
  },
  nodes: async ({ ask }) => parseJsonNodes(await ask('pbsnodes', ['-a', '-F', 'json'])),
  async site(commands) {
    const servers = [...parseJsonLimits(await commands.ask('qstat', ['-B', ...json]), 'Server').values()];
    const queues = parseJsonLimits(await commands.ask('qstat', ['-Q', ...json]), 'Queue');
    return siteOf(servers[0], queues, await openPbs.nodes(commands));
  },
  defaultKillDelaySeconds: 10,
};

const torque: Dialect = {
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
  history: () => Promise.resolve([]),
  nodes: async ({ ask }) => parseXmlNodes(await ask('pbsnodes', ['-x'])),
  async site(commands) {
    const servers = [...parseTextLimits(await commands.ask('qstat', ['-B', '-f'])).values()];
    const queues = parseTextLimits(await commands.ask('qstat', ['-Q', '-f']));
    return siteOf(servers[0], queues, await torque.nodes(commands));
  },
  defaultKillDelaySeconds: 2,
};

type Server = PbsSite['server'] & { readonly defaultQueue: string | undefined };

function siteOf(server: Server | undefined, queues: PbsSite['queues'], nodes: readonly PbsNode[]): PbsSite {
  if (server === undefined) throw new LrmError('unavailable', 'qstat -B lists no server');
  return { defaultQueue: server.defaultQueue, server, queues, nodes };
}
