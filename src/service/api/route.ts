import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { namePattern, workspaceIdPattern } from '../../protocol/ids.ts';
import { WspError } from '../../protocol/errors.ts';
import { momentPattern, momentWords, parseMoment } from '../../protocol/units.ts';
import type { ApiParts } from './parts.ts';
import { ref } from './schemas.ts';

/** An app whose handlers are typed by their route's schemas. */
export type TypedApp = Parameters<FastifyPluginAsyncTypebox>[0];

/** Adds one route. */
export type Route = (app: TypedApp, parts: ApiParts) => void;

/** `:workspace` in a path. */
export const WorkspaceParams = Type.Object({
  workspace: Type.String({
    pattern: `${workspaceIdPattern}|${namePattern}`,
    description: 'an id or a name of a workspace; a name means its newest',
  }),
});

/** A time in a query. `momentOf` reads it. */
export const Moment = Type.String({ pattern: momentPattern, description: momentWords });

/**
 * Milliseconds since the epoch. Throws `WspError` (`invalid_request`) when the calendar has no such
 * time.
 */
export function momentOf(text: string, parameter: string): number {
  const at = parseMoment(text);
  if (at !== undefined) return at;
  const details = [{ path: parameter, message: `${text} is not a time that exists` }];
  throw new WspError('invalid_request', `${parameter}: ${text} is not a time that exists`, { details });
}

/** The answers that every route may give. */
export const errorAnswers = { '4xx': ref('Error'), '5xx': ref('Error') };
