import type { AdaptationKind } from './adaptation.ts';
import type { PolicyNetwork } from './helper-policy.ts';
import type { Order } from './orders.ts';
import type { StreamTarget } from './pilot.schemas.ts';
import { longestReason, type Reason } from './states.ts';
import { plainText } from './text.ts';

/**
 * The pilot protocol: typed JSON messages over one WebSocket per node, opened by the pilot at
 * `/pilot/v1/slots/<slotId>/nodes/<node>` with `Authorization: Bearer <slot secret>`; or, as lines, over another `PilotTransport`.
 *
 *   pilot                                   service
 *     hello {vms, protocol, ...}      →
 *                                     ←     welcome {ackedSeq, now}  (what is durable here: replay from the next one; the time here)
 *     notification {seq, at, body}    →     (stored, then)
 *                                     ←     ack {seq}                (all up to seq are durable)
 *                                     ←     command {key, body}
 *     command-ack {key}               →     (the pilot has taken it; its outcome comes as notifications)
 *                                     ←     open-stream {streamId, target}
 *     (a second WebSocket at /pilot/v1/slots/<slotId>/streams/<streamId> then carries the bytes, or stream-error)
 *                                     ←     dismiss {message}        (the slot is over, or was never ours: release and leave)
 *
 * Notifications are numbered from 1 in each (slot, node), journaled before they are sent, sent again after a reconnect
 * until acknowledged. The service applies each number once; commands with a key seen before are acknowledged and ignored.
 */

/**
 * What pilots of this version can do besides what their protocol says (`hello`). `statistics`: see
 * `statistics.ts`.
 */
export const pilotFeatures = ['statistics'] as const;
/** One of them. */
export type PilotFeature = (typeof pilotFeatures)[number];

/** A reason as it may be sent, whatever a program or a guest has said. */
export function reasonToSend({ code, message }: Reason): Reason {
  return { code: plainText(code).slice(0, 64), message: plainText(message).slice(0, longestReason) };
}

export type {
  NotificationBody,
  PilotHello,
  PilotMessage,
  PilotNotification,
  StreamTarget,
  VmReport,
} from './pilot.schemas.ts';

/** Everything the service may say to a pilot. */
export type ServiceMessage =
  /** `now`: the service's clock, milliseconds since the epoch. Clocks of nodes may be wrong. */
  | {
      readonly type: 'welcome';
      readonly ackedSeq: number;
      readonly now: number;
      /** Left out by services of before there were numbers. */
      readonly protocol?: number;
    }
  | { readonly type: 'ack'; readonly seq: number }
  | { readonly type: 'command'; readonly key: string; readonly body: Order }
  | { readonly type: 'open-stream'; readonly streamId: string; readonly target: StreamTarget }
  /** The service knows no such slot, or has finished with it: release and exit. */
  | { readonly type: 'dismiss'; readonly message: string };

/** A way for a pilot's messages and streams. */
export type PilotTransport =
  /** WebSockets to the service's URL. */
  | { readonly kind: 'websocket' }
  /** Plain requests to the service's URL, for proxies that break WebSockets. */
  | { readonly kind: 'http' }
  /** The node's own ssh client to a host where `wsp ingest` reaches the service. */
  | {
      readonly kind: 'ssh';
      readonly host: string;
      /** Null: ssh's own choice. */
      readonly user: string | null;
      /** A private key, by its path on the nodes. Null: ssh's own choice. */
      readonly identityFile: string | null;
      /** Of ssh_config(5), as `Port=2222`. */
      readonly options: readonly string[];
      /** What is run there, unless the key has a command of its own (`command=` in sshd(8)'s authorized_keys). */
      readonly command: readonly string[];
    };

/** The first line that a pilot says to `wsp ingest`. For messages lines follow (`src/platform/line-link.ts`), for a stream pieces (`src/platform/framed-stream.ts`). */
export interface IngestRequest {
  readonly slotId: string;
  readonly secret: string;
  readonly node: string;
  /** Null: messages. */
  readonly streamId: string | null;
}

/** The line in which `wsp ingest` answers. */
export type IngestAnswer =
  /** `address`: the pilot's, as the host sees it. */
  | { readonly opened: true; readonly address: string }
  /** `notAccepted`: the service does not know the slot by this secret. */
  | { readonly opened: false; readonly notAccepted: boolean; readonly why: string };

/**
 * What a pilot is told at birth. It travels inside the job (see `lrm/`), never in arguments or in the job's environment.
 * The first line of the pilot's program text is `globalThis.wspAssignment = <this as JSON>;`.
 */
export interface SlotAssignment {
  readonly slotId: string;
  /** Proves to the service that this pilot belongs to the slot. */
  readonly secret: string;
  /** `http(s)://host:port` of the service, as the nodes reach it. */
  readonly serviceUrl: string;
  /** PEM: only a service with this certificate, or one signed by it, is taken for ours. Null: the system's authorities decide. */
  readonly serviceCa: string | null;
  /** The ways to try, in order. */
  readonly transports: readonly PilotTransport[];
  /** Environment variables, in order, that may hold the node's name (`SLURMD_NODENAME`); else the host name is taken. */
  readonly nodeNameEnv: readonly string[];
  /** Environment variables that may hold the job's end, in seconds since the epoch (`SLURM_JOB_END_TIME`). */
  readonly jobEndEnv: readonly string[];
  /** The walltime asked for: the job's end when the LRM does not tell. */
  readonly walltimeMs: number;
  /** What of each node is the slot's. */
  readonly memoryMiB: number;
  readonly cpus: number;
  /** Those of the site's networks that the slot's VMs will be in, as far as that is known. */
  readonly networks: readonly PolicyNetwork[];
  /** From the LRM's warning signal to its SIGKILL. */
  readonly killDelayMs: number;
  readonly node: NodeSettings;
}

/** The site file's `node` section: how nodes are adapted and where things are on them. */
export interface NodeSettings {
  /** Directory of the job's user for logs, notification journals and VM files; each slot uses `<workDir>/<node name>/<slotId>`. */
  readonly workDir: string;
  /** Argument vector that starts the privileged helper, for example `sudo -n /usr/local/sbin/wsp-helper`; `--node N --slot S` is appended. */
  readonly helper: readonly string[];
  /** What becomes of the node's own memory while a slot has it. */
  readonly adaptation: AdaptationKind;
  /** How long a guest gets to shut down when its lease ends. */
  readonly shutdownGraceMs: number;
  readonly keepLogs: KeepLogs;
  readonly vmm: VmmSettings;
}

/** The site file's `node.keepLogs`: how many ended slots' logs and journals stay, and how long. */
export interface KeepLogs {
  readonly slots: number;
  readonly forMs: number;
}

/** The site file's `node.vmm` in numbers: only the folder of this kind of VMM knows what else is in it. */
export interface VmmSettings {
  readonly kind: string;
  readonly [setting: string]: unknown;
}
