import { Agent, type IncomingHttpHeaders, request as plainRequest } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { type Clock, withDeadline } from '../platform/clock.ts';
import type { SlotAssignment } from '../protocol/pilot.ts';

/** What the service answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** This node's address on the way to the service. */
  readonly localAddress: string;
}

/** What to ask. */
export interface HttpQuestion {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** After the service's URL, with its query. */
  readonly path: string;
  readonly body?: Buffer;
  readonly deadlineMs: number;
  /** Over a connection of its own: one that was kept may have died unnoticed. */
  readonly fresh?: boolean;
  /** Gives the request up. */
  readonly signal?: AbortSignal;
}

/** Asks once. Rejects when there is no answer within the deadline, or a longer one than ours are. */
export type Ask = (question: HttpQuestion) => Promise<HttpAnswer>;

/** More than any answer of ours. */
const maxAnswerBytes = 8 * 1024 * 1024;

/** Requests to the service, on connections that are kept. */
export function httpAsk(
  { serviceUrl, secret, serviceCa: ca }: Pick<SlotAssignment, 'serviceUrl' | 'secret' | 'serviceCa'>,
  clock: Clock,
): Ask {
  const base = serviceUrl.replace(/\/$/, '');
  const secure = base.startsWith('https:');
  const agent = secure ? new SecureAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
  const trust = ca === null ? {} : { ca, allowPartialTrustChain: true };
  return async ({ method, path, body = Buffer.alloc(0), deadlineMs, fresh = false, signal }) => {
    const request = (secure ? secureRequest : plainRequest)(`${base}${path}`, {
      method,
      agent: fresh ? false : agent,
      headers: {
        authorization: `Bearer ${secret}`,
        ...(method === 'POST' ? { 'content-length': body.length } : {}),
        ...(body.length > 0 ? { 'content-type': 'application/octet-stream' } : {}),
      },
      ...trust,
      ...(signal ? { signal } : {}),
    });
    const answered = new Promise<HttpAnswer>((resolve, reject) => {
      request.once('error', reject);
      request.once('response', response => {
        const { localAddress = '' } = response.socket;
        const { statusCode: status = 0, headers } = response;
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxAnswerBytes) request.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          const answer = { status, headers, body: Buffer.concat(chunks) };
          // Half an answer is none.
          if (!response.complete) reject(new Error('the answer broke off'));
          else resolve({ ...answer, localAddress: localAddress.replace(/^::ffff:/, '') });
        });
      });
    });
    request.end(method === 'POST' ? body : undefined);
    try {
      return await withDeadline(clock, deadlineMs, `an answer of ${new URL(base).host}`, answered);
    } catch (cause) {
      request.destroy();
      throw cause;
    }
  };
}
