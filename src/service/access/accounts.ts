import { noQuota } from '../../lease/quota.ts';
import type { Quota, Quotas } from '../../lease/settings.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import type {
  NewTokenView,
  ProjectChange,
  ProjectView,
  QuotaChange,
  Role,
  Scope,
  TokenRequest,
  TokenView,
  UserChange,
  UserView,
} from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import { idSuffix } from '../../protocol/ids.ts';
import { documentOf } from '../store/fields.ts';
import type { AccessRow, Store } from '../store/store.ts';
import {
  projectFields,
  type StoredProject,
  type StoredToken,
  type StoredUser,
  tokenFields,
  userFields,
} from './stored.ts';
import { hashOf, type Tokens } from './tokens.ts';
import { formatMoment } from '../../protocol/units.ts';

/**
 * Users, projects and their tokens: in memory, a copy of the store's. A change is in the store before it counts.
 *
 *   token ─► hash ─┬─ of the tokens file ──┐
 *                  └─ given out by us ─────┴─► user ─► role, projects, quota ─► Caller
 *
 * Invariants: of a token only the hash is kept; one that has expired or was revoked is unknown, and so is one of a disabled user.
 * If we crash: what was answered is in the store.
 */
export interface Caller {
  readonly user: string;
  readonly role: Role;
  readonly scope: Scope;
  readonly projects: readonly string[];
  /** Null: a token of the tokens file. */
  readonly tokenId: string | null;
}

/** With what a token is given out: the id of that, and when it ends. */
export interface GivenWith {
  readonly tokenId: string | null;
  readonly latestEnd: number;
}
const withAll: GivenWith = { tokenId: null, latestEnd: Infinity };

/** What accounts stand on. `quotasChanged` is told the quotas at the start and after every change. */
export interface AccountParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Pick<Store, 'loadAccess' | 'putAccess'>;
  readonly file: Tokens;
  /** The site's ordinary quotas. */
  readonly quotas: { readonly user: Quota; readonly project: Quota };
  readonly quotasChanged: (quotas: Quotas) => void;
}

const defaultLifetimeMs = 30 * 24 * 3_600_000;
/** A user who makes a token for each job and never revokes one. */
const mostTokensPerUser = 100;

