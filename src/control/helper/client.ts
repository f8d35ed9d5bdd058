import { createInterface } from 'node:readline';
import { type Child, startChild } from '../../platform/children.ts';
import { type Clock, withDeadline } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import type { PolicyNetwork } from '../../protocol/helper-policy.ts';
import type { NicPlan } from '../../protocol/plan.ts';
import { protocolGap, protocolWith } from '../../protocol/versions.ts';
import { ControlError } from '../control.ts';
import { isVxlan } from '../network/links/index.ts';
import type { Helper } from './helper.ts';
import type { HelperAnswer, HelperFeature, HelperGreeting, HelperOperation } from './requests.ts';
import { messageOf } from '../../platform/message-of.ts';

/** What starts the helper of a slot. */
export interface HelperOptions {
  /** From the site file: `sudo -n /usr/local/sbin/wsp-helper`; `--node` and `--slot` are appended. */
  readonly argv: readonly string[];
  readonly node: string;
  readonly slotId: string;
  readonly clock: Clock;
  readonly log: Log;
}

const startDeadlineMs = 20_000;
/** Longer than the helper's own deadlines together. */
const requestDeadlineMs = 60_000;
const endDeadlineMs = 5_000;
/** What it leaves behind may hold its standard error open. */
const lastWordsDeadlineMs = 500;
const mostRestarts = 3;
const upgrade = 'upgrade it with scripts/install-helper of this version (docs/admin/helper.md)';

interface Pending {
  readonly line: string;
  readonly answered: (answer: HelperAnswer) => void;
}

/**
 * Starts the helper and resolves when it serves. Rejects with `ControlError` `helper_missing`, with its last words, when it does not come up:
 * no sudo rule, not installed.
 */
export async function startHelper(options: HelperOptions): Promise<Helper> {
  const client = new HelperClient(options);
  await client.start();
  return client;
}

/**
 * The pilot's end of the helper.
 *
 *   starting ─► serving ─► over (undone by us or by kill-all, or dead for good)
 *      ▲           │ died
 *      └───────────┘ at most three times; the new one finds the old one's journal, and is asked again what was not answered
 *
 * Invariant: when this process ends, however it does, the helper's input closes, and it undoes the slot.
 */
class HelperClient implements Helper {
  readonly #options: HelperOptions;
  readonly #pending = new Map<number, Pending>();
  #child: Child | undefined;
  #serving = false;
  #lastId = 0;
  #restarts = 0;
  #lastWords = '';
  #features: readonly string[] = [];
  /** Set once: what every further request is answered with. */
  #over: ControlError | undefined;

