import { type Clock, withDeadline } from '../../src/platform/clock.ts';
import type { VmOperation, WorkspaceRequest } from '../../src/protocol/cluster.ts';
import { WspError } from '../../src/protocol/errors.ts';
import type { Engine } from '../../src/service/core/engine-api.ts';
import { count } from './coverage.ts';
import type { Dice } from './dice.ts';
import type { Faults } from './faults.ts';
import { randomRequest } from './requests.ts';

/** What users live in. */
export interface UsersWorld {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly faults: Faults;
  /** Throws when no service answers. */
  readonly engine: () => Engine;
  readonly note: (what: string) => void;
  /** Does something later; until then the life is not over. */
  readonly later: (delayMs: number, deed: () => void) => void;
  /** How requests ended: `refused:conflict`. */
  readonly ends: Map<string, number>;
}

interface Owned {
  readonly id: string;
  readonly owner: string;
}

/** How long a client waits for an answer before it asks again, and how often it asks. */
const answerDeadlineMs = 10_000;
const mostTries = 4;
/** A lease that lasts longer is given back when nothing else happens. */
const longestWaitMs = 300_000;
const operations = ['pause', 'pause', 'resume', 'reboot', 'reboot', 'shutdown', 'start', 'destroy'] as const;

/** Users, over a network between them and the service that loses, delays and repeats requests and answers, and lets one overtake another. */
export class Users {
  /** What they have been told is durable. */
  readonly created = new Set<string>();
  readonly destroyed = new Set<string>();
  readonly #world: UsersWorld;
  /** How likely each misfortune befalls a request. */
  readonly #bad: number;
  #tokens = 0;
  #sent = 0;
  #lastArrived = 0;
  #asking = 0;
  readonly #idOfToken = new Map<string, string>();

  constructor(world: UsersWorld) {
    this.#world = world;
    this.#bad = world.dice.chance(0.5) ? 0 : 0.05;
  }

  /** No request is under way. */
  get idle(): boolean {
    return this.#asking === 0;
  }

  create(): void {
    const { dice, note, later, clock } = this.#world;
    const token = `t${++this.#tokens}`;
    const request: WorkspaceRequest = { ...randomRequest(dice, clock.now()), clientToken: token };
    const owner = dice.pick(['ann', 'bob']);
    // Decided now, so that what happens does not depend on what has happened.
    const destroyAfterMs = dice.chance(0.5) ? dice.int(0, dice.pick([500, 10_000, 100_000])) : undefined;
    const launchAfterMs = request.pending ? dice.int(0, 20_000) : undefined;
    const launched = dice.chance(0.7);
    const actsAfterMs = Array.from({ length: dice.chance(0.3) ? dice.int(1, 6) : 0 }, () =>
      dice.int(3_000, 40_000),
    );
    note(`create ${JSON.stringify(request)}`);
    this.#ask(
      engine => engine.workspaces.create(owner, request).then(({ id }) => this.#accepted(token, id)),
      id => {
        if (destroyAfterMs !== undefined) later(destroyAfterMs, () => this.#destroy(id, owner));
        for (const afterMs of actsAfterMs) later(afterMs, () => this.#act({ id, owner }));
        if (launchAfterMs === undefined) return;
        if (launched) later(launchAfterMs, () => this.#ask(engine => engine.workspaces.launch(id, owner)));
        // A pending workspace that nobody launches would wait for a day.
        else later(launchAfterMs, () => this.#destroy(id, owner));
      },
    );
  }

  #accepted(token: string, id: string): string {
    const before = this.#idOfToken.get(token) ?? id;
    if (before !== id) throw new Error(`one request has made two workspaces, ${before} and ${id}`);
    this.#idOfToken.set(token, id);
    this.created.add(id);
    this.#world.note(`accepted ${id}`);
    return id;
  }

  #destroy(id: string, owner: string): void {
    this.#world.note(`destroy ${id}`);
    this.#ask(engine => engine.workspaces.destroy(id, owner).then(() => this.destroyed.add(id)));
  }

  /** They give back what would last for long, and what was never launched: a life is for what happens, not for waiting. */
  giveUp(): void {
    const { engine, clock } = this.#world;
    for (const { id, owner, state, endsAt } of engine().state.workspaces.values())
      if (state === 'pending' || (state === 'running' && (endsAt ?? 0) > clock.now() + longestWaitMs))
        this.#destroy(id, owner);
  }

  /** A user does something with one of the workspaces that run. */
  order(): void {
    const running = this.anyRunning();
    if (running) this.#order(running);
  }

  extend(): void {
    const running = this.anyRunning();
    if (running) this.#extend(running);
  }

  #act(workspace: Owned): void {
    if (this.#world.dice.chance(0.2)) this.#extend(workspace);
    else this.#order(workspace);
  }

  #order(workspace: Owned): void {
    const { dice } = this.#world;
    const orders = [dice.pick(operations), ...(dice.chance(0.5) ? [dice.pick(operations)] : [])];
    const target = dice.chance(0.5) ? 'g0' : undefined;
    for (const operation of orders) this.operate(workspace, operation, target);
  }

  operate({ id, owner }: Owned, operation: VmOperation, target?: string): void {
    this.#world.note(`${operation} ${id}`);
    this.#ask(engine => engine.workspaces.operate(id, owner, { operation, ...(target ? { target } : {}) }));
  }

  #extend({ id, owner }: Owned): void {
    const durationMs = this.#world.dice.pick([1_000, 120_000, 600_000, 3_600_000]);
    this.#world.note(`extend ${id} by ${durationMs}`);
    this.#ask(engine => engine.workspaces.extend(id, owner, durationMs));
  }

