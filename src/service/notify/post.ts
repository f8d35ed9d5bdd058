import { createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import {
  type AllowedNetworks,
  ForbiddenAddressError,
  guardedLookup,
  isForbidden,
  literalAddress,
  type LookUp,
} from './addresses.ts';

/** One request to a webhook. */
export interface Delivery {
  readonly url: string;
  readonly secret: string;
  /** Number of the event: the same for every try, so that the receiver can tell a repetition. */
  readonly eventId: number;
  /** Milliseconds since the epoch, part of what is signed: an old request cannot be sent again as a new one. */
  readonly at: number;
  readonly body: string;
}

/** The longest that one request may take. */
export const deadlineMs = 10_000;

/** `sha256=` and the hex HMAC-SHA256 of `<timestamp>.<body>`. */
function signatureOf(secret: string, at: number, body: string): string {
  return `sha256=${createHmac('sha256', secret).update(`${at}.${body}`).digest('hex')}`;
}

/**
 * Resolves when the receiver has answered with 2xx; redirects are not followed. Rejects with why
 * not, which is not for the webhook's owner: it tells what there is where they cannot look.
 */
export function post(
  { url, secret, eventId, at, body }: Delivery,
  allowed: AllowedNetworks,
  lookUp?: LookUp,
): Promise<void> {
  const target = new URL(url);
  const literal = literalAddress(target.hostname);
  if (literal !== undefined && isForbidden(literal, allowed))
    return Promise.reject(new ForbiddenAddressError(target.hostname, literal));
  const send = target.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(
      target,
      {
        method: 'POST',
        // A connection of its own: one that somebody else has made was not checked, nor is a proxy.
        agent: false,
        lookup: guardedLookup(allowed, lookUp),
        signal: AbortSignal.timeout(deadlineMs),
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'workspace-pilot',
          'x-wsp-event': String(eventId),
          'x-wsp-timestamp': String(at),
          'x-wsp-signature': signatureOf(secret, at, body),
        },
      },
      response => {
        const { statusCode = 0 } = response;
        // The answer's body is nobody's business.
        response.destroy();
        if (statusCode >= 200 && statusCode < 300) resolve();
        else reject(new Error(`it answered with HTTP status ${statusCode}`));
      },
    );
    request.once('error', reject);
    request.end(body);
  });
}