  constructor(options: HelperOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const child = await this.#spawn();
    const greeted = this.#ask(0, '');
    this.#child = child;
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#lastWords = chunk.toString('utf8').trim().slice(-500);
      this.#options.log.warn('helper', { words: this.#lastWords });
    });
    if (child.stdout) {
      const lines = createInterface({ input: child.stdout });
      lines.on('line', line => this.#heard(line));
      // The program that we started may only be the one that left the real helper behind: its output tells which of them lives.
      lines.on('close', () => void this.#lastWordsRead(child).then(() => this.#died(child)));
    }
    try {
      const what = "the privileged helper's greeting";
      const answer = await withDeadline(this.#options.clock, startDeadlineMs, what, greeted);
      this.#greeted(answer as HelperGreeting);
    } catch (cause) {
      this.#give('helper_missing', `the privileged helper does not start: ${messageOf(cause)}`);
      child.extra?.end();
      throw this.#over ?? cause;
    }
    this.#serving = true;
    for (const { line } of this.#pending.values()) child.extra?.write(line);
  }

  async attachNic(...[nic, hostname]: Parameters<Helper['attachNic']>): Promise<void> {
    return this.#request({
      op: 'attach-nic',
      nic: this.#can('set-peers') ? nic : nicOfBefore(nic),
      hostname,
    });
  }

  detachNic(tap: string): Promise<void> {
    return this.#request({ op: 'detach-nic', tap });
  }

  async setPeers(...[bridge, peers]: Parameters<Helper['setPeers']>): Promise<void> {
    if (!this.#can('set-peers')) {
      const helper = `the privileged helper on ${this.#options.node}`;
      throw new ControlError('helper_too_old', `${helper} cannot change the peers of a VXLAN: ${upgrade}`);
    }
    return this.#request({ op: 'set-peers', bridge, peers });
  }

  adoptProcess(pid: number): Promise<void> {
    return this.#request({ op: 'adopt-process', pid });
  }

  adoptDirectory(path: string): Promise<void> {
    return this.#request({ op: 'adopt-directory', path });
  }

  async checkNetworks(networks: readonly PolicyNetwork[]): Promise<void> {
    // Of others the policy is looked at when the interfaces are asked for.
    if (this.#can('check-networks')) await this.#request({ op: 'check-networks', networks });
  }

  async undo(): Promise<void> {
    // kill-all has done it, or an earlier call, which did not live to see the helper's end.
    if (this.#over?.code === 'slot_undone' || this.#over?.code === 'helper_ended') return;
    await this.#request({ op: 'undo' });
    const child = this.#child;
    this.#over = new ControlError('helper_ended', 'the slot is undone; its helper has ended');
    this.#child = undefined;
    child?.extra?.end();
    if (child)
      await withDeadline(this.#options.clock, endDeadlineMs, "the privileged helper's end", child.exited);
  }

  /** What the helper speaks and can do. One whose protocol is not spoken here is given up. */
  #greeted({ protocol, features = [] }: HelperGreeting): void {
    this.#features = features;
    const helper = `the privileged helper on ${this.#options.node}`;
    const gap = protocolGap('helper', helper, protocol);
    if (gap === undefined) return;
    const isOlder = protocolWith('helper', protocol) === 'they are older';
    const refusal = isOlder
      ? new ControlError('helper_too_old', `${gap}: ${upgrade}`)
      : new ControlError('helper_too_new', gap);
    this.#give(refusal.code, refusal.message);
    throw refusal;
  }

  #can(feature: HelperFeature): boolean {
    return this.#features.includes(feature);
  }

  async #request(body: HelperOperation): Promise<void> {
    if (this.#over) throw this.#over;
    this.#lastId += 1;
    const id = this.#lastId;
    const line = `${JSON.stringify({ id, ...body })}\n`;
    const answered = this.#ask(id, line);
    // While it is being started again the request waits; `start` sends it.
    if (this.#serving) this.#child?.extra?.write(line);
    const what = `the helper's answer to ${body.op}`;
    await withDeadline(this.#options.clock, requestDeadlineMs, what, answered).finally(() =>
      this.#pending.delete(id),
    );
  }

  /** The answer to `id`; a rejection with `ControlError` when it is not ok. */
  #ask(id: number, line: string): Promise<HelperAnswer & { readonly ok: true }> {
    return new Promise((resolve, reject) => {
      const answered = (answer: HelperAnswer): void => {
        this.#pending.delete(id);
        if (answer.ok) resolve(answer);
        else reject(new ControlError(answer.code, answer.message));
      };
      this.#pending.set(id, { line, answered });
    });
  }

  async #spawn(): Promise<Child> {
    const { argv, node, slotId } = this.#options;
    const command = [...argv, '--node', node, '--slot', slotId];
    try {
      // What we start leaves the helper behind and ends (setsid -f), and with it Node closes its standard input: so requests go through descriptor 3, which
      // the shell makes the helper's input (sudo would close it). The script is fixed; the command is in its arguments.
      const child = await startChild(['sh', '-c', 'exec "$@" <&3 3<&-', 'wsp-helper', ...command], {
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        detached: true,
      });
      child.extra?.on('error', () => undefined);
      return child;
    } catch (cause) {
      const message = `the privileged helper cannot be started: ${messageOf(cause)}`;
      throw new ControlError('helper_missing', message, cause);
    }
  }

  #heard(line: string): void {
    let answer: HelperAnswer;
    try {
      answer = JSON.parse(line) as HelperAnswer;
    } catch {
      this.#lastWords = line.slice(0, 500);
      return;
    }
    if (!answer.ok && answer.code === 'slot_undone')
      this.#over = new ControlError(answer.code, answer.message);
    if (!answer.ok && answer.id === -1)
      this.#options.log.error('the helper could not read a request', { message: answer.message });
    this.#pending.get(answer.id)?.answered(answer);
  }

  /** Why it has ended stands on its standard error, which may be read after its output's end. */
  async #lastWordsRead({ stderr }: Child): Promise<void> {
    if (!stderr || stderr.readableEnded) return;
    const read = new Promise<void>(resolve => {
      stderr.once('close', () => resolve());
    });
    await withDeadline(this.#options.clock, lastWordsDeadlineMs, "the helper's last words", read).catch(
      () => undefined,
    );
  }

  #died(child: Child): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#serving = false;
    const { log } = this.#options;
    const why = `the privileged helper has ended: ${this.#lastWords || 'it said nothing'}`;
    // One that has never greeted would not the next time either.
    if (this.#over || this.#pending.has(0)) return this.#give(this.#over?.code ?? 'helper_missing', why);
    if (this.#restarts >= mostRestarts)
      return this.#give('helper_died', `${why} (after ${this.#restarts} restarts)`);
    this.#restarts += 1;
    log.warn('the helper has ended; it is started again', {
      lastWords: this.#lastWords,
      restarts: this.#restarts,
    });
    this.start().catch((cause: unknown) => {
      log.error('the helper cannot be started again', errorFields(cause));
      this.#give('helper_died', messageOf(cause));
    });
  }

  /** Gives up: what waits and what comes is answered with that. */
  #give(code: string, message: string): void {
    this.#over ??= new ControlError(code, message);
    for (const [id, { answered }] of this.#pending) answered({ id, ok: false, code, message });
  }
}

/** As helpers of protocol 1 know it: their VXLANs learn where MACs are, and are told addresses alone. */
function nicOfBefore(nic: NicPlan): NicPlan {
  const { link } = nic.bridge;
  if (!isVxlan(link)) return nic;
  const peers = link.peers.map(({ address }) => address);
  return { ...nic, bridge: { ...nic.bridge, link: { ...link, peers } } };
}
