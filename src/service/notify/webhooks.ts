import type { Clock } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import type { DeadLetterView, NewWebhookView, WebhookRequest, WebhookView } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import { idSuffix } from '../../protocol/ids.ts';
import { formatDuration, formatMoment } from '../../protocol/units.ts';
import type { Caller } from '../access/accounts.ts';
import type { Engine, StoredEvent } from '../core/engine-api.ts';
import type { AccessRow, Store } from '../store/store.ts';
import { deadLetterOf, hookOf, type StoredDeadLetter, type StoredHook } from './stored.ts';
import { eventView } from '../api/views.ts';
import {
  type AllowedNetworks,
  ForbiddenAddressError,
  isForbidden,
  literalAddress,
  type LookUp,
} from './addresses.ts';
import { deadlineMs, post } from './post.ts';
import { messageOf } from '../../platform/message-of.ts';

/**
 * Webhooks: each event that their owner may see, posted in order, at least once.
 *
 *                    ┌────── delivered: the cursor moves, durably ──────┐
 *   cursor ─► next event ─► post ─┬─ 2xx ─────────────────────────────► │
 *                    ▲            └─ else: again after 1 s, 2 s, 4 s, … │
 *                    │                 └─ too often: dead letter ──────►┘   five of them in a row: the hook stops until it is resumed
 *
 * Nothing is queued here: the history is the queue, the cursor (the number of the last event that
 * is done with) is all there is to keep. Invariants: an event is sent before any later one, so the
 * order holds within each workspace; no event between two cursors is passed over that the owner may
 * see. Of a try that fails the owner learns neither why nor how soon: what they name is looked for
 * from the head node, where they cannot look. If we crash: the event in hand is sent again.
 */
export interface WebhookParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: Pick<Store, 'loadAccess' | 'putAccess' | 'lastEvent'>;
  readonly engine: Pick<Engine, 'events' | 'onEvents' | 'state'>;
  /** Networks that the site opens, beyond what is open to all. */
  readonly allowed: AllowedNetworks;
  /** Default: the system's. */
  readonly lookUp?: LookUp;
  /** What a user may see, now; undefined: they are disabled. */
  readonly callerOfUser: (user: string) => Caller | undefined;
  readonly maySee: (caller: Caller, event: StoredEvent) => boolean;
}

const mostHooksPerUser = 20;
const attempts = 12;
const firstRetryMs = 1_000;
const longestRetryMs = 15 * 60_000;
const deadUntilStopped = 5;
const pageLimit = 200;
/** Of every failure; the service's log says more. */
const notDelivered = `the receiver did not answer with HTTP 2xx within ${formatDuration(deadlineMs)}, or webhooks of this site may not go there`;

/** All webhooks of the service. */
export class Webhooks {
  readonly #parts: WebhookParts;
  readonly #hooks = new Map<string, StoredHook>();
  readonly #dead = new Map<string, StoredDeadLetter>();
  readonly #ends = new Map<string, AbortController>();
  readonly #loops = new Set<Promise<void>>();
  #stopped = false;

  constructor(parts: WebhookParts) {
    this.#parts = parts;
  }

