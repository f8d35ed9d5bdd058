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
    const known = refusalOf(error);
    if (known) return refuse(reply, known.refusal, known.status);
    log.error('a request failed for a reason that nobody expected', {
      ...about(request),
      ...errorFields(error),
    });
    const hint = `the service's log has it under request ${request.id}`;
    const bug = new WspError('internal', 'something went wrong inside the service; this is a bug', { hint });
    return refuse(reply, bug);
  });
  app.setNotFoundHandler(request => {
    throw new WspError('not_found', `there is no ${request.method} ${pathOf(request)}`, {
      hint: 'GET /openapi.json lists all routes',
    });
  });
}

/** The refusal that an error stands for, and its status; undefined when nobody expected it. */
function refusalOf(error: FastifyError): { refusal: WspError; status?: number } | undefined {
  if (error instanceof WspError) return { refusal: error };
  if (error.validation) {
    const details = error.validation.map(mistake => detailOf(mistake, error.validationContext));
    return { refusal: invalidRequest(details) };
  }
  if (error.code === 'FST_ERR_HANDLER_TIMEOUT')
    return { refusal: new WspError('timeout', 'the service did not finish the request within its deadline') };
  const { statusCode: status = 500 } = error;
  // What the HTTP layer itself refuses: a body too large, not JSON, of another media type.
  const isRefused = status >= 400 && status < 500;
  return isRefused ? { refusal: new WspError('invalid_request', error.message), status } : undefined;
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

function refuse(reply: FastifyReply, refusal: WspError, status?: number): FastifyReply {
  return reply.code(status ?? errorCodes[refusal.code].status).send(refusal.toBody());
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
