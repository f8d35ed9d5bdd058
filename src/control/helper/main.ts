import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { systemClock } from '../../platform/clock.ts';
import { systemProcesses } from '../../platform/process.ts';
import { nodeNamePattern, slotIdPattern } from '../../protocol/ids.ts';
import { Bridges } from './bridges.ts';
import { helperDirectory, undoJournal } from './journal.ts';
import { parseRequest } from './requests.ts';
import { type ServerParts, serve, undoAll } from './server.ts';
import { RootTools } from './tools.ts';

/** A request is a few hundred bytes; VXLAN peers make it some kilobytes. */
const longestLine = 262_144;

/**
 * `wsp helper --state-dir DIR --node N --slot S`: serves requests on standard input until that closes, then undoes the slot. Resolves with the exit
 * code: 0 when the node is as it was before.
 */
export async function runHelper(args: readonly string[]): Promise<number> {
  const parts = partsFrom(args);
  if (typeof parts === 'string') {
    process.stderr.write(`wsp helper: ${parts}\n`);
    return 2;
  }
  // Whatever ends the job must not end the one who tidies up after it.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const)
    process.on(signal, () => undefined);
  process.stdout.on('error', () => undefined);
  leaveCgroups();
  let busy: Promise<unknown> = Promise.resolve();
  for await (const line of createInterface({ input: process.stdin })) {
    busy = busy.then(() => answer(parts, line));
    await busy;
  }
  try {
    await undoAll(parts);
    return 0;
  } catch (cause) {
    process.stderr.write(`wsp helper: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    return 1;
  }
}

async function answer(parts: ServerParts, line: string): Promise<void> {
  try {
    if (line.length > longestLine) throw new Error('the line is too long');
    const reply = await serve(parts, parseRequest(line));
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  } catch (cause) {
    // A line that cannot be read has no id to answer to.
    const message = cause instanceof Error ? cause.message : String(cause);
    process.stdout.write(`${JSON.stringify({ id: -1, ok: false, code: 'bad_request', message })}\n`);
  }
}

function partsFrom(args: readonly string[]): ServerParts | string {
  const text = { type: 'string', multiple: true } as const;
  let values: { readonly [name: string]: readonly string[] | undefined };
  try {
    values = parseArgs({ args: [...args], options: { 'state-dir': text, node: text, slot: text } }).values;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
  const one = (name: string): string => (values[name]?.length === 1 ? (values[name][0] ?? '') : '');
  const stateDir = one('state-dir');
  // Given twice, the second could come from the unprivileged caller: refused.
  if (!stateDir.startsWith('/')) return '--state-dir must be given once, as an absolute path';
  if (!new RegExp(nodeNamePattern).test(one('node'))) return '--node must be given once, as a node name';
  if (!new RegExp(slotIdPattern).test(one('slot'))) return '--slot must be given once, as a slot id';
  const at = helperDirectory(stateDir, one('node'));
  const tools = new RootTools(systemClock, systemProcesses);
  return {
    journal: undoJournal(at.slots, one('slot')),
    bridges: new Bridges(at.bridges, tools),
    tools,
    nodeDirectory: at.node,
    uid: Number(process.env['SUDO_UID'] ?? process.getuid?.() ?? 0),
    gid: Number(process.env['SUDO_GID'] ?? process.getgid?.() ?? 0),
  };
}

/** Moves to the root of every cgroup hierarchy that can be written, so that the LRM's kill of the job's cgroup does not find us. */
function leaveCgroups(): void {
  const root = '/sys/fs/cgroup';
  const hierarchies = existsSync(`${root}/cgroup.procs`)
    ? [root]
    : existsSync(root)
      ? readdirSync(root).map(name => `${root}/${name}`)
      : [];
  const here = readFileSync('/proc/self/cgroup', 'utf8');
  if (!here.split('\n').some(line => line !== '' && !line.endsWith(':/'))) return;
  for (const hierarchy of hierarchies) {
    try {
      writeFileSync(`${hierarchy}/cgroup.procs`, String(process.pid));
    } catch {
      // Not a hierarchy, or not ours to write: the new session and the reparenting still hold.
    }
  }
}
