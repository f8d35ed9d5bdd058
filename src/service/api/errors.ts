import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchemaValidationError,
} from 'fastify';
import { errorFields, type Log } from '../../platform/log.ts';
import { invalidRequest } from '../../protocol/document.ts';
import { type ErrorDetail, errorCodes, WspError } from '../../protocol/errors.ts';

/** Every error leaves as an `ErrorBody`; what nobody expected leaves as `internal`, with its stack in the log alone. */
export function answerErrors(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const { known, status } = mapped(error);
    if (known) return reply.code(status).send(known.toBody());
    log.error('a request failed for a reason that nobody expected', {
      ...about(request),
      ...errorFields(error),
    });
    return internal(reply, request);
  });
  app.setNotFoundHandler(request => {
    throw new WspError('not_found', `there is no ${request.method} ${pathOf(request)}`, {
      hint: 'GET /openapi.json lists all routes',
    });
  });
}

function mapped(error: FastifyError): { known?: WspError; status: number } {
  if (error instanceof WspError) return { known: error, status: errorCodes[error.code].status };
  if (error.validation) {
    const details = error.validation.map(mistake => detailOf(mistake, error.validationContext));
    return { known: invalidRequest(details), status: 400 };
  }
  if (error.code === 'FST_ERR_HANDLER_TIMEOUT')
    return {
      known: new WspError('timeout', 'the service did not finish the request within its deadline'),
      status: 504,
    };
  const { statusCode } = error;
  // What the HTTP layer itself refuses: a body too large, not JSON, of another media type.
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return { known: new WspError('invalid_request', error.message), status: statusCode };
  return { status: 500 };
}

/** `/groups/1/count` → `groups[1].count`, with the property that is missing or too much at the end. */
function detailOf(mistake: FastifySchemaValidationError, context = 'body'): ErrorDetail {
  const { missingProperty, additionalProperty } = mistake.params;
  const extra = [missingProperty, additionalProperty].filter(name => typeof name === 'string');
  const steps = [...mistake.instancePath.split('/').slice(1), ...extra];
  const path = steps
    .map(step => (/^\d+$/.test(step) ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '');
  return { path: path === '' ? context : path, message: messageOf(mistake) };
}

function messageOf({ keyword, message, params, ...more }: FastifySchemaValidationError): string {
  if (keyword === 'required') return 'is missing';
  if (keyword === 'additionalProperties') return 'is not known here';
  if (keyword === 'const') return `must be ${JSON.stringify(params['allowedValue'])}`;
  // A pattern is for programs; its schema's description says the same in words.
  const { description } =
    (more as { readonly parentSchema?: { readonly description?: string } }).parentSchema ?? {};
  return description === undefined ? (message ?? 'is not valid') : `must be ${description}`;
}

function internal(reply: FastifyReply, request: FastifyRequest): FastifyReply {
  const error = new WspError('internal', 'something went wrong inside the service; this is a bug', {
    hint: `the service's log has it under request ${request.id}`,
  });
  return reply.code(errorCodes.internal.status).send(error.toBody());
}

/** A request as log fields: never its headers, its body or its query. */
export function about(request: FastifyRequest) {
  return {
    request: request.id,
    method: request.method,
    path: pathOf(request),
    user: request.caller?.user ?? null,
  };
}

/** The path that a request asks for, without its query. */
export function pathOf(request: FastifyRequest): string {
  return request.url.replace(/\?.*$/s, '');
}
