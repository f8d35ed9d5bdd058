import type { PilotMessage, ServiceMessage } from '../../src/protocol/pilot.ts';

/**
 * What must hold of what the service and its pilots say to each other, whatever the network does
 * (invariant 9): an order arrives after those that were given before it; what all pilots of a slot
 * must hear, each that is connected hears, also one that has come again; and a pilot that nobody has
 * sent away stays until the end of its job, as that was last told to it.
 */
export class Witness {
  readonly #broken: (what: string) => void;
  /** The service's ends of links that stand, by slot. */
  readonly #ends = new Map<string, Set<ServiceEnd>>();
  /** Nodes of slots that are released, by their own word or because their pilot has taken the order. */
  readonly #leaving = new Set<string>();

  constructor(broken: (what: string) => void) {
    this.#broken = broken;
  }

  /** A pilot's process begins: what it hears, over whichever link. */
  pilot(node: string): PilotEars {
    return new PilotEars(node, this.#broken);
  }

  /** A link was opened. */
  opened(slotId: string, node: string): ServiceEnd {
    const ends = this.#ends.get(slotId) ?? new Set<ServiceEnd>();
    this.#ends.set(slotId, ends);
    const end = new ServiceEnd(node, () => ends.delete(end));
    ends.add(end);
    return end;
  }

  /** After a step: a pilot whose slot is over has been sent away, also one that has come again. */
  look(isOver: (slotId: string) => boolean): void {
    for (const [slotId, ends] of this.#ends)
      for (const end of ends)
        if (end.isReady && isOver(slotId)) this.#broken(`${end.node} was not told that ${slotId} is over`);
  }

  /** The service has just taken a message from this end, at once. */
  taken(slotId: string, from: ServiceEnd, message: PilotMessage): void {
    const isTold = message.type === 'command-ack' && message.key.startsWith('release:');
    const state =
      message.type === 'notification' && message.body.kind === 'node' ? message.body.state : undefined;
    if (isTold || state === 'preempting' || state === 'released' || state === 'failed')
      this.#leaving.add(`${slotId} ${from.node}`);
    if (state !== 'preempting') return;
    for (const end of this.#ends.get(slotId) ?? [])
      if (end.isReady && !end.isTold && !this.#leaving.has(`${slotId} ${end.node}`))
        this.#broken(`${end.node} was not told that the LRM takes back ${from.node} of ${slotId}`);
  }
}

/** The service's end of one link. */
export class ServiceEnd {
  readonly node: string;
  /** Has been welcomed, and not sent away. */
  isReady = false;
  /** Has been ordered to release its node. */
  isTold = false;
  readonly closed: () => void;

  constructor(node: string, closed: () => void) {
    this.node = node;
    this.closed = closed;
  }

  said(message: ServiceMessage): void {
    if (message.type === 'welcome') this.isReady = true;
    if (message.type === 'dismiss') this.isReady = false;
    if (message.type === 'command' && message.body.kind === 'release') this.isTold = true;
  }
}

/** What one pilot's process has heard. */
export class PilotEars {
  readonly #node: string;
  readonly #broken: (what: string) => void;
  readonly #keys = new Set<string>();
  /** The number of the last order, by VM. */
  readonly #orders = new Map<string, number>();
  /** The end of its job that it was last told, once it has been welcomed. */
  #jobEndsAt: number | undefined;
  #isWelcome = false;
  #isSentAway = false;

  constructor(node: string, broken: (what: string) => void) {
    this.#node = node;
    this.#broken = broken;
  }

  heard(message: ServiceMessage): void {
    if (message.type === 'welcome') this.#isWelcome = true;
    if (message.type === 'dismiss') this.sentAway();
    // What is repeated is obeyed once, when it is heard first.
    if (message.type !== 'command' || this.#keys.has(message.key)) return;
    this.#keys.add(message.key);
    const { key, body } = message;
    if (body.kind === 'release') this.sentAway();
    if (body.kind === 'job-end') this.#jobEndsAt = body.endsAt;
    if (body.kind !== 'operate-vm' && body.kind !== 'start-vm') return;
    const vmId = body.kind === 'start-vm' ? body.vm.vmId : body.vmId;
    // A start comes before all orders, which are numbered as they are given
    // (`operate:<vm>:<time>:<number>`).
    const number = body.kind === 'start-vm' ? 0 : Number(key.slice(key.lastIndexOf(':') + 1));
    const before = this.#orders.get(vmId) ?? -1;
    if (!(number > before)) this.#broken(`${this.#node} heard ${key} of ${vmId} after order ${before}`);
    this.#orders.set(vmId, number);
  }

  /** By a word of the service's, by its LRM's signal, or because the service does not know its slot. */
  sentAway(): void {
    this.#isSentAway = true;
  }

  /** It leaves, so long before its job's end as it must. `startedWith`: that end as the LRM told it at its start. */
  leaves(now: number, aheadOfEndMs: number, startedWith: number): void {
    const endsAt = this.#jobEndsAt ?? startedWith;
    if (this.#isWelcome && !this.#isSentAway && now < endsAt - aheadOfEndMs)
      this.#broken(
        `the pilot on ${this.#node} left ${endsAt - now} ms before the end of its job, as it knew it`,
      );
  }
}
