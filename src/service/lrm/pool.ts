import type { LrmEffect } from '../../lease/decision.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { SiteState, Slot } from '../../lease/model.ts';
import type { Pool } from '../../lease/settings.ts';
import type { GangSite } from '../../lrm/kind.ts';
import { type Lrm, type LrmCapabilities, LrmError } from '../../lrm/lrm.ts';
import { type Clock, DeadlineError, withDeadline } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { NodeSettings } from '../../protocol/pilot.ts';
import type { PilotSite } from '../pilots/assignment.ts';
import type { PoolTrouble } from '../core/engine-api.ts';
import { gangRequest, performLrmEffect } from './effects.ts';
import { SiteCapabilities } from './capabilities.ts';
import { LrmReconciler } from './reconcile.ts';

/** How long whoever only asks waits for the LRM. */
const dryRunDeadlineMs = 10_000;

/** A pool as the site file and its LRM make it. */
export interface EnginePool extends Pick<Pool, 'name' | 'policy' | 'reaches' | 'memory'> {
  /** Not closed by the engine. */
  readonly lrm: Lrm;
  readonly gang: GangSite;
  /** How its nodes are used. */
  readonly node: NodeSettings;
}

/** What a pool works with. */
export interface LrmPoolParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly pilot: PilotSite;
  readonly state: () => SiteState;
  readonly slotSecret: (slotId: string) => string | undefined;
  /** The pools of slots, of retired ones too; those that there are. */
  readonly poolsOf: (slotIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  /** Feeds the core; resolves once durable. `done`: effects that this answers. */
  readonly submit: (input: LeaseInput, done?: readonly string[]) => Promise<unknown>;
  readonly done: (key: string) => void;
  /** The LRM has told what it can give. */
  readonly sized: (name: string, site: Pool['site']) => void;
}

/** One pool at work: what its LRM can give, what its jobs do, and the effects on it. */
export class LrmPool {
  readonly name: string;
  readonly lrm: Lrm;
  readonly #pool: EnginePool;
  readonly #parts: LrmPoolParts;
  readonly #capabilities: SiteCapabilities;
  readonly #reconciler: LrmReconciler;

  constructor(pool: EnginePool, parts: LrmPoolParts) {
    const { clock, log, state, poolsOf, submit } = parts;
    const { name, lrm } = pool;
    this.name = name;
    this.lrm = lrm;
    this.#pool = pool;
    this.#parts = parts;
    this.#capabilities = new SiteCapabilities({ clock, log, lrm, changed: site => parts.sized(name, site) });
    this.#reconciler = new LrmReconciler({ clock, log, pool: name, lrm, state, poolsOf, submit });
  }

  /** Resolves when the LRM has been asked what it can give. */
  async start(): Promise<void> {
    await this.#capabilities.start();
    this.#reconciler.start();
  }

  stop(): void {
    this.#capabilities.stop();
    this.#reconciler.stop();
  }

  /** Something should have changed: its jobs are looked at soon. */
  signal(): void {
    this.#reconciler.signal();
  }

  slotsChanged(): void {
    this.#reconciler.slotsChanged();
  }

  /** What the LRM says now; undefined when it does not answer. */
  now(): Promise<LrmCapabilities | undefined> {
    return this.#capabilities.now();
  }

  /** Why the LRM did not answer when it was last asked what it can give. */
  get trouble(): PoolTrouble | undefined {
    return this.#capabilities.trouble;
  }

  /**
   * Whether the LRM itself would take the slot's job; resolves with its words when it would not.
   */
  async dryRun(slot: Slot): Promise<LrmError | undefined> {
    const request = gangRequest(slot, this.#pool.gang, '');
    try {
      await withDeadline(this.#parts.clock, dryRunDeadlineMs, "the LRM's answer", this.lrm.dryRun(request));
      return undefined;
    } catch (cause) {
      if (cause instanceof LrmError) return cause;
      if (cause instanceof DeadlineError) return new LrmError('unavailable', cause.message, cause);
      throw cause;
    }
  }

  /** Does one effect on the LRM. Rejects when it is worth another try. */
  perform(effect: LrmEffect, again: boolean): Promise<void> {
    const { pilot, state, slotSecret, submit, done } = this.#parts;
    return performLrmEffect(effect, again, {
      lrm: this.lrm,
      gang: this.#pool.gang,
      reaches: this.#pool.reaches,
      pilot: { ...pilot, node: this.#pool.node },
      state,
      slotSecret,
      submit,
      done,
      capabilities: () => this.#capabilities.known(),
      observeSoon: () => this.#reconciler.signal(),
    });
  }
}
