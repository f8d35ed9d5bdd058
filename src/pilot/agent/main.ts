import { closeSync, readFileSync, statSync, writeSync } from 'node:fs';
import { availableParallelism, hostname, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { errorFields, jsonLog, type Log } from '../../platform/log.ts';
import { linesOn } from '../../platform/log-file.ts';
import type { ServiceToAgent } from '../../protocol/agent.ts';
import { namePattern, nodeNamePattern } from '../../protocol/ids.ts';
import { parseMemoryMiB } from '../../protocol/units.ts';
import { NotAcceptedError } from '../transport.ts';
import { openLink, type WebSocketTarget } from '../websocket-link.ts';
import { Agent } from './agent.ts';

/**
 * `wsp agent`: makes this host a static node of a pool, until SIGTERM or SIGINT; then its pilots get their warning, and it waits for them.
 *
 *   connecting ─► joined ─► (connection lost) ─► connecting, with a pause that doubles          not accepted: exit 1
 */
const usage = `usage: wsp agent --service URL --pool NAME --secret-file FILE [--ca-file FILE] [--node NAME] [--memory SIZE] [--cpus N]

Makes this host a static node, on which workspaces run without a batch scheduler, until SIGTERM.

  --service URL        the URL by which this node reaches the service
  --pool NAME          the site's pool of static nodes (pools[].name, or "default")
  --secret-file FILE   a file with the pool's join secret (its joinSecretFile), mode 0600
  --ca-file FILE       the service's certificate (service.tls.certificateFile), when the service speaks TLS
  --node NAME          this node's name (default: its host name)
  --memory SIZE        how much memory VMs may have, such as 16G (default: three quarters of this host's)
  --cpus N             how many processors VMs may have (default: all)
`;

interface Settings {
  readonly target: WebSocketTarget;
  readonly name: string;
  readonly memoryMiB: number;
  readonly cpus: number;
}

/** Names the descriptor on which somebody waits to hear that the agent has joined. */
export const joinedVariable = 'WSP_JOINED_FD';
const firstRetryMs = 200;
const longestRetryMs = 10_000;
/** The part of a host's memory that VMs may have when nobody says how much. */
const memoryShare = 0.75;
const shortestSecret = 16;

/** Runs the agent. Resolves with the exit code: 0 after a signal, 1 when the service does not take it, 2 when the command line is wrong. */
export async function runAgent(args: readonly string[]): Promise<number> {
  let settings: Settings | undefined;
  try {
    settings = settingsOf(args);
  } catch (cause) {
    process.stderr.write(`wsp: ${(cause as Error).message}\n${usage}`);
    return 2;
  }
  if (!settings) {
    process.stderr.write(usage);
    return 0;
  }
  const { name, memoryMiB, cpus } = settings;
  const clock = systemClock;
  const log = jsonLog(clock, linesOn(1), { node: name });
  const agent = new Agent({ name, memoryMiB, cpus, node: process.execPath, clock, log, startChild });
  const refused = stayConnected(agent, settings.target, log);
  const signal = new Promise<string>(resolve => {
    for (const each of ['SIGTERM', 'SIGINT'] as const) process.once(each, resolve);
  });
  const why = await Promise.race([signal, refused]);
  log.info('stopping', { why: why instanceof Error ? why.message : why });
  await agent.stop();
  if (!(why instanceof Error)) return 0;
  process.stderr.write(
    `wsp: the service does not take this agent: ${why.message}; check --pool and the secret file\n`,
  );
  return 1;
}

/** Once. */
function tellJoined(): void {
  const descriptor = Number(process.env[joinedVariable] ?? Number.NaN);
  delete process.env[joinedVariable];
  if (!Number.isInteger(descriptor)) return;
  try {
    writeSync(descriptor, 'joined');
    closeSync(descriptor);
  } catch {
    // Nobody waits any more.
  }
}

/** Connects, and connects again. Resolves when the service refuses us: another try would be no better. */
function stayConnected(agent: Agent, target: WebSocketTarget, log: Log): Promise<Error> {
  let retryMs = firstRetryMs;
  return new Promise(resolve => {
    const again = (): void => {
      systemClock.after(retryMs, () => void connect());
      retryMs = Math.min(retryMs * 2, longestRetryMs);
    };
    const connect = async (): Promise<void> => {
      try {
        const link = await openLink(target, systemClock, {
          message: text => {
            // It has taken us: one that does not closes the connection without a word.
            retryMs = firstRetryMs;
            agent.obey(JSON.parse(text) as ServiceToAgent);
          },
          closed: why => {
            log.warn('the connection to the service has closed', { why });
            agent.disconnected();
            again();
          },
        });
        log.info('joined', { service: target.url });
        agent.connected(message => link.send(JSON.stringify(message)));
        // To whoever started us and waits for it (install.ts).
        tellJoined();
      } catch (cause) {
        if (cause instanceof NotAcceptedError) return resolve(cause);
        log.warn('the service cannot be reached', { ...errorFields(cause), nextTryMs: retryMs });
        again();
      }
    };
    void connect();
  });
}

/** Undefined: the usage was asked for. Throws what is wrong with the command line. */
function settingsOf(args: readonly string[]): Settings | undefined {
  const given = parse(args);
  if (given.help) return undefined;
  const {
    service,
    pool,
    node = hostname().split('.')[0] ?? '',
    cpus = String(availableParallelism()),
  } = given;
  const ownMiB = Math.floor((totalmem() / 2 ** 20) * memoryShare);
  const memoryMiB = given.memory === undefined ? ownMiB : parseMemoryMiB(given.memory);
  if (service === undefined || !/^https?:\/\/[^/?#\s]+\/?$/.test(service))
    throw new Error('--service must be a URL such as http://head.site:8080');
  if (pool === undefined || !new RegExp(namePattern).test(pool))
    throw new Error('--pool must be the name of a pool');
  if (!new RegExp(nodeNamePattern).test(node)) throw new Error(`--node ${node} cannot be the name of a node`);
  if (memoryMiB === undefined) throw new Error(`--memory ${given.memory} is not a size such as 16G`);
  if (!/^[1-9][0-9]{0,4}$/.test(cpus)) throw new Error(`--cpus ${cpus} is not a number of processors`);
  const url = `${service.replace(/\/$/, '')}/agent/v1/pools/${pool}/nodes/${encodeURIComponent(node)}`;
  const target = { url, secret: secretOf(given['secret-file']), ca: certificateOf(given['ca-file']) };
  return { target, name: node, memoryMiB, cpus: Number(cpus) };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = {
    service: text,
    pool: text,
    'secret-file': text,
    'ca-file': text,
    node: text,
    memory: text,
    cpus: text,
    help: { type: 'boolean' },
  } as const;
  return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
}

function secretOf(path: string | undefined): string {
  if (path === undefined) throw new Error('--secret-file is missing');
  const { mode } = looked('secret', () => statSync(path));
  if ((mode & 0o077) !== 0) throw new Error(`${path} can be read by others: run chmod 600 on it`);
  const text = looked('secret', () => readFileSync(path, 'utf8')).trim();
  if (text.length < shortestSecret || /\s/.test(text)) throw new Error(`${path} does not hold a join secret`);
  return text;
}

function certificateOf(path: string | undefined): string | null {
  if (path === undefined) return null;
  const text = looked('certificate', () => readFileSync(path, 'utf8'));
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${path} holds no certificate (PEM)`);
  return text;
}

function looked<T>(what: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    throw new Error(`the ${what} file cannot be read: ${(cause as Error).message}`, { cause });
  }
}
