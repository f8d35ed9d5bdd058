import Type from 'typebox';
import { nodeNamePattern } from './ids.ts';
import { literals, orNull, Protocol } from './schema.ts';

/**
 * The agent protocol: what `wsp agent` on a static node (the paper's "workspace default", §2) and the service say to each other, as JSON over one
 * WebSocket per node, opened by the agent at `/agent/v1/pools/<pool>/nodes/<node>` with `Authorization: Bearer <join secret>`.
 *
 *   agent                                        service
 *     hello {protocol, memoryMiB, cpus, …} →
 *                                             ←  welcome {protocol}
 *                                             ←  run {jobId, program, endsAt}       starts one pilot
 *                                             ←  end {jobId}                        SIGTERM, and SIGKILL after the kill delay
 *                                             ←  until {jobId, endsAt}              the job's end has moved
 *     ended {jobId, code, why}                →
 *
 * Nothing is acknowledged: after a reconnect `hello` says what runs, and what the service believed to run and is not in it has ended.
 */

/** Opaque to agents. */
const JobId = Type.String({ pattern: '^[A-Za-z0-9.-]{1,64}$' });

const JobEnd = Type.Object({
  jobId: JobId,
  /** Null: a signal ended it, or it never began. */
  code: orNull(Type.Integer({ minimum: 0, maximum: 255 })),
  /** By itself; told to; its time was over; it could not be started. */
  why: literals(['exited', 'cancelled', 'timeout', 'failed'] as const),
  /** With `failed`: what went wrong. */
  message: Type.Optional(Type.String({ maxLength: 1_024 })),
});
/** How a job has ended on a node. */
export type JobEnd = Type.Static<typeof JobEnd>;

const AgentHello = Type.Object({
  type: Type.Literal('hello'),
  protocol: Protocol,
  node: Type.String({ pattern: nodeNamePattern }),
  /** What the node gives to VMs. */
  memoryMiB: Type.Integer({ minimum: 1, maximum: 1_073_741_824 }),
  cpus: Type.Integer({ minimum: 1, maximum: 65_536 }),
  running: Type.Array(JobId, { maxItems: 1_024 }),
  /** Those that have ended and could not be told of. */
  ended: Type.Array(JobEnd, { maxItems: 1_024 }),
});
/** How an agent introduces itself. */
export type AgentHello = Type.Static<typeof AgentHello>;

/** Everything an agent may say. */
export const AgentMessage = Type.Union([
  AgentHello,
  Type.Intersect([Type.Object({ type: Type.Literal('ended') }), JobEnd]),
]);
export type AgentMessage = Type.Static<typeof AgentMessage>;

/** What the service tells an agent. Times are milliseconds since the epoch. */
export type ServiceToAgent = { readonly type: 'welcome'; readonly protocol: number } | AgentOrder;

/** What the service tells an agent to do. */
export type AgentOrder =
  | {
      readonly type: 'run';
      readonly jobId: string;
      /** Program text for Node, on its standard input; a secret. */
      readonly program: string;
      readonly endsAt: number;
      /** From SIGTERM to SIGKILL. */
      readonly killDelayMs: number;
    }
  | { readonly type: 'end'; readonly jobId: string }
  | { readonly type: 'until'; readonly jobId: string; readonly endsAt: number };

/** What `wsp nodes add` and `wsp nodes remove` send over ssh, in front of the program that does it. A secret, because the join secret is in it. */
export type AgentErrand =
  | {
      readonly kind: 'add';
      /** Absolute, or in the home of the user there. */
      readonly directory: string;
      readonly program: string;
      readonly secret: string;
      /** PEM, see `SlotAssignment.serviceCa`. */
      readonly ca: string | null;
      /** For `wsp agent`, without the files. */
      readonly args: readonly string[];
    }
  | { readonly kind: 'remove'; readonly directory: string };

/** What the node answers, as one line of JSON. `pid`: of the agent that was started or ended; null when none ran. */
export type AgentErrandResult =
  | { readonly done: true; readonly pid: number | null }
  | { readonly done: false; readonly why: string };
