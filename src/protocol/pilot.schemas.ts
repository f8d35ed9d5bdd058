import Type from 'typebox';
import { nodeNamePattern, slotIdPattern, vmIdPattern } from './ids.ts';
import { Count, literals, MomentMs, Protocol } from './schema.ts';
import { contextStates, longestReason, slotNodeStates, vmStates } from './states.ts';

/**
 * What pilots may say (`pilot.ts`), as schemas: the service checks by them. They are apart from the
 * types, so that programs on nodes, which travel with every job, have no schemas in them.
 */

const reasonText = Type.String({ maxLength: longestReason });
const ReasonOfNode = Type.Object({ code: Type.String({ maxLength: 64 }), message: reasonText });
/** As a kernel or an ssh server writes one; empty where there is none. */
const Address = Type.String({ pattern: '^[0-9A-Za-z.:%_-]{0,64}$' });

/** What a VM's report says, both in a notification and in `hello`. */
export const VmReport = Type.Object({
  vmId: Type.String({ pattern: vmIdPattern }),
  state: literals(vmStates),
  context: literals(contextStates),
  /** Why, when the state or context is not what was asked for. */
  reason: Type.Optional(ReasonOfNode),
});
export type VmReport = Type.Static<typeof VmReport>;

export const NotificationBody = Type.Union([
  Type.Object({
    kind: Type.Literal('node'),
    state: literals(slotNodeStates),
    reason: Type.Optional(ReasonOfNode),
    /** With `reserving` and `reserved`: the node's address on the site network, for its peers' VXLANs. */
    address: Type.Optional(Address),
    /** When the LRM will end the job, if the pilot can tell (milliseconds since the epoch). */
    jobEndsAt: Type.Optional(MomentMs),
  }),
  Type.Object({ kind: Type.Literal('vm'), report: VmReport }),
]);
export type NotificationBody = Type.Static<typeof NotificationBody>;

export const PilotNotification = Type.Object({
  type: Type.Literal('notification'),
  seq: Type.Integer({ ...Count, minimum: 1 }),
  /** The node's clock when it happened. */
  at: MomentMs,
  body: NotificationBody,
});
export type PilotNotification = Type.Static<typeof PilotNotification>;

export const PilotHello = Type.Object({
  type: Type.Literal('hello'),
  slotId: Type.String({ pattern: slotIdPattern }),
  node: Type.String({ pattern: nodeNamePattern }),
  pilotVersion: Type.String({ maxLength: 64 }),
  protocol: Protocol,
  /** What it can do besides what its protocol says. Absent, as of pilots of before: nothing. */
  features: Type.Optional(Type.Array(Type.String({ maxLength: 32 }), { maxItems: 32 })),
  address: Address,
  /** What runs here now, for the reconciler. */
  vms: Type.Array(VmReport, { maxItems: 256 }),
});
export type PilotHello = Type.Static<typeof PilotHello>;

/** Everything a pilot may say. */
export const PilotMessage = Type.Union([
  PilotHello,
  PilotNotification,
  Type.Object({ type: Type.Literal('command-ack'), key: Type.String({ maxLength: 128 }) }),
  Type.Object({
    type: Type.Literal('stream-error'),
    streamId: Type.String({ maxLength: 64 }),
    message: reasonText,
  }),
]);
export type PilotMessage = Type.Static<typeof PilotMessage>;

/**
 * A byte stream to a VM through its pilot: a TCP port of the guest, its serial console, or what it
 * uses (`statistics.ts`).
 */
export const StreamTarget = Type.Union([
  Type.Object({
    kind: Type.Literal('tcp'),
    vmId: Type.String(),
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
  }),
  Type.Object({ kind: Type.Literal('console'), vmId: Type.String() }),
  Type.Object({ kind: Type.Literal('statistics'), vmId: Type.String() }),
]);
export type StreamTarget = Type.Static<typeof StreamTarget>;
