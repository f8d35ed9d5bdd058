import type { Lrm } from '../../src/lrm/lrm.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Engine, PilotHub } from '../../src/service/core/engine-api.ts';
import { createEngine, type EngineOptions } from '../../src/service/core/engine.ts';
import { type CrashPoint, isCrashPoint } from './crash-points.ts';
import { mortalHub } from './network.ts';

/**
 * The service as a process that can be killed (-9) at any moment: from then on nothing that it does reaches anything. What was under way in the
 * database or in the LRM comes to its end there, but nobody hears of it.
 */
export class ServiceProcess {
  readonly engine: Engine;
  /** Resolves when it has been killed. */
  readonly died: Promise<void>;
  readonly #life: Life;

  /** `diesAt` is asked at every crash point. */
  constructor(options: EngineOptions, diesAt: (point: CrashPoint) => boolean) {
    const { clock, store, pools } = options;
    let dead: () => void = () => undefined;
    this.died = new Promise(resolve => {
      dead = resolve;
    });
    this.#life = { alive: true, diesAt, dead };
    this.engine = createEngine({
      ...options,
      clock: mortalClock(clock, this.#life),
      store: mortal(store, this.#life, { close: () => Promise.resolve() }),
      pools: pools.map(pool => ({
        ...pool,
        lrm: mortal<Lrm>(pool.lrm, this.#life, {
          onChange: changed => pool.lrm.onChange(() => this.#life.alive && changed()),
          close: () => Promise.resolve(),
        }),
      })),
    });
  }

  /** Where pilots connect to; a port on which nobody listens when it is dead. */
  get hub(): PilotHub {
    if (!this.#life.alive) throw new Error('ECONNREFUSED');
    return mortalHub(this.engine.pilots, point => survives(this.#life, point));
  }

  get isAlive(): boolean {
    return this.#life.alive;
  }

  kill(): void {
    die(this.#life);
  }
}

interface Life {
  alive: boolean;
  readonly diesAt: (point: CrashPoint) => boolean;
  readonly dead: () => void;
}

function die(life: Life): void {
  life.alive = false;
  life.dead();
}

/** Asked at every point of the service; false when it is dead, now or since long. */
function survives(life: Life, point: string): boolean {
  if (life.alive && isCrashPoint(point) && life.diesAt(point)) die(life);
  return life.alive;
}

/** Timers of a process that is dead do not fire. */
function mortalClock(clock: Clock, life: Life): Clock {
  return { ...clock, after: (delayMs, fire) => clock.after(delayMs, () => life.alive && fire()) };
}

type Call = (...args: never[]) => unknown;

/** The same object; but a dead process calls nothing, and hears of no answer. */
function mortal<T extends object>(whole: T, life: Life, own: Partial<T>): T {
  return new Proxy(whole, {
    get(target, name) {
      if (name in own) return Reflect.get(own, name);
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      const call = String(name);
      return async (...args: never[]) => {
        if (!survives(life, `service before ${call}`)) return never();
        const [outcome] = await Promise.allSettled([(member as Call).apply(target, args)]);
        if (!survives(life, `service after ${call}`)) return never();
        if (outcome.status === 'rejected') throw outcome.reason;
        return outcome.value;
      };
    },
  });
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
