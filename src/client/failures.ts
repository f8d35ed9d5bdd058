import { errorCodes, type ErrorBody, WspError } from '../protocol/errors.ts';
import { formatDuration } from '../protocol/units.ts';

const unexpected = "its certificate is not the expected one (set WSP_CA_FILE to the service's certificate)";
/** Sentences for what the network says most often. */
const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (connection refused)',
  ENOTFOUND: 'its host name is not known',
  EAI_AGAIN: 'its host name cannot be looked up just now',
  EHOSTUNREACH: 'there is no route to that host',
  ENETUNREACH: 'there is no route to that network',
  ECONNRESET: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
  ENOENT: 'there is no such socket',
  EACCES: 'this user may not use that socket',
  DEPTH_ZERO_SELF_SIGNED_CERT: unexpected,
  SELF_SIGNED_CERT_IN_CHAIN: unexpected,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unexpected,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unexpected,
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS there (is it http://?)',
  EPROTO: 'it does not speak TLS there (is it http://?)',
};

/** A request that got no answer. `afterMs`: its deadline, when that is why. */
export function unreachable(url: string, cause: unknown, afterMs?: number): WspError {
  if (cause instanceof WspError) return cause;
  const why = afterMs === undefined ? reasonOf(cause) : `no answer within ${formatDuration(afterMs)}`;
  return new WspError('service_unreachable', `cannot reach the service at ${url}: ${why}`, {
    hint: 'is it running (wsp service --config FILE), and is WSP_URL (or url in the config file) right?',
    cause,
  });
}

/** An answer that is not a success: the service's own error, or something in between that answered in its place. */
export function errorOfAnswer(url: string, status: number, body: unknown): WspError {
  if (isErrorBody(body)) {
    const { code, message, hint, details } = body.error;
    return new WspError(code, message, { hint, ...(details === undefined ? {} : { details }) });
  }
  return new WspError(
    'service_unreachable',
    `what answers at ${url} is not a Workspace Service (HTTP ${status})`,
    { hint: 'check WSP_URL (or url in the config file), and any proxy in between' },
  );
}

function isErrorBody(body: unknown): body is ErrorBody {
  const error = (body as Partial<ErrorBody> | undefined)?.error;
  const { code, message } = error ?? {};
  return typeof message === 'string' && typeof code === 'string' && Object.hasOwn(errorCodes, code);
}

/** The innermost error with a code says what happened; fetch itself only says that it failed. */
function reasonOf(cause: unknown): string {
  let message = 'it failed';
  for (let error = cause; error instanceof Error; error = error.cause) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code === 'string') return reasons[code] ?? `${code}: ${error.message}`;
    message = error.message;
  }
  return message;
}
