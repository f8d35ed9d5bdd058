import Type from 'typebox';
import { EventTypes } from './events.ts';
import { Count, literals, MaybeText, MaybeTime, Name, orNull, strict, Text, Time } from './schema.ts';

/** Who may do what: the shapes of users, projects, tokens, quotas, usage and the audit log in the API. */

/** `user`: their own workspaces. `operator`: sees everything, may end everything. `admin`: and says who may do what. */
export const roles = ['user', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

/** `full`: all that its user may do. `read`: looking only. */
export const scopes = ['full', 'read'] as const;
export type Scope = (typeof scopes)[number];

/** A Unix user's name (useradd(8)), dots allowed too. */
export const userPattern = '^[a-z_][a-z0-9_.-]{0,31}$';

export const UserName = Type.String({ pattern: userPattern, description: "a user's name" });
const Limit = orNull(Count);

/** Limits; null: none. */
export const QuotaView = Type.Object(
  { workspaces: Limit, vms: Limit, cpus: Limit, memoryMiB: Limit, vmMinutes: Limit, maxDurationMs: Limit },
  strict,
);
export type QuotaView = Type.Static<typeof QuotaView>;

/** Only what is given changes. A quota as a whole: null gives back the site's ordinary one. */
export const QuotaChange = orNull(Type.Partial(QuotaView, strict));
export type QuotaChange = Type.Static<typeof QuotaChange>;

export const UserView = Type.Object({
  name: Text,
  role: literals(roles),
  projects: Type.Array(Text),
  disabled: Type.Boolean(),
  quota: QuotaView,
});
export type UserView = Type.Static<typeof UserView>;

/** Body of `PUT /v1/users/:user`; makes the user when there is none. */
export const UserChange = Type.Object(
  {
    role: Type.Optional(literals(roles)),
    projects: Type.Optional(Type.Array(Name, { maxItems: 64, uniqueItems: true })),
    disabled: Type.Optional(Type.Boolean()),
    quota: Type.Optional(QuotaChange),
  },
  strict,
);
export type UserChange = Type.Static<typeof UserChange>;

export const ProjectView = Type.Object({ name: Text, members: Type.Array(Text), quota: QuotaView });
export type ProjectView = Type.Static<typeof ProjectView>;

/** Body of `PUT /v1/projects/:project`; makes the project when there is none. */
export const ProjectChange = Type.Object({ quota: Type.Optional(QuotaChange) }, strict);
export type ProjectChange = Type.Static<typeof ProjectChange>;

export const TokenView = Type.Object({
  id: Text,
  user: Text,
  label: Text,
  scope: literals(scopes),
  createdAt: Time,
  expiresAt: MaybeTime,
  revokedAt: MaybeTime,
});
export type TokenView = Type.Static<typeof TokenView>;

/** Body of `POST /v1/tokens`. */
export const TokenRequest = Type.Object(
  {
    /** Whose; absent: the caller's own. Another's: administrators only. */
    user: Type.Optional(UserName),
    label: Type.Optional(Type.String({ maxLength: 100, pattern: '^[^\\r\\n\\0]*$' })),
    scope: Type.Optional(literals(scopes)),
    /** Absent: 30 days; at most a year. */
    lifetimeMs: Type.Optional(
      Type.Integer({
        minimum: 1_000,
        maximum: 366 * 24 * 3_600_000,
        description: 'a time from 1s to 366d (in milliseconds)',
      }),
    ),
  },
  strict,
);
export type TokenRequest = Type.Static<typeof TokenRequest>;

/** The token itself is in this answer alone: only its hash is kept. */
export const NewTokenView = Type.Object({ ...TokenView.properties, token: Text });
export type NewTokenView = Type.Static<typeof NewTokenView>;

/** Which logins with no password the service takes. */
export const LoginWaysView = Type.Object({
  /** By a file on the service's host. */
  file: Type.Boolean(),
  /** By a MUNGE credential that holds a text of this form (`login.ts`); null: no. */
  munge: MaybeText,
  /** What must be in that text; good once, and for half a minute. */
  nonce: MaybeText,
  /** Who alone may read the credential: the service. */
  uid: orNull(Type.Integer()),
});
export type LoginWaysView = Type.Static<typeof LoginWaysView>;

/** The caller writes `content` to `path` as himself, mode 0644, and then hands in `claim`. */
export const FileChallengeView = Type.Object({ path: Text, content: Text, claim: Text });
export type FileChallengeView = Type.Static<typeof FileChallengeView>;

/** Body of `POST /v1/login/file/claim`. */
export const ClaimRequest = Type.Object(
  { claim: Type.String({ pattern: '^[A-Za-z0-9_-]{32}$', description: 'the claim of a login' }) },
  strict,
);
/** Body of `POST /v1/login/munge`. */
export const MungeRequest = Type.Object(
  {
    credential: Type.String({
      maxLength: 4_096,
      pattern: '^MUNGE:[A-Za-z0-9+/=]+:$',
      description: 'a credential of munge(1)',
    }),
  },
  strict,
);

/** The token itself is in this answer alone, and good until `expiresAt` or the service's end. */
export const LoginView = Type.Object({ user: Text, token: Text, expiresAt: Time });

export const WhoamiView = Type.Object({
  user: Text,
  role: literals(roles),
  scope: literals(scopes),
  projects: Type.Array(Text),
  quota: QuotaView,
});
export type WhoamiView = Type.Static<typeof WhoamiView>;

/** What a user or a project holds now, and what they have used between two times. Exact to the millisecond, from the history. */
export const UsageLine = Type.Object({
  kind: literals(['user', 'project'] as const),
  name: Text,
  /** Held now: live workspaces and what is in them. */
  workspaces: Type.Integer(),
  vms: Type.Integer(),
  cpus: Type.Integer(),
  memoryMiB: Type.Integer(),
  /** Minutes that count against the quota: reserved by live leases, used by ended ones. */
  vmMinutes: Type.Number(),
  /** For how long VMs have run in the time asked about, each from `running` to its end. */
  vmSeconds: Type.Number(),
  cpuSeconds: Type.Number(),
  memoryMiBSeconds: Type.Number(),
});
export type UsageLine = Type.Static<typeof UsageLine>;

export const UsageView = Type.Object({
  since: Time,
  until: Time,
  lines: Type.Array(UsageLine),
  /** The cursor of the next page. */
  next: MaybeText,
});
export type UsageView = Type.Static<typeof UsageView>;

export const AuditView = Type.Object({
  seq: Type.Integer(),
  at: Time,
  /** Null: nobody that the service knows. */
  user: MaybeText,
  /** The token that was used; null for those of the tokens file. */
  token: MaybeText,
  method: Text,
  path: Text,
  status: Type.Integer(),
  /** The error's code, when it was refused. */
  code: MaybeText,
  address: Text,
});
export type AuditView = Type.Static<typeof AuditView>;

/** Body of `POST /v1/webhooks`. */
export const WebhookRequest = Type.Object(
  {
    url: Type.String({
      maxLength: 2_000,
      pattern: '^https?://[^\\s/?#]+([/?][^\\s#]*)?$',
      description: 'a URL with http or https',
    }),
    /** Id or name; absent: all that the caller may see. */
    workspace: Type.Optional(Type.String({ maxLength: 64 })),
    /** Only events of these types, such as `vm.failed`. Absent: all. */
    types: Type.Optional(EventTypes),
  },
  strict,
);
export type WebhookRequest = Type.Static<typeof WebhookRequest>;

export const WebhookView = Type.Object({
  id: Text,
  owner: Text,
  url: Text,
  workspace: MaybeText,
  types: Type.Array(Text),
  createdAt: Time,
  /** The number of the last event that is done with. */
  deliveredUpTo: Type.Integer(),
  deadLetters: Type.Integer(),
  /** Why it has stopped; null while it delivers. */
  stopped: MaybeText,
});
export type WebhookView = Type.Static<typeof WebhookView>;

/** The secret that requests are signed with is in this answer alone. */
export const NewWebhookView = Type.Object({ ...WebhookView.properties, secret: Text });
export type NewWebhookView = Type.Static<typeof NewWebhookView>;

/** An event that could not be delivered. */
export const DeadLetterView = Type.Object({
  event: Type.Integer(),
  at: Time,
  attempts: Type.Integer(),
  error: Text,
});
export type DeadLetterView = Type.Static<typeof DeadLetterView>;
