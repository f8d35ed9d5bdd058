import { Duplex } from 'node:stream';
import type { Child, StartChild } from '../platform/children.ts';
import { type Clock, withDeadline } from '../platform/clock.ts';
import { firstLine } from '../platform/first-line.ts';
import { framedStream } from '../platform/framed-stream.ts';
import type { IngestAnswer, IngestRequest, PilotTransport, SlotAssignment } from '../protocol/pilot.ts';
import { linkOver } from './message-lines.ts';
import { NotAcceptedError, type Transport } from './transport.ts';

/** From ssh's start until `wsp ingest` has reached the service: a handshake, a login, a Node.js process, a connection. */
const connectDeadlineMs = 30_000;
/** ssh's own, for what it knows better: a host that does not answer. */
const sshConnectSeconds = 15;
/** What a site's start files may print before our answer. */
const maxAnswerBytes = 64 * 1024;
/** From the end of the bytes until ssh must be gone. */
const endDeadlineMs = 5_000;
const keptErrorBytes = 2_000;

type SshSettings = Extract<PilotTransport, { kind: 'ssh' }>;

/**
 * The node's own ssh client to a host from which the service is reached: one for messages, one more for each stream. What the service must know comes on
 * its standard input, the secret too; its arguments say where, and nothing of whom.
 */
export function sshTransport(
  settings: SshSettings,
  { slotId, secret }: Pick<SlotAssignment, 'slotId' | 'secret'>,
  node: string,
  parts: { readonly clock: Clock; readonly startChild: StartChild },
): Transport {
  const open = (streamId: string | null): Promise<Opened> =>
    openSsh(sshArguments(settings), { slotId, secret, node, streamId }, parts);
  return {
    async connect(handlers) {
      const { stream, address } = await open(null);
      return linkOver(stream, address, parts.clock, handlers);
    },
    openStream: async streamId => framedStream((await open(streamId)).stream),
  };
}

/** The command. What the site says comes before our own options: ssh takes the first value that it finds (ssh_config(5)). */
export function sshArguments({
  host,
  user,
  identityFile,
  options,
  command,
}: SshSettings): readonly [string, ...string[]] {
  const ours = [
    `ConnectTimeout=${sshConnectSeconds}`,
    'ServerAliveInterval=15',
    'ServerAliveCountMax=2',
    'ForwardAgent=no',
    'ForwardX11=no',
  ];
  return [
    'ssh',
    '-T',
    ...['BatchMode=yes', ...options, ...ours].flatMap(option => ['-o', option]),
    ...(identityFile === null ? [] : ['-i', identityFile]),
    ...(user === null ? [] : ['-l', user]),
    '--',
    host,
    // One word for a shell there; what it is made of has been checked (site-file.ts).
    command.join(' '),
  ];
}

interface Opened {
  readonly stream: Duplex;
  readonly address: string;
}

async function openSsh(
  argv: readonly [string, ...string[]],
  request: IngestRequest,
  { clock, startChild }: { readonly clock: Clock; readonly startChild: StartChild },
): Promise<Opened> {
  const child = await startChild(argv, { stdio: ['pipe', 'pipe', 'pipe'] });
  const complaint = lastWords(child);
  const stream = streamOf(child, clock);
  stream.write(`${JSON.stringify(request)}\n`);
  try {
    const line = firstLine(stream, maxAnswerBytes, isAnswer);
    const text = await withDeadline(clock, connectDeadlineMs, 'an answer of wsp ingest over ssh', line);
    const answer = JSON.parse(text) as IngestAnswer;
    if (answer.opened) return { stream, address: answer.address };
    throw answer.notAccepted ? new NotAcceptedError(401) : new Error(`wsp ingest: ${answer.why}`);
  } catch (cause) {
    stream.destroy();
    if (cause instanceof NotAcceptedError || complaint() === '') throw cause;
    throw new Error(`ssh: ${complaint()}`, { cause });
  }
}

/** The child's standard input and output as one stream, whose end is the child's. */
function streamOf(child: Child, clock: Clock): Duplex {
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('ssh was started without pipes');
  const stream = Duplex.from({ writable: stdin, readable: stdout });
  stream.on('error', () => undefined);
  // What it was given it still brings there: its input has ended, and so will it.
  stream.once('close', () => {
    const stopTimer = clock.after(endDeadlineMs, () => child.kill('SIGKILL'));
    void child.exited.then(stopTimer);
  });
  return stream;
}

/** What ssh said on its standard error, for whoever has to find out why: the end of it, on one line. */
function lastWords({ stderr }: Child): () => string {
  let text = '';
  stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('utf8')).slice(-keptErrorBytes);
  });
  stderr?.on('error', () => undefined);
  return () => text.trim().replace(/\s*\n\s*/g, '; ');
}

function isAnswer(text: string): boolean {
  try {
    return typeof (JSON.parse(text) as IngestAnswer | null)?.opened === 'boolean';
  } catch {
    return false;
  }
}
