import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { VmmError } from '../vmm.ts';

/**
 * UNIX sockets on which QEMU calls us, so that its readiness is an event and nothing is retried.
 * QEMU runs with the VM's directory as its own and uses bare names; we reach the directory as `/proc/self/fd/N`. So the
 * 108 bytes of a socket's address (unix(7)) limit neither side, however deep the work directory is.
 */
export class VmSockets {
  readonly #directory: FileHandle;
  readonly #closers = new Set<() => void>();
  #closed: Promise<void> | undefined;

  private constructor(directory: FileHandle) {
    this.#directory = directory;
  }

  /** Throws the file system's error when the directory cannot be opened. */
  static async in(directory: string): Promise<VmSockets> {
    return new VmSockets(await open(directory, 'r'));
  }

  /** Resolves, once it listens, with a promise of the connection; `VmmError` if closed before. */
  listen(name: string): Promise<{ readonly connection: Promise<Socket> }> {
    const path = join('/proc/self/fd', String(this.#directory.fd), name);
    return new Promise((listening, failed) => {
      const server = createServer();
      const connection = new Promise<Socket>((resolve, reject) => {
        const close = (): void => {
          this.#closers.delete(close);
          server.close();
          reject(new VmmError('vmm_start_failed', `QEMU did not connect to ${name}`));
        };
        this.#closers.add(close);
        server.once('connection', socket => {
          this.#closers.delete(close);
          server.close();
          // A connection that breaks is noticed by its end; unheard, the error would end the pilot.
          socket.on('error', () => undefined);
          resolve(socket);
        });
      });
      // Whoever does not wait for it (another socket failed first) is not interested.
      connection.catch(() => undefined);
      server.once('error', failed);
      server.listen(path, () => listening({ connection }));
    });
  }

  /** Stops listening; connections that were taken live on. Closing twice is the same as once. */
  close(): Promise<void> {
    for (const close of this.#closers) close();
    // A server removes its file by the path it was given, so the directory goes last.
    this.#closed ??= this.#directory.close();
    return this.#closed;
  }
}
