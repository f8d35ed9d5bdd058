import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { invalidRequest } from '../../protocol/document.ts';
import { namePattern, workspaceIdPattern } from '../../protocol/ids.ts';
import { momentPattern, momentWords, parseMoment } from '../../protocol/units.ts';
import type { EventFeed } from './event-feed.ts';
import type { ApiParts } from './parts.ts';
import type { RateLimits } from './rate-limit.ts';

/** What routes stand on. */
export interface RouteParts extends ApiParts {
  readonly feed: EventFeed;
  readonly limits: RateLimits;
}

/** Adds one route to an app whose handlers are typed by their route's schemas. */
export type Route = (app: Parameters<FastifyPluginAsyncTypebox>[0], parts: RouteParts) => void;

/** `:workspace` in a path. */
export const WorkspaceParams = Type.Object({
  workspace: Type.String({
    pattern: `${workspaceIdPattern}|${namePattern}`,
    description: 'an id or a name of a workspace; a name means its newest',
  }),
});

/** The name of a pool, a project or a workspace in a path or a query. */
export function nameOf(what: string) {
  return Type.String({ pattern: namePattern, description: `a ${what}'s name` });
}

/** A time in a query. `momentOf` reads it. */
export const Moment = Type.String({ pattern: momentPattern, description: momentWords });

/** Milliseconds since the epoch. Throws `WspError` (`invalid_request`): there is no such time. */
export function momentOf(text: string, parameter: string): number {
  const at = parseMoment(text);
  if (at !== undefined) return at;
  throw invalidRequest([{ path: parameter, message: `${text} is not a time that exists` }]);
}
