import type { FastifyInstance, FastifySchemaCompiler } from 'fastify';
import Type, { type Static, type TSchema } from 'typebox';
import * as access from '../../protocol/access.ts';
import * as api from '../../protocol/api.ts';
import * as cluster from '../../protocol/cluster.ts';
import { checkedRequest } from '../../protocol/document.ts';

/** The schemas that have a name of their own in the OpenAPI document. */
const components = {
  AddRequest: cluster.AddRequest,
  Audit: access.AuditView,
  ClaimRequest: access.ClaimRequest,
  DeadLetter: access.DeadLetterView,
  DryRun: api.DryRunView,
  Error: api.ErrorView,
  Event: api.EventView,
  ExtendRequest: cluster.ExtendRequest,
  FileChallenge: access.FileChallengeView,
  GroupRequest: cluster.GroupRequest,
  Image: api.ImageView,
  Login: access.LoginView,
  LoginWays: access.LoginWaysView,
  MungeRequest: access.MungeRequest,
  NewToken: access.NewTokenView,
  NewWebhook: access.NewWebhookView,
  Node: api.NodeView,
  OperateRequest: cluster.OperateRequest,
  Project: access.ProjectView,
  ProjectChange: access.ProjectChange,
  Slot: api.SlotView,
  Timeline: api.TimelineView,
  Token: access.TokenView,
  TokenRequest: access.TokenRequest,
  Types: api.TypesView,
  Usage: access.UsageView,
  User: access.UserView,
  UserChange: access.UserChange,
  Vm: api.VmView,
  Webhook: access.WebhookView,
  WebhookRequest: access.WebhookRequest,
  Whoami: access.WhoamiView,
  Workspace: api.WorkspaceView,
  WorkspaceRequest: cluster.WorkspaceRequest,
} as const satisfies Record<string, TSchema>;
type Components = typeof components;

/** A reference to a component: its type for the compiler, its name for the document. */
export function ref<Name extends keyof Components>(name: Name) {
  return Type.Unsafe<Static<Components[Name]>>({ $ref: `${name}#` });
}

/** The answers that every route may give. */
const errorAnswers = { '4xx': ref('Error'), '5xx': ref('Error') };

/** Makes the components known to the app, and what holds for every route; before any is added. */
export function addComponents(app: FastifyInstance): void {
  for (const [name, schema] of Object.entries(components)) app.addSchema({ $id: name, ...nested(schema) });
  app.addHook('onRoute', route => {
    const { schema } = route;
    if (schema?.response) schema.response = { ...schema.response, ...errorAnswers };
    if (schema?.body) route.validatorCompiler = strictBody(schema.body as { readonly $ref: string });
  });
}

/**
 * Bodies are taken as they are written: no number in quotes, no unknown key, and the same words for
 * a mistake as in a cluster file. The rest of such a request is checked by its pattern alone.
 */
function strictBody({ $ref }: { readonly $ref: string }): FastifySchemaCompiler<unknown> {
  const body = components[$ref.replace('#', '') as keyof Components];
  return ({ httpPart, schema: part }) => {
    const checked = httpPart === 'body' || httpPart === undefined ? body : (part as TSchema);
    return (value: unknown) => {
      try {
        return { value: checkedRequest(checked, value) };
      } catch (error) {
        return { error: error as Error };
      }
    };
  };
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
