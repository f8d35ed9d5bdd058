import { parseArgs } from 'node:util';
import { systemClock } from '../../platform/clock.ts';
import { print } from '../../platform/printing.ts';
import { systemProcesses } from '../../platform/process.ts';
import type { HelperPolicy } from '../../protocol/helper-policy.ts';
import { nodeNamePattern, slotIdPattern } from '../../protocol/ids.ts';
import { type Caller, forgetCaller } from './ambient.ts';
import { Bridges } from './bridges.ts';
import { removeEmptyCgroups, UserCgroups } from './cgroups.ts';
import { deadSlots, slotHold, sweepAfterMs, sweepDeadSlots } from './dead-slots.ts';
import { defaultDiskDir } from './disk-records.ts';
import { serveInput } from './input.ts';
import { helperDirectory, isOnNode, undoJournal } from './journal.ts';
import { withNodeLock } from './node-lock.ts';
import { policyWords } from './policy-document.ts';
import { readPolicy } from './policy.ts';
import { BadRequest, greeting, type HelperAnswer, parseRequest } from './requests.ts';
import { requireRootsAlone } from './root-directory.ts';
import { type ServerParts, serve } from './server.ts';
import { undoSlot } from './slot-undo.ts';
import { RootTools } from './tools.ts';
import { helpersOf, limitsOf, mostHelpers } from './user-limits.ts';
import { messageOf } from '../../platform/message-of.ts';

/** Whatever ends the job must not end the one who tidies up after it; */
const endings = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
/** and nobody's terminal may stop it while it holds the node's lock. */
const stops = ['SIGTSTP', 'SIGTTIN', 'SIGTTOU'] as const;

/**
 * `wsp helper --state-dir DIR [--disk-dir DIR] [--policy FILE] --node N --slot S`: greets with
 * answer 0, serves requests on standard input until that closes, then undoes the slot. Resolves
 * with the exit code: 0 when the node is as it was before, 1 when something is left (named on
 * standard error; the journal stays), 2 for bad arguments.
 */
export async function runHelper(args: readonly string[]): Promise<number> {
  const caller = forgetCaller();
  if (!caller) return complain('SUDO_UID and SUDO_GID are not those of a user: start it with sudo', 2);
  let parts: ServerParts;
  try {
    // Alone: says in words what that policy allows.
    if (args.length === 2 && args[0] === '--check-policy') {
      print(`${policyWords(readPolicy(args[1] ?? '')).join('\n')}\n`);
      return 0;
    }
    parts = partsFrom(args, caller);
  } catch (cause) {
    return complain(messageOf(cause), 2);
  }
  for (const signal of [...endings, ...stops] as const) process.on(signal, () => undefined);
  // The pilot may be gone: that is told by standard input.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const { uid } = parts.journal.key;
  if (uid !== 0 && helpersOf(uid).length > mostHelpers())
    return complain(`user ${uid} has as many helpers on this node as they may: wait until some end`, 2);
  for (const sentence of parts.cgroups.enter()) complain(sentence, 0);
  say(greeting);
  // Beside the requests: none of them waits for it.
  const sweep = beginSweep(parts);
  await answerAll(parts);
  (await sweep)();
  parts.cgroups.leave();
  try {
    await undoSlot(parts.journal, parts);
    return 0;
  } catch (cause) {
    return complain(messageOf(cause), 1);
  } finally {
    removeEmptyCgroups();
  }
}

/** Undoes, a little later, slots that nobody else undoes. Returns what calls that off. */
async function beginSweep(parts: ServerParts): Promise<() => void> {
  const { at, hold, journal, tools } = parts;
  const own = journal.key;
  try {
    const seen = await withNodeLock(at, async () => {
      await hold();
      return deadSlots(at, own);
    });
    if (seen.length === 0) return () => undefined;
    return tools.clock.after(sweepAfterMs, () => {
      sweepDeadSlots(parts, own, seen).then(
        told => told.forEach(sentence => complain(sentence, 0)),
        (cause: unknown) => complain(messageOf(cause), 0),
      );
    });
  } catch (cause) {
    complain(messageOf(cause), 0);
    return () => undefined;
  }
}

/** Until the input closes, breaks, or the slot is undone by somebody else. */
async function answerAll(parts: ServerParts): Promise<void> {
  try {
    await serveInput(process.stdin, {
      clock: parts.tools.clock,
      answer: async line => (await answer(parts, line)) !== 'slot_undone',
      refuse: message => refuse(new BadRequest(-1, message)),
      holdsSlot: () => isOnNode(parts.at, parts.journal.key),
    });
  } catch (cause) {
    complain(`standard input: ${messageOf(cause)}`, 0);
  }
}

/** Answers a line; returns the error's code, if there was one. */
async function answer(parts: ServerParts, line: string): Promise<string | undefined> {
  try {
    const reply = await serve(parts, parseRequest(line));
    say(reply);
    return reply.ok ? undefined : reply.code;
  } catch (cause) {
    refuse(cause instanceof BadRequest ? cause : new BadRequest(-1, messageOf(cause)));
    return undefined;
  }
}

function refuse({ id, message }: BadRequest): void {
  say({ id, ok: false, code: 'bad_request', message });
}

function say(reply: HelperAnswer): void {
  print(`${JSON.stringify(reply)}\n`);
}

function complain(message: string, code: number): number {
  process.stderr.write(`wsp helper: ${message}\n`);
  return code;
}

/** Throws an error with one sentence when the arguments, or what they name, are not right. */
function partsFrom(args: readonly string[], { uid, gid }: Caller): ServerParts {
  const text = { type: 'string', multiple: true } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { 'state-dir': text, 'disk-dir': text, policy: text, node: text, slot: text },
  });
  // Given twice, the second could come from the unprivileged caller: refused.
  const one = (name: keyof typeof values): string =>
    values[name]?.length === 1 ? (values[name][0] ?? '') : '';
  const stateDir = one('state-dir');
  const diskDir = values['disk-dir'] === undefined ? defaultDiskDir : one('disk-dir');
  const [node, slotId] = [one('node'), one('slot')];
  demand(stateDir.startsWith('/'), '--state-dir must be given once, as an absolute path');
  demand(diskDir.startsWith('/'), '--disk-dir must be given at most once, as an absolute path');
  demand(new RegExp(nodeNamePattern).test(node), '--node must be given once, as a node name');
  demand(new RegExp(slotIdPattern).test(slotId), '--slot must be given once, as a slot id');
  demand(process.getuid?.() === 0, 'root is needed (docs/admin/helper.md has the sudo rule)');
  requireRootsAlone('--state-dir', stateDir);
  requireRootsAlone('--disk-dir', diskDir);
  // Root itself needs no policy, and may have one.
  const policy = values.policy === undefined && uid === 0 ? undefined : policyOf(one('policy'));
  const at = helperDirectory(stateDir, diskDir, node);
  const tools = new RootTools(systemClock, systemProcesses);
  const key = { slotId, uid };
  return {
    at,
    journal: undoJournal(at, key),
    hold: slotHold(at, key),
    cgroups: new UserCgroups(uid, limitsOf(mostHelpers())),
    bridges: new Bridges(at, tools),
    tools,
    gid,
    policy,
  };
}

function policyOf(path: string): HelperPolicy {
  const what = 'what root allows users to ask';
  demand(path.startsWith('/'), `--policy must be given once, as an absolute path: ${what}`);
  return readPolicy(path);
}

function demand(holds: boolean, sentence: string): void {
  if (!holds) throw new Error(sentence);
}
