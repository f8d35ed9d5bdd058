import type { Quota } from '../../lease/settings.ts';
import { roles, type Role, scopes, type Scope } from '../../protocol/access.ts';
import { documentOf, type Fields } from '../store/fields.ts';

/** A user, as the store keeps them. */
export interface StoredUser {
  readonly name: string;
  readonly role: Role;
  readonly projects: readonly string[];
  readonly disabled: boolean;
  /** Over the site's ordinary one; null: that. */
  readonly quota: Quota | null;
}

/** A project. */
export interface StoredProject {
  readonly name: string;
  readonly quota: Quota | null;
}

/** A token that was given out. */
export interface StoredToken {
  readonly id: string;
  readonly user: string;
  readonly label: string;
  readonly scope: Scope;
  readonly hash: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
  /** The token that it was given out with, whose end is its end. Absent: none of ours. */
  readonly through?: string;
}

const user: Fields<StoredUser> = {
  name: 'text',
  role: { oneOf: roles },
  projects: { each: 'text' },
  disabled: 'flag',
  quota: 'object?',
};

const project: Fields<StoredProject> = { name: 'text', quota: 'object?' };

const token: Fields<Omit<StoredToken, 'through'>> = {
  id: 'text',
  user: 'text',
  label: 'text',
  scope: { oneOf: scopes },
  hash: 'text',
  createdAt: 'number',
  expiresAt: 'number',
  revokedAt: 'number?',
};

/** A stored document as what it is. These throw `WspError` (`failed`): it cannot be read. */
export const userOf = (id: string, body: unknown): StoredUser =>
  documentOf<StoredUser>('user', id, body, user);
export const projectOf = (id: string, body: unknown): StoredProject =>
  documentOf<StoredProject>('project', id, body, project);
export const tokenOf = (id: string, body: unknown): StoredToken =>
  documentOf<StoredToken>('token', id, body, token);