/** Everybody whom the service knows. */
export class Accounts {
  readonly #parts: AccountParts;
  readonly #users = new Map<string, StoredUser>();
  readonly #projects = new Map<string, StoredProject>();
  readonly #tokens = new Map<string, StoredToken>();
  readonly #byHash = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  constructor(parts: AccountParts) {
    this.#parts = parts;
  }

  /** Throws `WspError` (`failed`): a document cannot be read. */
  async load(): Promise<void> {
    for (const row of await this.#parts.store.loadAccess()) this.#keep(row);
    this.#tellQuotas();
  }

  /** Whom a token belongs to; undefined when it is nobody's (any more). */
  callerOf(token: string): Caller | undefined {
    const fileUser = this.#parts.file.userOf(token);
    if (fileUser !== undefined) return this.#caller(fileUser, 'full', null);
    const stored = this.#given(token);
    if (!stored || stored.revokedAt !== null || stored.expiresAt <= this.#parts.clock.now()) return undefined;
    return this.#caller(stored.user, stored.scope, stored.id);
  }

  /** When the token ends; never, for one of the tokens file. */
  endOf(token: string): number {
    return this.#given(token)?.expiresAt ?? Infinity;
  }

  #given(token: string): StoredToken | undefined {
    return this.#tokens.get(this.#byHash.get(hashOf(token).toString('base64url')) ?? '');
  }

  /** Is called after each change, of a user, a project or a token. Returns how to hear no more. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A user as if they asked themselves, with all that they may; undefined when they are disabled. */
  callerOfUser(name: string): Caller | undefined {
    return this.#caller(name, 'full', null);
  }

  user(name: string): UserView {
    const { role, projects, disabled, quota } = this.#userOr(name);
    const limits = { ...(quota ?? this.#parts.quotas.user) };
    return { name, role, projects: [...projects], disabled, quota: limits };
  }

  users(): readonly UserView[] {
    const names = new Set([...this.#parts.file.users(), ...this.#users.keys()]);
    return [...names].toSorted().map(name => this.user(name));
  }

  /** Makes or changes a user. Throws `WspError` (`not_found`: a project). */
  async changeUser(name: string, change: UserChange): Promise<UserView> {
    const missing = change.projects?.find(project => !this.#projects.has(project));
    if (missing !== undefined)
      throw new WspError('not_found', `there is no project ${missing}`, {
        hint: `make it first: wsp project ${missing}`,
      });
    const { quota, ...rest } = change;
    const before = this.#userOr(name);
    const own = changed(before.quota, quota, this.#parts.quotas.user);
    const user: StoredUser = { ...before, ...rest, name, quota: own };
    await this.#put([{ kind: 'user', id: name, body: user }]);
    return this.user(name);
  }

  projects(): readonly ProjectView[] {
    return [...this.#projects.values()]
      .toSorted((one, other) => (one.name < other.name ? -1 : 1))
      .map(project => this.#projectView(project));
  }

  #projectView({ name, quota }: StoredProject): ProjectView {
    const members = [...this.#users.values()].filter(({ projects }) => projects.includes(name));
    return {
      name,
      members: members.map(user => user.name),
      quota: { ...(quota ?? this.#parts.quotas.project) },
    };
  }

  /** Makes or changes a project. */
  async changeProject(name: string, { quota }: ProjectChange): Promise<ProjectView> {
    const before = this.#projects.get(name)?.quota ?? null;
    const project: StoredProject = { name, quota: changed(before, quota, this.#parts.quotas.project) };
    await this.#put([{ kind: 'project', id: name, body: project }]);
    return this.#projectView(project);
  }

  tokensOf(user: string | undefined): readonly TokenView[] {
    return [...this.#tokens.values()]
      .filter(token => user === undefined || token.user === user)
      .map(tokenView);
  }

  /**
   * Gives out a token, which ends with the one that it is given out with. Throws `WspError`
   * (`conflict`: too many, or the user is disabled; `forbidden`: it would last longer than that).
   */
  async giveToken(
    user: string,
    { label = '', scope = 'full', lifetimeMs }: TokenRequest,
    { tokenId, latestEnd } = withAll,
  ): Promise<NewTokenView> {
    const { clock, random } = this.#parts;
    const now = clock.now();
    if (this.#userOr(user).disabled) throw new WspError('conflict', `user ${user} is disabled`);
    const alive = [...this.#tokens.values()].filter(
      each => each.user === user && each.revokedAt === null && each.expiresAt > now,
    );
    if (alive.length >= mostTokensPerUser)
      throw new WspError('conflict', `user ${user} has ${alive.length} tokens already, which is the most`, {
        hint: 'revoke some: wsp tokens, wsp revoke ID',
      });
    const expiresAt = now + (lifetimeMs ?? defaultLifetimeMs);
    if (lifetimeMs !== undefined && expiresAt > latestEnd)
      throw new WspError(
        'forbidden',
        `a token lasts no longer than the one it is made with, which ends at ${formatMoment(latestEnd)}`,
        { hint: 'log in anew, or have an administrator make it' },
      );
    const token = `wsp_${Buffer.from(random.bytes(32)).toString('base64url')}`;
    const stored: StoredToken = {
      id: `tok-${idSuffix(random.bytes(10))}`,
      user,
      label,
      scope,
      hash: hashOf(token).toString('base64url'),
      createdAt: now,
      expiresAt: Math.min(expiresAt, latestEnd),
      revokedAt: null,
      ...(tokenId === null ? {} : { through: tokenId }),
    };
    await this.#put([{ kind: 'token', id: stored.id, body: stored }]);
    return { ...tokenView(stored), token };
  }

  /** Whose token this is; undefined when there is none. */
  ownerOfToken(id: string): string | undefined {
    return this.#tokens.get(id)?.user;
  }

  /** Revokes it and all that were given out with it. Throws `WspError` (`not_found`). */
  async revokeToken(id: string): Promise<TokenView> {
    const token = this.#tokens.get(id);
    if (!token) throw new WspError('not_found', `there is no token ${id}`);
    const now = this.#parts.clock.now();
    const revoked = this.#madeThrough(token).map(each => ({ ...each, revokedAt: each.revokedAt ?? now }));
    await this.#put(revoked.map(body => ({ kind: 'token', id: body.id, body })));
    return tokenView(this.#tokens.get(id) ?? token);
  }

  /** The token, and all that were given out with it or with one of these. */
  #madeThrough(token: StoredToken): readonly StoredToken[] {
    const made = [...this.#tokens.values()].filter(({ through }) => through === token.id);
    return [token, ...made.flatMap(each => this.#madeThrough(each))];
  }

  #caller(user: string, scope: Scope, tokenId: string | null): Caller | undefined {
    const { role, projects, disabled } = this.#userOr(user);
    return disabled ? undefined : { user, role, scope, projects, tokenId };
  }

  /** One that nobody has said anything about is a user; `admin` is the one that is there from the beginning. */
  #userOr(name: string): StoredUser {
    const role = name === 'admin' ? 'admin' : 'user';
    return this.#users.get(name) ?? { name, role, projects: [], disabled: false, quota: null };
  }

  async #put(rows: readonly AccessRow[]): Promise<void> {
    await this.#parts.store.putAccess(rows);
    for (const row of rows) this.#keep(row);
    this.#tellQuotas();
    for (const listener of this.#listeners) listener();
  }

  #keep({ kind, id, body }: AccessRow): void {
    switch (kind) {
      case 'user':
        this.#users.set(id, documentOf<StoredUser>(kind, id, body, userFields));
        return;
      case 'project':
        this.#projects.set(id, documentOf<StoredProject>(kind, id, body, projectFields));
        return;
      case 'token': {
        const token = documentOf<StoredToken>(kind, id, body, tokenFields);
        this.#tokens.set(id, token);
        this.#byHash.set(token.hash, id);
        return;
      }
      case 'webhook':
      case 'dead-letter':
        return;
    }
  }

  #tellQuotas(): void {
    const own = (all: Iterable<StoredUser | StoredProject>): Map<string, Quota> =>
      new Map([...all].flatMap(({ name, quota }) => (quota === null ? [] : [[name, quota] as const])));
    this.#parts.quotasChanged({
      ...this.#parts.quotas,
      users: own(this.#users.values()),
      projects: own(this.#projects.values()),
    });
  }
}

/** A quota of one's own begins as the site's ordinary one. */
function changed(before: Quota | null, change: QuotaChange | undefined, ordinary: Quota): Quota | null {
  if (change === undefined) return before;
  return change === null ? null : { ...noQuota, ...(before ?? ordinary), ...change };
}

function tokenView({ id, user, label, scope, createdAt, expiresAt, revokedAt }: StoredToken): TokenView {
  return {
    id,
    user,
    label,
    scope,
    createdAt: formatMoment(createdAt),
    expiresAt: formatMoment(expiresAt),
    revokedAt: revokedAt === null ? null : formatMoment(revokedAt),
  };
}