  /** One of the workspaces that run. */
  anyRunning(): Owned | undefined {
    const { dice, engine } = this.#world;
    try {
      const running = [...engine().state.workspaces.values()].filter(({ state }) => state === 'running');
      return running[dice.int(0, Math.max(0, running.length - 1))];
    } catch {
      return undefined;
    }
  }

  /** Asks until there is an answer, or for long enough. */
  #ask<T>(call: (engine: Engine) => Promise<T>, answered: (answer: T) => void = () => undefined): void {
    const { note } = this.#world;
    this.#asking += 1;
    this.#tries(call, mostTries).then(
      answer => {
        this.#asking -= 1;
        if (answer === undefined) note('no answer');
        else answered(answer.value);
      },
      (cause: unknown) => {
        this.#asking -= 1;
        this.#refused(cause);
      },
    );
  }

  async #tries<T>(
    call: (engine: Engine) => Promise<T>,
    tries: number,
  ): Promise<{ readonly value: T } | undefined> {
    for (let left = tries; left > 0; left--) {
      const answer = withDeadline(this.#world.clock, answerDeadlineMs, 'an answer', this.#once(call));
      try {
        return { value: await answer };
      } catch (cause) {
        if (cause instanceof WspError && cause.code !== 'busy') throw cause;
        if (cause instanceof Error && cause.message.startsWith('one request')) throw cause;
      }
      // Not at once again.
      await new Promise<void>(resolve => this.#world.later(this.#world.dice.int(500, 5_000), resolve));
    }
    return undefined;
  }

  /** One request and its answer. Never settles when either is lost. */
  async #once<T>(call: (engine: Engine) => Promise<T>): Promise<T> {
    const { dice, faults, engine } = this.#world;
    const befalls = (kind: string): boolean => {
      const does = dice.chance(this.#bad) && !faults.over;
      if (does) faults.happened(kind);
      return does;
    };
    await this.#travels(befalls('client request late') ? dice.int(100, 9_000) : dice.int(0, 30));
    if (befalls('client request lost')) return new Promise(() => undefined);
    if (befalls('client request twice')) call(engine()).catch(() => undefined);
    const value = await call(engine());
    if (befalls('answer to a client lost')) return new Promise(() => undefined);
    return value;
  }

  async #travels(ms: number): Promise<void> {
    const number = ++this.#sent;
    await new Promise<void>(resolve => this.#world.later(ms, resolve));
    if (number < this.#lastArrived) this.#world.faults.happened('client request overtaken');
    this.#lastArrived = Math.max(this.#lastArrived, number);
  }

  #refused(cause: unknown): void {
    if (!(cause instanceof WspError) || cause.code === 'internal') throw cause;
    this.#world.note(`refused: ${cause.message}`);
    count(this.#world.ends, `refused:${cause.code}`);
  }
}
