import type { FastifyInstance, FastifyRequest } from 'fastify';
import { WspError } from '../../protocol/errors.ts';
import type { Tokens } from '../tokens.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, by his token. Null on routes that need none. */
    user: string | null;
  }
  interface FastifyContextConfig {
    /** The route needs no user's token: it is open to all, or checks a slot's secret itself. */
    open?: boolean;
  }
}

/** Every route but the `open` ones needs a user's token; checked before the body is read. */
export function requireTokens(app: FastifyInstance, tokens: Tokens): void {
  app.decorateRequest('user', null);
  app.addHook('onRequest', async request => {
    if (request.routeOptions.config.open === true) return;
    const token = bearerOf(request);
    if (token === undefined) {
      throw new WspError('unauthorized', 'the request carries no token (Authorization: Bearer …)', {
        hint: 'set WSP_TOKEN, or name it in the config file',
      });
    }
    request.user = tokens.userOf(token) ?? null;
    if (request.user === null) {
      throw new WspError('unauthorized', 'the service does not know this token', {
        hint: "check WSP_TOKEN against the site's tokens file",
      });
    }
  });
}

/** The bearer token of a request (RFC 6750 §2.1). */
export function bearerOf(request: FastifyRequest): string | undefined {
  return /^Bearer +([\x21-\x7e]+)$/i.exec(request.headers.authorization ?? '')?.[1];
}

/** Who asks. A bug when called from an open route. */
export function userOf(request: FastifyRequest): string {
  if (request.user === null) throw new Error(`${request.url} is open: it has no user`);
  return request.user;
}
