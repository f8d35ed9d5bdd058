import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on the loopback that misbehaves when told to. */
export interface CutProxy {
  readonly port: number;
  /** Connections that it has accepted so far. */
  readonly accepted: number;
  /** Breaks every connection, in the middle of whatever it carries. */
  cut(): void;
  /** `pass`: as a proxy does. `refuse`: new connections are broken at once. `silent`: they are taken, and nothing is ever said. */
  behave(how: 'pass' | 'refuse' | 'silent'): void;
  close(): Promise<void>;
}

/** Carries to `target`; a connection whose first bytes `breaks` finds wrong is broken. */
export async function startCutProxy(
  target: number,
  breaks: (first: Buffer) => boolean = () => false,
): Promise<CutProxy> {
  const live = new Set<Socket>();
  let how: 'pass' | 'refuse' | 'silent' = 'pass';
  let accepted = 0;
  const hold = (socket: Socket): void => {
    live.add(socket);
    socket.on('error', () => undefined).on('close', () => live.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true }, near => {
    accepted += 1;
    hold(near);
    if (how === 'refuse') return void near.resetAndDestroy();
    if (how === 'silent') return;
    const far = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true });
    hold(far);
    near.on('data', (data: Buffer) => {
      if (breaks(data)) near.resetAndDestroy();
    });
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    cut() {
      for (const socket of live) socket.resetAndDestroy();
    },
    behave(next) {
      how = next;
    },
    async close() {
      for (const socket of live) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
