import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { WspError } from '../../protocol/errors.ts';
import type { Role } from '../../protocol/access.ts';
import type { Caller } from '../access/accounts.ts';
import { type Callers, type Standing, unknownToken } from '../access/callers.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, by their token. Null on routes that need none. */
    caller: Caller | null;
  }
  interface FastifyContextConfig {
    /** The route needs no user's token: it is open to all, or checks a slot's secret itself. */
    open?: boolean;
    /**
     * It carries what is said inside a connection of a node, or asks only, whatever its method: not
     * a deed of anybody's for the audit log.
     */
    carrier?: boolean;
    /** The least that its caller must be. Absent: a user. */
    role?: Role;
  }
}

const ranks: Readonly<Record<Role, number>> = { user: 0, operator: 1, admin: 2 };
const looking: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whether a request can change nothing, by its method. */
export function isLooking({ method }: Pick<FastifyRequest, 'method'>): boolean {
  return looking.has(method);
}

/** Whether one of this role may do what takes the other. */
export function hasRole(caller: Pick<Caller, 'role'>, role: Role): boolean {
  return ranks[caller.role] >= ranks[role];
}

/**
 * Every route but the `open` ones needs a token, of somebody who may; checked before the body is
 * read. `guessed` hears of every request without a good one, and may throw another refusal.
 */
export function requireTokens(
  app: FastifyInstance,
  callers: Callers,
  guessed: (request: FastifyRequest, reply: FastifyReply) => void,
): void {
  app.decorateRequest('caller', null);
  app.addHook('onRequest', async (request, reply) => {
    const { open = false, role = 'user' } = request.routeOptions.config;
    if (open) return;
    const token = bearerOf(request);
    const caller = token === undefined ? undefined : callers.callerOf(token);
    if (!caller) guessed(request, reply);
    if (token === undefined) {
      throw new WspError('unauthorized', 'the request has no token (Authorization: Bearer …)', {
        hint: 'set WSP_TOKEN, or tokenFile in the config file',
      });
    }
    if (!caller) throw unknownToken();
    request.caller = caller;
    if (!hasRole(caller, role))
      throw new WspError(
        'forbidden',
        `this needs the role ${role}; ${caller.user} has the role ${caller.role}`,
      );
    // A console or a port of a guest is more than looking, though it is asked for with GET.
    if (caller.scope === 'read' && (!isLooking(request) || request.ws))
      throw new WspError('forbidden', 'this token can only be used for reading (scope read)', {
        hint: 'use a token with the scope full (wsp token makes one)',
      });
  });
}

/** Where a request comes from; undefined when it came over the Unix socket (Fastify's type does not say so). */
export function addressOf(request: FastifyRequest): string | undefined {
  const { ip }: { readonly ip: string | undefined } = request;
  return ip;
}

/** The bearer token of a request (RFC 6750 §2.1). */
export function bearerOf(request: FastifyRequest): string | undefined {
  return /^Bearer +([\x21-\x7e]+)$/i.exec(request.headers.authorization ?? '')?.[1];
}

/** Who asks. A bug when called from an open route. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw new Error(`${request.url} is open: it has no caller`);
  return request.caller;
}

/** What a request begins in its caller's name. A bug when called from an open route. */
export function standingOf(
  request: FastifyRequest,
  callers: Callers,
  may?: (caller: Caller) => boolean,
): Standing {
  const token = bearerOf(request);
  if (token === undefined) throw new Error(`${request.url} is open: nobody stands for it`);
  return callers.stand(token, may);
}
