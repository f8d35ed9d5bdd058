import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { endProcess, startTimeOf } from '../../control/helper/proc.ts';
import { startChild } from '../../platform/children.ts';
import { systemClock, withDeadline } from '../../platform/clock.ts';
import { print } from '../../platform/printing.ts';
import { joinedVariable } from './main.ts';
import type { AgentErrand, AgentErrandResult } from '../../protocol/agent.ts';
import { messageOf } from '../../platform/message-of.ts';

/**
 * `wsp nodes add` and `wsp nodes remove` on the node itself: this program came over ssh on standard input, with what to do in front.
 *
 *   add:     files written (program, join secret, certificate) ─► agent started, detached ─► it has joined, or it is ended and why is told
 *   remove:  agent told to go ─► its pilots get their warning ─► gone ─► files removed
 *
 * One agent for each directory; which process it is stands in `agent.pid`, with its start time. If we are cut off: `remove` undoes whatever there is.
 */
const joinDeadlineMs = 30_000;
/** A stopped agent waits for its pilots, which shut guests down. */
const leaveDeadlineMs = 180_000;
const logTail = 2_000;

/** Does the errand and tells its result on standard output, as JSON. Resolves with the exit code. */
export async function runErrand(errand: AgentErrand): Promise<number> {
  const result: AgentErrandResult = await (errand.kind === 'add' ? add(errand) : remove(errand)).then(
    pid => ({ done: true, pid }),
    (cause: unknown) => ({ done: false, why: messageOf(cause) }),
  );
  print(`${JSON.stringify(result)}\n`);
  return result.done ? 0 : 1;
}

/** The agent's process. Throws why it could not be had. */
async function add(errand: Extract<AgentErrand, { kind: 'add' }>): Promise<number> {
  const files = filesIn(errand.directory);
  const running = runningIn(files.pid);
  if (running)
    throw new Error(`an agent runs there already (process ${running.pid}); wsp nodes remove ends it`);
  mkdirSync(files.directory, { recursive: true, mode: 0o700 });
  write(files.program, errand.program, 0o700);
  write(files.secret, `${errand.secret}\n`, 0o600);
  if (errand.ca !== null) write(files.ca, errand.ca, 0o600);
  const own = ['--secret-file', files.secret, ...(errand.ca === null ? [] : ['--ca-file', files.ca])];
  const log = openSync(files.log, 'w', 0o600);
  // Its own session: it must not end with ssh's. Descriptor 3 is for one word, that it has joined.
  const child = await startChild([process.execPath, files.program, 'agent', ...errand.args, ...own], {
    detached: true,
    stdio: ['ignore', log, log, 'pipe'],
    env: { ...process.env, [joinedVariable]: '3' },
    cwd: files.directory,
  });
  closeSync(log);
  write(files.pid, `${child.pid} ${startTimeOf(child.pid) ?? ''}\n`, 0o600);
  const joined = new Promise<boolean>(done => {
    child.extra?.once('data', () => done(true));
    void child.exited.then(() => done(false));
  });
  const has = await withDeadline(systemClock, joinDeadlineMs, 'joining', joined).catch(() => false);
  if (has) return child.pid;
  child.kill('SIGTERM');
  rmSync(files.pid, { force: true });
  throw new Error(`the agent has not joined: ${readFileSync(files.log, 'utf8').trim().slice(-logTail)}`);
}

/** The agent's process; null: none ran. Throws when it does not end. */
async function remove(errand: Extract<AgentErrand, { kind: 'remove' }>): Promise<number | null> {
  const files = filesIn(errand.directory);
  const running = runningIn(files.pid);
  if (running && !(await endProcess(systemClock, running, 'SIGTERM', leaveDeadlineMs)))
    throw new Error(`the agent (process ${running.pid}) does not end: it waits for its pilots`);
  for (const path of [files.program, files.secret, files.ca, files.pid]) rmSync(path, { force: true });
  return running?.pid ?? null;
}

/** Relative directories are in the home of whoever ssh made us. */
function filesIn(directory: string) {
  const path = resolve(homedir(), directory);
  const at = (name: string): string => join(path, name);
  return {
    directory: path,
    program: at('node-tools.cjs'),
    secret: at('join-secret'),
    ca: at('service.pem'),
    pid: at('agent.pid'),
    log: at('agent.log'),
  };
}

/** The process that the pid file means; undefined when it runs no more. */
function runningIn(path: string): { readonly pid: number; readonly startTime: string } | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const [pid, startTime] = text.trim().split(' ');
  if (startTime === undefined || startTimeOf(Number(pid)) !== startTime) return undefined;
  return { pid: Number(pid), startTime };
}

/** Never half there, and never readable by others, not even for a moment. */
function write(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode });
  chmodSync(`${path}.new`, mode);
  renameSync(`${path}.new`, path);
}
