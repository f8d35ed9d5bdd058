/**
 * Every error that leaves a process has a stable code from this table, an HTTP status and, for the CLI, an exit code.
 * The message says what is wrong, where, and what to do; it is for people and may change.
 * docs/reference.md is made of this table.
 */

export const errorCodes = {
  invalid_request: {
    status: 400,
    exit: 2,
    meaning:
      "the request's body, query or path does not have the documented shape; `details` names each place",
  },
  invalid_file: {
    status: 400,
    exit: 2,
    meaning: 'a cluster file or site file is malformed; `details` names each place',
  },
  usage: { status: 400, exit: 2, meaning: 'the command line is wrong' },
  unauthorized: { status: 401, exit: 4, meaning: 'no token, an unknown token or a wrong one' },
  forbidden: { status: 403, exit: 4, meaning: 'the token is good, but its user may not do this' },
  quota_exceeded: { status: 403, exit: 4, meaning: 'more than the user or the project may have' },
  rate_limited: {
    status: 429,
    exit: 1,
    meaning: 'too many requests in too short a time; try again a little later',
  },
  not_found: { status: 404, exit: 3, meaning: 'no such workspace, VM, route, file' },
  conflict: {
    status: 409,
    exit: 4,
    meaning: 'the name is in use, or the state does not allow the operation',
  },
  image_unknown: { status: 422, exit: 4, meaning: "the image is not in the site's store" },
  network_unknown: { status: 422, exit: 4, meaning: "the network is not one of the site's" },
  pool_unknown: { status: 422, exit: 4, meaning: "the pool is not one of the site's" },
  exceeds_site: {
    status: 422,
    exit: 4,
    meaning: 'more than this site has or allows: it would wait for ever',
  },
  addresses_exhausted: {
    status: 422,
    exit: 4,
    meaning: "a network's address pool has too few free addresses",
  },
  busy: {
    status: 503,
    exit: 1,
    meaning: 'the service is at one of its own limits (queue, connections); try again later',
  },
  timeout: {
    status: 504,
    exit: 1,
    meaning: 'the service, the pilot or the guest did not answer within the deadline',
  },
  unreachable: { status: 502, exit: 1, meaning: 'the VM or its node cannot be reached just now' },
  service_unreachable: { status: 503, exit: 5, meaning: 'the client cannot reach the service' },
  failed: {
    status: 500,
    exit: 1,
    meaning:
      'a command ended, the thing asked for did not come about (for example: the workspace failed while waited for)',
  },
  internal: { status: 500, exit: 1, meaning: 'a bug in ours: the log has the stack, the answer has not' },
} as const satisfies Record<
  string,
  { readonly status: number; readonly exit: 1 | 2 | 3 | 4 | 5; readonly meaning: string }
>;

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
    more: { hint?: string | undefined; details?: readonly ErrorDetail[]; cause?: unknown } = {},
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
