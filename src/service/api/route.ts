import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { namePattern, workspaceIdPattern } from '../../protocol/ids.ts';
import type { ApiParts } from './app.ts';
import { ref } from './schemas.ts';

/** An app whose handlers are typed by their route's schemas. */
export type TypedApp = Parameters<FastifyPluginAsyncTypebox>[0];

/** Adds one route. */
export type Route = (app: TypedApp, parts: ApiParts) => void;

/** `:workspace` in a path. */
export const WorkspaceParams = Type.Object({
  workspace: Type.String({
    pattern: `${workspaceIdPattern}|${namePattern}`,
    description: 'Id or name; a name means its newest workspace.',
  }),
});

/** The answers that every route may give. */
export const errorAnswers = { '4xx': ref('Error'), '5xx': ref('Error') };
