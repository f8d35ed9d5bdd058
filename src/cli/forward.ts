import { createServer, isIP, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { pipeline } from 'node:stream';
import type { WorkspaceView } from '../protocol/api.ts';
import { messageOf } from '../platform/message-of.ts';
import { plainLines } from '../protocol/text.ts';
import { type StopTimer, systemClock } from '../platform/clock.ts';
import type { CommandContext } from './program.ts';
import { findVm } from './ssh.ts';
import { untilSignal } from './until-signal.ts';
import { usageError } from './values.ts';

/** A port here, and the guest's port that its connections are carried to. `local` 0: any that is free. */
interface PortPair {
  readonly local: number;
  readonly remote: number;
}

/**
 * A stream to a VM ends as a whole: who has said all they had to say is answered until nothing has
 * come for so long.
 */
const halfOpenMs = 10_000;

/** `8080:80`, or `80` for the same port on both sides. Throws `WspError` (`usage`). */
export function portPair(text: string): PortPair {
  const [, first = '', second] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text) ?? [];
  const [local, remote] = [Number(first), Number(second ?? first)];
  if (first !== '' && local <= 65_535 && remote >= 1 && remote <= 65_535) return { local, remote };
  throw usageError(
    `${text} is not a port: say one from 1 to 65535, or two such as 8080:80 (here, and in the VM)`,
  );
}

/**
 * Listens on ports of this host, and carries each connection to a port of a VM, through its pilot,
 * until SIGINT or SIGTERM. A connection that the VM does not take is closed, and why is said on
 * standard error. Throws `WspError`: `usage` (no address, a port that cannot be listened on), and
 * what the service says of the VM.
 */
export async function forward(
  context: CommandContext,
  target: string,
  ports: readonly PortPair[],
  address: string,
): Promise<void> {
  // Node takes an empty one for all of the host's.
  if (isIP(address) === 0)
    throw usageError(`--address ${address} is not an IP address: say one of this host, such as 127.0.0.1`);
  const { workspace, vm } = await findVm(context, target);
  const open = new Set<Socket>();
  const servers = ports.map(({ remote }) =>
    createServer({ allowHalfOpen: true }, socket => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      void join(context, workspace, { vm, port: remote, socket });
    }),
  );
  const ended = untilSignal();
  try {
    const forwards = [];
    for (const [index, { local, remote }] of ports.entries())
      forwards.push({ address, port: await listen(servers[index] as Server, local, address), to: remote });
    context.answer({ workspace: workspace.id, vm, forwards }, forwards.map(line(workspace, vm)).join(''));
    await ended.reached;
  } finally {
    ended.forget();
    for (const server of servers) server.close();
    for (const socket of open) socket.destroy();
  }
}

async function listen(server: Server, port: number, host: string): Promise<number> {
  try {
    server.listen({ port, host });
    await once(server, 'listening');
  } catch (cause) {
    throw usageError(
      `port ${port} of ${host} cannot be listened on: ${messageOf(cause)}`,
      'choose another port here, such as 18080:80, or 0:80 for any that is free',
    );
  }
  // One that cannot be accepted, for want of descriptors, is not the others' end.
  server.on('error', () => undefined);
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : port;
}

/** Carries one connection. Nothing of what goes wrong with it is the others' business. */
async function join(
  context: CommandContext,
  { id, name }: WorkspaceView,
  { vm, port, socket }: { readonly vm: string; readonly port: number; readonly socket: Socket },
): Promise<void> {
  // The one who connected may go at any time.
  socket.on('error', () => undefined);
  try {
    const stream = await context.client().openStream(id, vm, { kind: 'tcp', port });
    let stopTimer: StopTimer = () => undefined;
    const answering = (): void => {
      stopTimer();
      stopTimer = systemClock.after(halfOpenMs, () => {
        // Who reads slowly is still being answered. An end, no cut: what was said reaches the guest.
        if (socket.writableLength > 0) answering();
        else stream.end();
      });
    };
    socket.once('end', () => {
      answering();
      stream.on('data', answering);
    });
    socket.once('close', () => {
      stopTimer();
      stream.destroy();
    });
    // Their end is not passed on: it would end the answer, too.
    socket.pipe(stream, { end: false });
    pipeline(stream, socket, () => stream.destroy());
  } catch (cause) {
    socket.destroy();
    process.stderr.write(plainLines(`wsp: port ${port} of ${name}/${vm}: ${messageOf(cause)}\n`));
  }
}

const line =
  ({ name }: WorkspaceView, vm: string) =>
  ({ address, port, to }: { readonly address: string; readonly port: number; readonly to: number }): string =>
    `port ${port} of ${address} leads to port ${to} of ${name}/${vm}; Ctrl-C ends it\n`;
