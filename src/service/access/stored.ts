import type { Quota } from '../../lease/settings.ts';
import { roles, type Role, scopes, type Scope } from '../../protocol/access.ts';
import type { Fields } from '../store/fields.ts';

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

/** What their documents must have. */
export const userFields: Fields<StoredUser> = {
  name: 'text',
  role: { oneOf: roles },
  projects: { each: 'text' },
  disabled: 'flag',
  quota: 'object?',
};

export const projectFields: Fields<StoredProject> = { name: 'text', quota: 'object?' };

export const tokenFields: Fields<Omit<StoredToken, 'through'>> = {
  id: 'text',
  user: 'text',
  label: 'text',
  scope: { oneOf: scopes },
  hash: 'text',
  createdAt: 'number',
  expiresAt: 'number',
  revokedAt: 'number?',
};
