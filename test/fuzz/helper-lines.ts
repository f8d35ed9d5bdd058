import { createHash } from 'node:crypto';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type HelperAnswer, parseRequest } from '../../src/control/helper/requests.ts';
import { Dice } from '../sim/dice.ts';
import type { BareNodes } from '../support/node.ts';
import { mutatedLine } from './mutations.ts';
import { allows, allowsPeers } from './policy.ts';
import { wordsFault } from './parser.ts';
import { type RawHelper, startRawHelper } from './raw-helper.ts';

/** What real helpers made of a number of lines. */
export interface LinesReport {
  readonly ok: number;
  readonly refused: number;
  readonly faults: readonly string[];
}

/** So many go to one helper, which ends itself beyond 100,000. */
const mostOfOne = 5_000;
/** A line is at most this long; beyond that it is refused as a whole. */
const longestLine = 262_144;

/**
 * Sends the lines of `count` seeds to helpers of the node, in pieces as they come. Each line has to
 * get one answer, which is one of the helper's own; then the node has to be as it was. `argv`: what
 * starts a helper of an ordinary user.
 */
export async function fuzzHelper(
  nodes: BareNodes,
  argv: readonly [string, ...string[]],
  seed: number,
  count: number,
): Promise<LinesReport> {
  const before = await outside(nodes);
  const faults: string[] = [];
  const counts = { ok: 0, refused: 0 };
  for (let first = seed; first < seed + count && faults.length === 0; first += mostOfOne) {
    const end = Math.min(first + mostOfOne, seed + count);
    const helper = await startRawHelper(argv);
    const sent: string[] = [];
    await send(helper, first, end, sent).catch((cause: unknown) => faults.push(String(cause)));
    const code = await helper.end();
    const answers = helper.said.slice(1);
    if (answers.length !== sent.length) faults.push(`${sent.length} lines got ${answers.length} answers`);
    faults.push(...answers.flatMap(answerFaults), ...forbidden(sent, answers));
    for (const answer of answers) counts[isYes(answer) ? 'ok' : 'refused'] += 1;
    if (code !== 0 || helper.complaints() !== '')
      faults.push(`the helper ended with ${code}: ${helper.complaints()}`);
    const after = await outside(nodes);
    if (after !== before) faults.push(`the node is another: before\n${before}\nafter\n${after}`);
    if (faults.length > 0) faults.unshift(`SEED=${first} REQUESTS=0 HELPER_REQUESTS=${end - first}:`);
  }
  return { ...counts, faults: faults.slice(0, 10) };
}

/**
 * Requests that are right take root a hundred times as long as those that are not: fewer of them.
 */
function isWanted(line: string, dice: Dice): boolean {
  try {
    parseRequest(line);
    return dice.chance(0.15);
  } catch {
    return true;
  }
}

/**
 * In pieces that end anywhere; every now and then a line that is too long. `sent`: gets the lines.
 */
async function send(helper: RawHelper, first: number, end: number, sent: string[]): Promise<void> {
  const dice = new Dice(first);
  for (let seed = first; seed < end; ) {
    let several = Array.from({ length: Math.min(dice.int(1, 50), end - seed) }, (_, index) =>
      mutatedLine(seed + index),
    );
    seed += several.length;
    several = several.filter(line => isWanted(line, dice));
    if (dice.chance(0.1))
      several.push(`${'x'.repeat(longestLine + dice.int(1, 200_000))}{"id":1,"op":"undo"}`);
    const bytes = Buffer.from(several.map(line => `${line}\n`).join(''));
    const cut = dice.int(0, bytes.length);
    helper.write(bytes.subarray(0, cut));
    helper.write(bytes.subarray(cut));
    sent.push(...several);
    await helper.lines(sent.length + 1);
  }
}

/**
 * What was done although the policy does not allow it. Answers come in order, but for those to
 * lines that are too long.
 */
function forbidden(sent: readonly string[], answers: readonly string[]): readonly string[] {
  const whole = sent.filter(({ length }) => length <= longestLine);
  return answers
    .filter(answer => !answer.includes('a line is longer than'))
    .flatMap((answer, at) => {
      if (!isYes(answer)) return [];
      const request = parseRequest(whole[at] ?? '');
      const isAllowed =
        (request.op !== 'attach-nic' || allows(request.nic)) &&
        (request.op !== 'set-peers' || allowsPeers(request.peers));
      return isAllowed ? [] : [`done against the policy: ${whole[at]}`];
    });
}

const isYes = (answer: string): boolean => /^\{"id":\d+,"ok":true\}$/.test(answer);

function answerFaults(line: string): readonly string[] {
  let answer: HelperAnswer;
  try {
    answer = JSON.parse(line) as HelperAnswer;
  } catch {
    return [`the helper said ${line.slice(0, 300)}`];
  }
  if (answer.ok) return [];
  const words = wordsFault(answer.message);
  return [
    ...(words === undefined ? [] : [`${answer.code}: ${words}`]),
    // Of an error that nobody has thought of.
    ...(answer.code === 'helper_failed' ? [`helper_failed: ${answer.message}`] : []),
  ];
}

/** The node, and what of this machine no helper may change. */
async function outside(nodes: BareNodes): Promise<string> {
  const devices = ['null', 'zero', 'random', 'urandom', 'full', 'tty', 'net/tun'].map(name => {
    const { mode, uid, gid, rdev } = lstatSync(join('/dev', name));
    return [name, mode.toString(8), uid, gid, rdev].join(' ');
  });
  const files = readdirSync(nodes.directory, { recursive: true, encoding: 'utf8' })
    .filter(path => !path.startsWith('helper'))
    .toSorted();
  const digest = createHash('sha256').update(files.join('\n')).digest('hex');
  return [await nodes.snapshot(0), ...devices, digest].join('\n');
}