  /** Throws `WspError` (`failed`): a document cannot be read. */
  async start(): Promise<void> {
    for (const { kind, id, body } of await this.#parts.store.loadAccess()) {
      if (kind === 'webhook') this.#hooks.set(id, hookOf(id, body));
      if (kind === 'dead-letter') this.#dead.set(id, deadLetterOf(id, body));
    }
    for (const { id, stopped } of this.#hooks.values()) if (stopped === null) this.#run(id);
  }

  /** Resolves when no delivery is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const end of this.#ends.values()) end.abort();
    await Promise.all(this.#loops);
  }

  of(user: string | undefined): readonly WebhookView[] {
    return [...this.#hooks.values()]
      .filter(hook => user === undefined || hook.owner === user)
      .map(hook => this.#view(hook));
  }

  ownerOf(id: string): string | undefined {
    return this.#hooks.get(id)?.owner;
  }

  deadLetters(id: string): readonly DeadLetterView[] {
    return [...this.#dead.values()]
      .filter(({ hook }) => hook === id)
      .map(({ event, at, attempts: tries, error }) => ({
        event,
        at: formatMoment(at),
        attempts: tries,
        error,
      }));
  }

  /** From now on. Throws `WspError`: `forbidden` (an address that the site does not open), `conflict` (too many). */
  async create(
    owner: string,
    workspace: string | null,
    { url, types = [] }: WebhookRequest,
  ): Promise<NewWebhookView> {
    const { random, clock, store } = this.#parts;
    this.#checkUrl(url);
    if (this.of(owner).length >= mostHooksPerUser)
      throw new WspError('conflict', `user ${owner} has ${mostHooksPerUser} webhooks, which is the most`);
    const hook: StoredHook = {
      id: `hook-${idSuffix(random.bytes(10))}`,
      owner,
      url,
      secret: Buffer.from(random.bytes(32)).toString('base64url'),
      workspace,
      types,
      cursor: await store.lastEvent(),
      createdAt: clock.now(),
      stopped: null,
      deadInARow: 0,
    };
    await this.#put(hook);
    this.#run(hook.id);
    return { ...this.#view(hook), secret: hook.secret };
  }

  async remove(id: string): Promise<void> {
    this.#ends.get(id)?.abort();
    const letters = [...this.#dead].filter(([, { hook }]) => hook === id).map(([key]) => key);
    await this.#parts.store.putAccess([
      { kind: 'webhook', id, body: null },
      ...letters.map((key): AccessRow => ({ kind: 'dead-letter', id: key, body: null })),
    ]);
    this.#hooks.delete(id);
    for (const key of letters) this.#dead.delete(key);
  }

  /** One that has stopped goes on where it was. */
  async resume(id: string): Promise<WebhookView> {
    const hook = this.#hooks.get(id);
    if (!hook) throw new WspError('not_found', `there is no webhook ${id}`);
    if (hook.stopped === null) return this.#view(hook);
    const resumed = { ...hook, stopped: null, deadInARow: 0 };
    await this.#put(resumed);
    this.#run(id);
    return this.#view(resumed);
  }

  #checkUrl(text: string): void {
    const { hostname, username, password } = new URL(text);
    if (username !== '' || password !== '')
      throw new WspError(
        'invalid_request',
        'url: leave user and password out of it; receivers know a webhook by its signature',
      );
    const literal = literalAddress(hostname);
    if (literal !== undefined && isForbidden(literal, this.#parts.allowed))
      throw new WspError('forbidden', new ForbiddenAddressError(hostname, literal).message, {
        hint: 'an administrator can open networks with webhooks.allow in the site file',
      });
  }

  #run(id: string): void {
    const end = new AbortController();
    this.#ends.set(id, end);
    const loop = this.#deliverAll(id, end.signal)
      .catch((cause: unknown) =>
        this.#parts.log.error('a webhook has ended', { hook: id, ...errorFields(cause) }),
      )
      .finally(() => this.#loops.delete(loop));
    this.#loops.add(loop);
  }

  async #deliverAll(id: string, end: AbortSignal): Promise<void> {
    const { engine, store } = this.#parts;
    // Made before the history is read, so that nothing in between is slept through.
    const newsOf = () => waitFor(end, done => engine.onEvents(done));
    let news = newsOf();
    /** Nothing up to here is for this hook. */
    let looked = 0;
    for (;;) {
      const hook = this.#hooks.get(id);
      if (!hook || hook.stopped !== null || end.aborted) break;
      const last = await store.lastEvent();
      const page = await engine.events({
        after: Math.max(hook.cursor, looked),
        limit: pageLimit,
        ...(hook.workspace === null ? {} : { workspaceId: hook.workspace }),
        ...(hook.types.length === 0 ? {} : { types: hook.types }),
      });
      for (const event of page) if (!(await this.#deliver(id, event, end))) break;
      if (page.length > 0) continue;
      looked = last;
      await news.over;
      news = newsOf();
    }
    news.stop();
  }

  /** Until it is delivered or given up, or the hook ends (false). */
  async #deliver(id: string, event: StoredEvent, end: AbortSignal): Promise<boolean> {
    const { callerOfUser, maySee, allowed, lookUp, clock, log } = this.#parts;
    for (let tried = 0; ; ) {
      const hook = this.#hooks.get(id);
      if (!hook || hook.stopped !== null || end.aborted) return false;
      const caller = callerOfUser(hook.owner);
      if (!caller || !maySee(caller, event)) {
        await this.#put({ ...hook, cursor: event.seq });
        return true;
      }
      const begunMs = clock.monotonicMs();
      try {
        const { url, secret } = hook;
        const body = JSON.stringify(eventView(event));
        await post({ url, secret, eventId: event.seq, at: clock.now(), body }, allowed, lookUp);
        await this.#put({ ...hook, cursor: event.seq, deadInARow: 0 });
        return true;
      } catch (cause) {
        tried += 1;
        const error = messageOf(cause);
        log.info('a webhook could not be delivered', { hook: id, event: event.seq, tried, error });
        await this.#pause(deadlineMs - (clock.monotonicMs() - begunMs), end);
        if (end.aborted) return false;
        if (tried >= attempts) return this.#giveUp(hook, event);
        await this.#pause(Math.min(firstRetryMs * 2 ** (tried - 1), longestRetryMs), end);
      }
    }
  }

  async #giveUp(hook: StoredHook, event: StoredEvent): Promise<boolean> {
    const letter: StoredDeadLetter = {
      hook: hook.id,
      event: event.seq,
      at: this.#parts.clock.now(),
      attempts,
      error: notDelivered,
    };
    const deadInARow = hook.deadInARow + 1;
    const stopped =
      deadInARow >= deadUntilStopped
        ? `${deadInARow} events in a row could not be delivered: ${notDelivered}`
        : null;
    const key = `${hook.id}:${event.seq}`;
    await this.#parts.store.putAccess([{ kind: 'dead-letter', id: key, body: letter }]);
    this.#dead.set(key, letter);
    await this.#put({ ...hook, cursor: event.seq, deadInARow, stopped });
    return stopped === null;
  }

  #pause(delayMs: number, end: AbortSignal): Promise<void> {
    return waitFor(end, done => this.#parts.clock.after(delayMs, done)).over;
  }

  async #put(hook: StoredHook): Promise<void> {
    // One that was removed while an event was under way stays removed.
    if (this.#stopped || this.#ends.get(hook.id)?.signal.aborted) return;
    await this.#parts.store.putAccess([{ kind: 'webhook', id: hook.id, body: hook }]);
    this.#hooks.set(hook.id, hook);
  }

  #view({ id, owner, url, workspace, types, cursor, createdAt, stopped }: StoredHook): WebhookView {
    return {
      id,
      owner,
      url,
      workspace,
      types: [...types],
      createdAt: formatMoment(createdAt),
      deliveredUpTo: cursor,
      deadLetters: this.deadLetters(id).length,
      stopped,
    };
  }
}

/**
 * `over` resolves when what `begin` begins calls back, or at the end; `stop` gives it up. A webhook
 * waits as long as the service lives: nothing of a wait that is over stays with its end.
 */
function waitFor(
  end: AbortSignal,
  begin: (done: () => void) => () => void,
): { readonly over: Promise<void>; readonly stop: () => void } {
  let stop = (): void => undefined;
  const over = new Promise<void>(resolve => {
    const done = (): void => {
      stop();
      resolve();
    };
    const stopWaiting = begin(done);
    end.addEventListener('abort', done);
    stop = () => {
      stopWaiting();
      end.removeEventListener('abort', done);
    };
    if (end.aborted) done();
  });
  return { over, stop: () => stop() };
}
