import type { Duplex } from 'node:stream';
import type {
  DryRunView,
  EventView,
  ImageView,
  NodeView,
  SlotView,
  TimelineView,
  TypesView,
  WorkspaceView,
} from '../protocol/api.ts';
import type { WorkspaceState } from '../protocol/states.ts';
import type { GroupRequest, OperateRequest, WorkspaceRequest } from '../protocol/cluster.ts';
import type {
  AuditView,
  DeadLetterView,
  NewTokenView,
  NewWebhookView,
  ProjectChange,
  ProjectView,
  TokenRequest,
  TokenView,
  UsageView,
  UserChange,
  UserView,
  WebhookRequest,
  WebhookView,
  WhoamiView,
} from '../protocol/access.ts';
import type { LoginMeans } from './login.ts';

/** Where the service is, who asks, and how long an answer may take. */
export interface ClientOptions {
  /** `http(s)://host:port` of the service, or `unix:/path` of its socket. */
  readonly url: string;
  /** Absent: whoever we are logs in with no password, where the service takes that. */
  readonly token?: string | undefined;
  /** PEM of the certificate, or of its authority, that the service must have. Default: the system's authorities. */
  readonly ca?: string | undefined;
  /** How to log in where no token is given. */
  readonly login?: LoginMeans | undefined;
  /** Default: Node's own. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** The longest that one request may take, long polls' own waiting not counted. Default 30 s. */
  readonly requestTimeoutMs?: number;
  /**
   * How to let time pass between tries. With it, waiting for a workspace outlives a service that is
   * started again; without, it ends with `service_unreachable`.
   */
  readonly pause?: (delayMs: number) => Promise<void>;
}

/** Which workspaces to list. */
export interface WorkspaceQuery {
  readonly all?: boolean;
  readonly states?: readonly WorkspaceState[];
  readonly owner?: string;
  readonly name?: string;
  /** Created then or later; ISO 8601. */
  readonly since?: string;
}

/** Which lines of the audit log to read. */
export interface AuditQuery {
  /** Only those with a smaller number. */
  readonly before?: number;
  /** How many at most. Default 1,000. */
  readonly limit?: number;
  readonly user?: string;
  /** ISO 8601. */
  readonly since?: string;
}

/** Which part of the history to read. */
export interface EventQuery {
  /** Events with a higher number than this. Default 0: from the first. */
  readonly after?: number;
  /** Id or name; only this workspace's. */
  readonly workspace?: string;
  /** Waits this long for news when there is none; at most 30 000. Default 0. */
  readonly waitMs?: number;
  readonly limit?: number;
}

/** How long to wait, and who is told meanwhile. */
export interface WaitOptions {
  /** Throws `timeout` after this long. */
  readonly timeoutMs: number;
  /** Each event of the workspace once, its history first. */
  readonly onEvent?: ((event: EventView) => void) | undefined;
  /** The workspace as it is after each batch of events. */
  readonly onWorkspace?: ((workspace: WorkspaceView) => void) | undefined;
  /** What it is doing, and why, in sentences: for the message of `timeout`. Default: its reason. */
  readonly tell?: ((workspace: WorkspaceView) => string) | undefined;
}

/** Which bytes of a VM a stream carries: a TCP port of the guest, or its serial console. */
export type StreamEnd = { readonly kind: 'tcp'; readonly port: number } | { readonly kind: 'console' };

/**
 * The service as a typed object. A `workspace` is an id or a name. Every method throws `WspError`:
 * with the code that the service gave, or `service_unreachable`.
 */
export interface Client {
  readonly url: string;
  createWorkspace(request: WorkspaceRequest): Promise<WorkspaceView>;
  /**
   * The live ones, the oldest first; with `all`, or their state among `states`, the ended ones too.
   * As all lists, read page by page.
   */
  listWorkspaces(query?: WorkspaceQuery): Promise<readonly WorkspaceView[]>;
  getWorkspace(workspace: string): Promise<WorkspaceView>;
  /** What `createWorkspace` would come to, now; nothing is created. */
  tryWorkspace(request: WorkspaceRequest): Promise<DryRunView>;
  /** More groups for a pending workspace. */
  addGroups(workspace: string, groups: readonly GroupRequest[]): Promise<WorkspaceView>;
  /** Has a pending workspace placed and deployed as a whole; harmless when it is launched already. */
  launchWorkspace(workspace: string): Promise<WorkspaceView>;
  /** Makes a running lease longer. */
  extendWorkspace(workspace: string, durationMs: number): Promise<WorkspaceView>;
  /**
   * Has something done to a VM, a group, or all VMs. Resolves once the order is durable; what
   * becomes of it is in the events.
   */
  operateVms(workspace: string, request: OperateRequest): Promise<WorkspaceView>;
  /** Resolves once the order is durable; wait for `ended` with `waitForWorkspace`. */
  destroyWorkspace(workspace: string): Promise<WorkspaceView>;
  timeline(workspace: string): Promise<TimelineView>;
  /** OpenSSH known_hosts lines for the host names `<workspaceId>.<vm>`. */
  knownHosts(workspace: string): Promise<readonly string[]>;
  /** One page of history; ask again with `after: next`. */
  events(query?: EventQuery): Promise<{ readonly events: readonly EventView[]; readonly next: number }>;
  /**
   * Every event once, in order, from `after` on, as it happens; outlives a service that is started
   * again (with `pause`).
   */
  follow(query?: Pick<EventQuery, 'after' | 'workspace'>): AsyncGenerator<EventView, never>;
  /** What can be leased here, and what is free at this moment. */
  types(): Promise<TypesView>;
  listSlots(): Promise<readonly SlotView[]>;
  listNodes(): Promise<readonly NodeView[]>;
  listImages(): Promise<readonly ImageView[]>;
  whoami(): Promise<WhoamiView>;
  listUsers(): Promise<readonly UserView[]>;
  /** Makes or changes a user. */
  setUser(user: string, change: UserChange): Promise<UserView>;
  listProjects(): Promise<readonly ProjectView[]>;
  /** Makes a project, or changes its quota. */
  setProject(project: string, change: ProjectChange): Promise<ProjectView>;
  listTokens(query?: { readonly all?: boolean }): Promise<readonly TokenView[]>;
  createToken(request: TokenRequest): Promise<NewTokenView>;
  revokeToken(token: string): Promise<TokenView>;
  /** Times as ISO 8601. */
  usage(query?: { readonly since?: string; readonly until?: string }): Promise<UsageView>;
  /** The newest lines first. */
  audit(query?: AuditQuery): Promise<readonly AuditView[]>;
  listWebhooks(): Promise<readonly WebhookView[]>;
  /** The secret is in this answer alone. */
  createWebhook(request: WebhookRequest): Promise<NewWebhookView>;
  deleteWebhook(webhook: string): Promise<void>;
  /** Lets one that has stopped go on. */
  resumeWebhook(webhook: string): Promise<WebhookView>;
  deadLetters(webhook: string): Promise<readonly DeadLetterView[]>;
  health(): Promise<{ readonly status: 'ok'; readonly version: string }>;
  /**
   * Resolves with the workspace as soon as `until` accepts it, or when nothing more can come: it
   * has ended and its slot is given back. Looks again only after events. Throws `timeout` with the
   * state that it is still in.
   */
  waitForWorkspace(
    workspace: string,
    until: (workspace: WorkspaceView) => boolean,
    options: WaitOptions,
  ): Promise<WorkspaceView>;
  /** Bytes to and from a VM, with backpressure. Ending one's own side closes both. */
  openStream(workspace: string, vm: string, end: StreamEnd): Promise<Duplex>;
}
