import type { FastifyInstance } from 'fastify';
import Type, { type Static, type TSchema } from 'typebox';
import {
  DryRunView,
  ErrorView,
  EventView,
  ImageView,
  NodeView,
  SlotView,
  TimelineView,
  TypesView,
  VmView,
  WorkspaceView,
} from '../../protocol/api.ts';
import {
  AuditView,
  ClaimRequest,
  DeadLetterView,
  FileChallengeView,
  LoginView,
  LoginWaysView,
  MungeRequest,
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
} from '../../protocol/access.ts';
import {
  AddRequest,
  ExtendRequest,
  GroupRequest,
  OperateRequest,
  WorkspaceRequest,
} from '../../protocol/cluster.ts';

/** The schemas that have a name of their own in the OpenAPI document. */
const components = {
  AddRequest,
  Audit: AuditView,
  ClaimRequest,
  DeadLetter: DeadLetterView,
  DryRun: DryRunView,
  Error: ErrorView,
  Event: EventView,
  ExtendRequest,
  FileChallenge: FileChallengeView,
  GroupRequest,
  Image: ImageView,
  Login: LoginView,
  LoginWays: LoginWaysView,
  MungeRequest,
  NewToken: NewTokenView,
  NewWebhook: NewWebhookView,
  Node: NodeView,
  OperateRequest,
  Project: ProjectView,
  ProjectChange,
  Slot: SlotView,
  Timeline: TimelineView,
  Token: TokenView,
  TokenRequest,
  Types: TypesView,
  Usage: UsageView,
  User: UserView,
  UserChange,
  Vm: VmView,
  Webhook: WebhookView,
  WebhookRequest,
  Whoami: WhoamiView,
  Workspace: WorkspaceView,
  WorkspaceRequest,
} as const satisfies Record<string, TSchema>;
type Components = typeof components;

/** A reference to a component: its type for the compiler, its name for the document. */
export function ref<Name extends keyof Components>(name: Name) {
  return Type.Unsafe<Static<Components[Name]>>({ $ref: `${name}#` });
}

/** Makes the components known to the app; before any route. */
export function addComponents(app: FastifyInstance): void {
  for (const [name, schema] of Object.entries(components)) app.addSchema({ $id: name, ...nested(schema) });
}

/** The component's own members that are components too become references, so that they keep their names. */
function nested(schema: TSchema): object {
  const names = new Map<unknown, string>(Object.entries(components).map(([name, member]) => [member, name]));
  return JSON.parse(
    JSON.stringify(schema, (_key, value: unknown) => {
      const name = value === schema ? undefined : names.get(value);
      return name === undefined ? value : { $ref: `${name}#` };
    }),
  ) as object;
}
