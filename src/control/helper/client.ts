import { createInterface } from 'node:readline';
import { type Child, startChild } from '../../platform/children.ts';
import { type Clock, withDeadline } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { ControlError } from '../control.ts';
import type { Helper } from './helper.ts';
import type { HelperAnswer, HelperRequest } from './requests.ts';

/** What starts the helper of a slot. */
export interface HelperOptions {
  /** From the site file: `sudo -n /usr/local/sbin/wsp-helper`; `--node` and `--slot` are appended. */
  readonly argv: readonly string[];
  readonly node: string;
  readonly slotId: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Longer than the helper's own deadlines together. */
const requestDeadlineMs = 30_000;
const mostRestarts = 3;

/** `Omit` for each member of a union. */
type Body<T> = T extends unknown ? Omit<T, 'id'> : never;

/**
 * The pilot's end of the helper.
 *
 *   started ─► serving ─► undone
 *      ▲          │ died
 *      └──────────┘ at most three times; the new one finds the old one's journal
 *
 * Invariant: when this process ends, however it does, the helper's input closes, and it undoes the slot.
 */
export async function startHelper(options: HelperOptions): Promise<Helper> {
  const client = new HelperClient(options);
  await client.start();
  return client;
}

class HelperClient implements Helper {
  readonly #options: HelperOptions;
  readonly #waiting = new Map<number, (answer: HelperAnswer) => void>();
  #child: Child | undefined;
  #lastId = 0;
  #restarts = 0;
  #lastWords = '';

  constructor(options: HelperOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { argv, node, slotId } = this.#options;
    const command = [...argv, '--node', node, '--slot', slotId];
    // What we start leaves the helper behind and ends (setsid -f), and with it Node closes its standard input: so requests go through descriptor 3, which
    // the shell makes the helper's input (sudo would close it). The script is fixed; the command is in its arguments.
    const child = await startChild(['sh', '-c', 'exec "$@" <&3 3<&-', 'wsp-helper', ...command], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
    }).catch((cause: unknown) => {
      throw new ControlError(
        'helper_missing',
        `the privileged helper cannot be started: ${message(cause)}`,
        cause,
      );
    });
    this.#child = child;
    child.extra?.on('error', () => undefined);
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#lastWords = chunk.toString('utf8').trim().slice(-500);
    });
    if (child.stdout) {
      const lines = createInterface({ input: child.stdout });
      lines.on('line', line => this.#answered(JSON.parse(line) as HelperAnswer));
      // The program that we started may only be the one that left the real helper behind: its output tells which of them lives.
      lines.on('close', () => this.#died(child));
    }
  }

  async attachNic(...[nic, hostname]: Parameters<Helper['attachNic']>): Promise<void> {
    await this.#ask({ op: 'attach-nic', nic, hostname });
  }

  async detachNic(tap: string): Promise<void> {
    await this.#ask({ op: 'detach-nic', tap });
  }

  async adoptProcess(pid: number): Promise<void> {
    await this.#ask({ op: 'adopt-process', pid });
  }

  async adoptDirectory(path: string): Promise<void> {
    await this.#ask({ op: 'adopt-directory', path });
  }

  async undo(): Promise<void> {
    await this.#ask({ op: 'undo' });
    const child = this.#child;
    this.#child = undefined;
    child?.extra?.end();
  }

  async #ask(body: Body<HelperRequest>): Promise<void> {
    if (!this.#child) {
      if (this.#restarts >= mostRestarts)
        throw new ControlError(
          'helper_died',
          `the privileged helper has died ${this.#restarts} times: ${this.#lastWords}`,
        );
      this.#restarts += 1;
      await this.start();
    }
    this.#lastId += 1;
    const id = this.#lastId;
    const answered = new Promise<HelperAnswer>(resolve => this.#waiting.set(id, resolve));
    this.#child?.extra?.write(`${JSON.stringify({ id, ...body })}\n`);
    try {
      const answer = await withDeadline(
        this.#options.clock,
        requestDeadlineMs,
        `the helper's answer to ${body.op}`,
        answered,
      );
      if (!answer.ok) throw new ControlError(answer.code, answer.message);
    } finally {
      this.#waiting.delete(id);
    }
  }

  #answered(answer: HelperAnswer): void {
    if (answer.id === -1 && !answer.ok)
      this.#options.log.error('the helper could not read a request', { message: answer.message });
    this.#waiting.get(answer.id)?.(answer);
  }

  #died(child: Child): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#options.log.warn('the helper has ended', { lastWords: this.#lastWords, restarts: this.#restarts });
    const why = this.#lastWords || 'it said nothing';
    for (const [id, resolve] of this.#waiting)
      resolve({ id, ok: false, code: 'helper_died', message: `the privileged helper ended: ${why}` });
    this.#waiting.clear();
    child.exited.catch((cause: unknown) => this.#options.log.warn('helper exit', errorFields(cause)));
  }
}

function message(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
