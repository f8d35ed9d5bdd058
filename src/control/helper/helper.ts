import type { PolicyNetwork } from '../../protocol/helper-policy.ts';
import type { NicPlan, VxlanPeer } from '../../protocol/plan.ts';

/**
 * The privileged helper as control sees it: the only thing on a node that runs as root, one per slot and node. The
 * program behind it is `helper/main.ts`; this end speaks to it over its standard input and output. When this end goes away,
 * however it goes, the helper undoes the whole slot.
 * Every method rejects with `ControlError` and has a deadline; after a rejection the slot's undo still works.
 */
export interface Helper {
  /**
   * Connects a VM's interface: bridge and link (first VM of the network on the node), DHCP, filter, tap, in the order
   * that leaves no moment in which the tap is up and unfiltered. `hostname` goes out with the DHCP answer.
   */
  attachNic(nic: NicPlan, hostname: string): Promise<void>;
  /** Takes it away again, and the bridge with the last one. An interface that is not there is not an error. */
  detachNic(tap: string): Promise<void>;
  /** Tells the VXLAN of a slot's bridge its peers. A bridge that is not there is no error. */
  setPeers(bridge: string, peers: readonly VxlanPeer[]): Promise<void>;
  /** Records a VMM process of the slot, which the undo kills. Refused for a process that is not the caller's own. */
  adoptProcess(pid: number): Promise<void>;
  /** Records the slot's work directory, which the undo removes. Refused for one that is not the caller's own. */
  adoptDirectory(path: string): Promise<void>;
  /** Rejects (`not_allowed`) when root's policy forbids one of these networks. Changes nothing. */
  checkNetworks(networks: readonly PolicyNetwork[]): Promise<void>;
  /** Undoes every change of the slot and ends the helper. Rejects when something could not be undone, naming it; the journal then stays. */
  undo(): Promise<void>;
}
