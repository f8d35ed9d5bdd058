import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { checkedRequest } from '../../protocol/document.ts';

/**
 * Bodies are taken as they are written: no number in quotes, no unknown key, and the same words for a mistake as in a cluster file. The rest of
 * the request is checked by its pattern alone.
 */
export function strictBody(schema: TSchema): FastifySchemaCompiler<unknown> {
  return ({ httpPart, schema: part }) => {
    const checked = httpPart === 'body' || httpPart === undefined ? schema : (part as TSchema);
    return (value: unknown) => {
      try {
        return { value: checkedRequest(checked, value) };
      } catch (error) {
        return { error: error as Error };
      }
    };
  };
}
