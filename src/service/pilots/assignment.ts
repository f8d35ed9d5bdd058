import { readFileSync } from 'node:fs';
import type { Slot } from '../../lease/model.ts';
import type { LrmCapabilities } from '../../lrm/lrm.ts';
import { WspError } from '../../protocol/errors.ts';
import type { PolicyNetwork } from '../../protocol/helper-policy.ts';
import type { NodeSettings, PilotTransport, SlotAssignment } from '../../protocol/pilot.ts';

/** What the site says to every pilot of a pool. */
export interface PoolPilots extends PilotSite {
  readonly node: NodeSettings;
}

/** What the site says to every pilot. */
export interface PilotSite {
  /** As the nodes reach it. Asked for at each submit: port 0 is known only when we listen. */
  readonly serviceUrl: () => string;
  /** PEM: whom to take for the service. Null: whom the system's authorities vouch for, if it speaks TLS. */
  readonly serviceCa: () => string | null;
  readonly transports: readonly PilotTransport[];
  /** All of the site, as root's policy on the nodes has to have them. */
  readonly networks: readonly PolicyNetwork[];
  /** The pilot's program text, from `readPilotProgram`. */
  readonly program: string;
}

/** Reads the built pilot once. Throws `WspError` (`failed`) when it is not there. */
export function readPilotProgram(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WspError('failed', `the pilot's program ${path} cannot be read: ${(cause as Error).message}`, {
      hint: 'build it with: npm run build',
      cause,
    });
  }
}

/** What the pilots of a slot are told at birth. `networks`: those that its VMs will be in, by name; null: any. */
export function slotAssignment(
  slot: Slot,
  secret: string,
  networks: readonly string[] | null,
  site: PoolPilots,
  capabilities: LrmCapabilities,
): SlotAssignment {
  return {
    slotId: slot.id,
    secret,
    serviceUrl: site.serviceUrl(),
    serviceCa: site.serviceCa(),
    transports: site.transports,
    nodeNameEnv: capabilities.nodeNameEnv,
    jobEndEnv: capabilities.jobEndEnv,
    walltimeMs: slot.walltimeMs,
    memoryMiB: slot.memoryMiBPerNode,
    cpus: slot.cpusPerNode,
    networks: site.networks.filter(({ name }) => networks === null || networks.includes(name)),
    killDelayMs: capabilities.killDelayMs,
    node: site.node,
  };
}

/**
 * What Node runs on every node of the slot: the assignment, which is secret, then the pilot. The JSON
 * is made safe as program text: line separators that old JavaScript does not allow, and `<`.
 */
export function programText(assignment: SlotAssignment, pilotProgram: string): string {
  const json = JSON.stringify(assignment).replace(
    /[<\u2028\u2029]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `globalThis.wspAssignment=${json};\n${pilotProgram}`;
}
