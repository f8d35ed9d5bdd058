import type { PilotEffect } from '../../lease/decision.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import type { Order } from '../../protocol/orders.ts';
import type { ServiceMessage } from '../../protocol/pilot.ts';

/**
 * Commands that are pending for pilots. Each pilot gets its own in the order in which they were
 * decided, all at once, without waiting for any answer; after a reconnect it gets again what it has
 * not acknowledged (it knows the keys it has seen). An order that cannot wait is here before it is
 * stored (`hub.ts`).
 *
 *   pending ─► sent, if the pilot is connected ─► command-ack ─► done
 *        ▲            │ connection lost                 slot over ─► done: nobody is there to obey
 *        └────────────┘
 *
 * If we crash here: what was not acknowledged is pending in the store still, and is sent when the pilot is back.
 */
export interface CommandParts {
  readonly log: Log;
  /** The order as the pilot gets it; undefined when what it was for is gone. */
  readonly orderOf: (effect: PilotEffect) => Order | undefined;
  /** The effect is pending no more. */
  readonly done: (key: string) => void;
}

type Send = (message: ServiceMessage) => void;

interface Pilot {
  readonly pending: Map<string, PilotEffect>;
  send: Send | undefined;
}

/** What is pending for pilots; see above. */
export class PilotCommands {
  readonly #parts: CommandParts;
  /** By slot, then by node. */
  readonly #slots = new Map<string, Map<string, Pilot>>();

  constructor(parts: CommandParts) {
    this.#parts = parts;
  }

  add(effect: PilotEffect): void {
    const pilot = this.#pilot(effect.slotId, effect.node);
    if (pilot.pending.has(effect.key)) return;
    pilot.pending.set(effect.key, effect);
    if (pilot.send) this.#send(pilot, effect, pilot.send);
  }

  connected(slotId: string, node: string, send: Send): void {
    const pilot = this.#pilot(slotId, node);
    pilot.send = send;
    for (const effect of pilot.pending.values()) this.#send(pilot, effect, send);
  }

  disconnected(slotId: string, node: string): void {
    const pilot = this.#slots.get(slotId)?.get(node);
    if (pilot) pilot.send = undefined;
  }

  acknowledged(slotId: string, node: string, key: string): void {
    if (this.#slots.get(slotId)?.get(node)?.pending.delete(key)) this.#parts.done(key);
  }

  slotOver(slotId: string): void {
    for (const pilot of this.#slots.get(slotId)?.values() ?? [])
      for (const key of pilot.pending.keys()) this.#parts.done(key);
    this.#slots.delete(slotId);
  }

  #send(pilot: Pilot, effect: PilotEffect, send: Send): void {
    try {
      const body = this.#parts.orderOf(effect);
      if (body) return send({ type: 'command', key: effect.key, body });
    } catch (cause) {
      // A bug; the VM's deadline will tell the client that it did not come about.
      this.#parts.log.error('a command could not be made', { effect: effect.key, ...errorFields(cause) });
    }
    pilot.pending.delete(effect.key);
    this.#parts.done(effect.key);
  }

  #pilot(slotId: string, node: string): Pilot {
    const nodes = this.#slots.get(slotId) ?? new Map<string, Pilot>();
    this.#slots.set(slotId, nodes);
    const pilot = nodes.get(node) ?? { pending: new Map<string, PilotEffect>(), send: undefined };
    nodes.set(node, pilot);
    return pilot;
  }
}
