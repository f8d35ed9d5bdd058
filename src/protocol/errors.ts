/**
 * Every error that leaves a process has a stable code from this table, an HTTP status and, for the CLI, an exit code.
 * The message says what is wrong, where, and what to do; it is for people and may change.
 */

export const errorCodes = {
  /** The request's body, query or path does not have the documented shape. `details` names each place. */
  invalid_request: { status: 400, exit: 2 },
  /** A cluster file or site file is malformed. `details` names each place. */
  invalid_file: { status: 400, exit: 2 },
  /** The command line is wrong. */
  usage: { status: 400, exit: 2 },
  /** No token, an unknown token or a wrong one. */
  unauthorized: { status: 401, exit: 4 },
  /** The token is good, the deed is not allowed. */
  forbidden: { status: 403, exit: 4 },
  /** More than the user or the project may have. */
  quota_exceeded: { status: 403, exit: 4 },
  /** Too many requests in too short a time; try again a little later. */
  rate_limited: { status: 429, exit: 1 },
  /** No such workspace, VM, route, file. */
  not_found: { status: 404, exit: 3 },
  /** The name is in use, or the state does not allow the operation. */
  conflict: { status: 409, exit: 4 },
  /** The image is not in the site's store. */
  image_unknown: { status: 422, exit: 4 },
  /** The network is not one of the site's. */
  network_unknown: { status: 422, exit: 4 },
  /** The pool is not one of the site's. */
  pool_unknown: { status: 422, exit: 4 },
  /** More nodes, memory, processors or time than this site has or allows: it would wait for ever. */
  exceeds_site: { status: 422, exit: 4 },
  /** A network's address pool has too few free addresses. */
  addresses_exhausted: { status: 422, exit: 4 },
  /** The service is at one of its own limits (queue, connections); try again later. */
  busy: { status: 503, exit: 1 },
  /** The service, the pilot or the guest did not answer within the deadline. */
  timeout: { status: 504, exit: 1 },
  /** The VM or its node cannot be reached just now. */
  unreachable: { status: 502, exit: 1 },
  /** The client cannot reach the service. */
  service_unreachable: { status: 503, exit: 5 },
  /** A command ended, the thing asked for did not come about (for example: the workspace failed while waited for). */
  failed: { status: 500, exit: 1 },
  /** A bug in ours: the log has the stack, the answer has not. */
  internal: { status: 500, exit: 1 },
} as const satisfies Record<string, { readonly status: number; readonly exit: 1 | 2 | 3 | 4 | 5 }>;

export type ErrorCode = keyof typeof errorCodes;

/** One mistake in a document: `path` as in `groups[1].count`. */
export interface ErrorDetail {
  readonly path: string;
  readonly message: string;
}

/** The JSON shape of every error, in API answers and under `--json`. */
export interface ErrorBody {
  readonly error: {
    readonly code: ErrorCode;
    readonly message: string;
    /** What the reader can do about it. */
    readonly hint?: string;
    readonly details?: readonly ErrorDetail[];
  };
}

/** An expected failure, with everything its reader needs. Anything else that is thrown is a bug. */
export class WspError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: readonly ErrorDetail[] | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    more: { hint?: string; details?: readonly ErrorDetail[]; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'WspError';
    this.code = code;
    this.hint = more.hint;
    this.details = more.details;
  }

  toBody(): ErrorBody {
    return {
      error: {
        code: this.code,
        message: this.message,
        ...(this.hint === undefined ? {} : { hint: this.hint }),
        ...(this.details === undefined ? {} : { details: this.details }),
      },
    };
  }
}
