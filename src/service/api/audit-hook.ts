import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../../platform/clock.ts';
import type { AuditLog } from '../access/audit.ts';
import type { AuditEntry } from '../store/store.ts';
import { addressOf, isLooking } from './auth.ts';
import { pathOf } from './errors.ts';
import { formatMoment } from '../../protocol/units.ts';

const refusals: ReadonlySet<number> = new Set([401, 403]);
/** Nothing was done, and who asks without end must not fill the log. */
const tooMany = 429;

/** Everything that changes something, and every refusal for want of rights, is in the audit log before it is answered. */
export function keepAudit(app: FastifyInstance, { audit, clock }: { audit: AuditLog; clock: Clock }): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (reply.statusCode === tooMany) return payload;
    const changesNothing = isLooking(request) || request.routeOptions.config.carrier === true;
    if (changesNothing && !refusals.has(reply.statusCode)) return payload;
    await audit.write(entryOf(request, clock, reply.statusCode, codeOf(reply.statusCode, payload)));
    return payload;
  });
}

/** A request as a line of the audit log. */
export function entryOf(
  request: FastifyRequest,
  clock: Clock,
  status: number,
  code: string | null = null,
): AuditEntry {
  return {
    at: formatMoment(clock.now()),
    user: request.caller?.user ?? null,
    token: request.caller?.tokenId ?? null,
    method: request.method,
    path: pathOf(request).slice(0, 300),
    status,
    code,
    address: addressOf(request) ?? 'socket',
  };
}

function codeOf(status: number, payload: unknown): string | null {
  if (status < 400 || typeof payload !== 'string') return null;
  try {
    const { error } = JSON.parse(payload) as { error?: { code?: unknown } };
    return typeof error?.code === 'string' ? error.code : null;
  } catch {
    return null;
  }
}
