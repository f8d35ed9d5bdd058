import type { NicPlan } from '../../src/protocol/plan.ts';
import { isVxlan } from '../../src/control/network/links/index.ts';
import { networkAddress } from '../../src/control/network/subnet.ts';
import { devicesOf } from './look.ts';
import { allows } from './policy.ts';

/** Whoever has a helper: a slot of a user. The slots of two users have the same ids. */
export interface Actor {
  readonly uid: number;
  readonly slotId: string;
}

/** An actor's name, as the helper's files have it. */
export function keyOf({ slotId, uid }: Actor): string {
  return `${slotId}.${uid}`;
}

/** A tap that stands, and whose it is. */
export interface Owned {
  readonly actor: Actor;
  readonly nic: NicPlan;
}

/** Who has what on the node, as far as helpers have said yes. */
export class Model {
  readonly taps = new Map<string, Owned>();
  /** Processes and directories that a slot's undo will end and remove. */
  readonly #adopted = new Map<string, { readonly pids: Set<number>; readonly paths: string[] }>();

  tapsOf(actor: Actor): readonly Owned[] {
    return [...this.taps.values()].filter(owned => keyOf(owned.actor) === keyOf(actor));
  }

  adopted(actor: Actor): { readonly pids: Set<number>; readonly paths: string[] } {
    const there = this.#adopted.get(keyOf(actor)) ?? { pids: new Set<number>(), paths: [] };
    this.#adopted.set(keyOf(actor), there);
    return there;
  }

  undone(actor: Actor): void {
    for (const { nic } of this.tapsOf(actor)) this.taps.delete(nic.tap);
    this.#adopted.delete(keyOf(actor));
  }

  onBridge(name: string): readonly Owned[] {
    return [...this.taps.values()].filter(({ nic }) => nic.bridge.name === name);
  }

  /** The things that are on the node, and none besides (`look.ts`). */
  things(): ReadonlySet<string> {
    return new Set(
      [...this.taps.values()].flatMap(({ nic }) => [
        `tap:${nic.tap}`,
        `route:${nic.address}`,
        ...devicesOf(nic.bridge.name, nic.bridge.link.kind === 'vxlan').map(device => `bridge:${device}`),
      ]),
    );
  }

  /**
   * Why the node cannot give this tap to the actor; undefined: it has to. The actor's own tap of
   * that name makes room.
   */
  objection(actor: Actor, nic: NicPlan): string | undefined {
    if (isTunnelName(nic.bridge.name)) return 'the name';
    if (!allows(nic)) return 'the policy';
    const others = [...this.taps.values()].filter(
      each => each.nic.tap !== nic.tap || keyOf(each.actor) !== keyOf(actor),
    );
    for (const { nic: there } of others) {
      if (there.tap === nic.tap) return 'tap';
      if (there.address === nic.address) return 'address';
      if (there.mac === nic.mac) return 'mac';
    }
    const beside = others.find(each => each.nic.bridge.name === nic.bridge.name);
    if (beside) return unlike(beside, actor, nic);
    return others.map(each => clash(each.nic, nic)).find(each => each !== undefined);
  }
}

/** Whether a name is one of a VXLAN, and no bridge's. */
export function isTunnelName(name: string): boolean {
  return name.endsWith('x');
}

/** Why a tap cannot be on a bridge that is there. */
function unlike({ nic: there, actor: owner }: Owned, actor: Actor, nic: NicPlan): string | undefined {
  if (nic.bridge.link.kind !== 'uplink' && owner.uid !== actor.uid) return "another user's bridge";
  return bridgeText(there) === bridgeText(nic) ? undefined : 'another kind of bridge';
}

function bridgeText({ bridge, address, prefixLength }: NicPlan): string {
  const { link, serviceAddress } = bridge;
  const own = isVxlan(link) ? link.vni : link.kind;
  return `${own} ${serviceAddress} ${networkAddress(address, prefixLength)}/${prefixLength}`;
}

/** Why a bridge cannot be made beside another. */
function clash({ bridge: there }: NicPlan, { bridge }: NicPlan): string | undefined {
  const [left, right] = [there.link, bridge.link];
  if (left.kind === 'uplink' && right.kind === 'uplink') return 'the uplink is in another bridge';
  if (left.kind === 'vxlan' && right.kind === 'vxlan' && left.vni === right.vni)
    return 'the VXLAN number is taken';
  const devices = devicesOf(there.name, left.kind === 'vxlan');
  return devicesOf(bridge.name, right.kind === 'vxlan').some(device => devices.includes(device))
    ? 'an interface of that name'
    : undefined;
}
