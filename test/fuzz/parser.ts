import { isIPv4 } from 'node:net';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { BadRequest, parseRequest } from '../../src/control/helper/requests.ts';
import { mutatedLine } from './mutations.ts';

/** What a number of lines came to. */
export interface ParserReport {
  readonly accepted: number;
  readonly refused: number;
  /** Each with its seed and its line. */
  readonly faults: readonly string[];
}

const mostFaults = 5;
/** A refusal is read by people, and root has written it. */
const longestMessage = 1_200;

/** Has the parser read the lines of `count` seeds, one after another from `seed` on. */
export function fuzzParser(seed: number, count: number): ParserReport {
  const faults: string[] = [];
  const counts = { accepted: 0, refused: 0 };
  for (let each = seed; each < seed + count && faults.length < mostFaults; each += 1) {
    const line = mutatedLine(each);
    const { accepted, wrong } = read(line);
    counts[accepted ? 'accepted' : 'refused'] += 1;
    if (wrong !== undefined)
      faults.push(`SEED=${each} REQUESTS=1: ${wrong}\n  ${JSON.stringify(line.slice(0, 300))}`);
  }
  return { ...counts, faults };
}

function read(line: string): { readonly accepted: boolean; readonly wrong: string | undefined } {
  try {
    const request = parseRequest(line);
    return { accepted: true, wrong: offence(request) };
  } catch (cause) {
    return { accepted: false, wrong: refusalFault(cause) };
  }
}

function refusalFault(cause: unknown): string | undefined {
  if (!(cause instanceof BadRequest)) return `it is refused with ${String(cause)}`;
  return wordsFault(cause.message);
}

/** What is wrong with what the helper says of a line that it refuses. */
export function wordsFault(message: string): string | undefined {
  if (message.length > longestMessage) return `the refusal has ${message.length} characters`;
  if (/call stack|\n\s+at |\.ts:\d|\.cjs:\d/.test(message))
    return `the refusal tells of the program: ${message}`;
  return undefined;
}

/**
 * What of an accepted request could mean more than a value to the programs that root runs: told by
 * other means than the parser's own.
 */
function offence(request: object): string | undefined {
  if (!isDeepStrictEqual(parseRequest(JSON.stringify(request)), request)) return 'it is not what it says';
  const leaves = [...leavesOf(request, '')];
  const wrong = leaves.find(([key, value]) => !isHarmless(key, value));
  return wrong && `accepted with ${wrong[0]} ${JSON.stringify(wrong[1])}`;
}

function* leavesOf(value: unknown, key: string): Generator<readonly [string, unknown]> {
  if (typeof value !== 'object' || value === null) yield [key, value];
  else
    for (const [name, each] of Object.entries(value))
      yield* leavesOf(each, Array.isArray(value) ? key : name);
}

const operations = ['attach-nic', 'detach-nic', 'set-peers', 'adopt-process', 'adopt-directory', 'undo'];

function isHarmless(key: string, value: unknown): boolean {
  const whole = Number.isSafeInteger(value) && Number(value) > 0;
  const text = typeof value === 'string' ? value : '';
  const octets = text.split('.').map(Number);
  const isHost = isIPv4(text) && isHostNumber(octets[0] ?? 0) && !(octets[0] === 169 && octets[1] === 254);
  switch (key) {
    case 'id':
    case 'vni':
    case 'port':
    case 'mtu':
    case 'prefixLength':
      return whole;
    case 'pid':
      return whole && Number(value) > 1;
    case 'op':
      return operations.includes(text);
    case 'kind':
      return ['uplink', 'vxlan', 'isolated'].includes(text);
    case 'address':
    case 'gateway':
      return isHost;
    case 'dns':
      // Told to the guest, and to nobody else.
      return isIPv4(text);
    case 'serviceAddress':
      return isIPv4(text) && text.startsWith('169.254.');
    case 'mac':
    case 'macs':
      return isPlain(text) && text.length === 17 && !'13579bdf'.includes(text[1] ?? '1');
    case 'tap':
      return isPlain(text) && text.startsWith('wt') && text.length <= 15;
    case 'bridge':
    case 'name':
      return isPlain(text) && text.startsWith('wb') && text.length <= 14;
    case 'path':
      return resolve(text) === text && !/[\n\0]/.test(text) && text.split('/').length > 3;
    default:
      return ['network', 'hostname', 'interface'].includes(key) && isPlain(text) && !text.startsWith('-');
  }
}

const isHostNumber = (first: number): boolean => first > 0 && first < 224 && first !== 127;

/** Nothing that ends a word, a line, a rule or a file's name. */
const isPlain = (text: string): boolean =>
  text !== '' && /^[A-Za-z0-9.:_-]+$/.test(text) && !/^\.+$/.test(text);
