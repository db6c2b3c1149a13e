import {CodedError, type ErrorRegistry} from '../errors.ts';
import {parseJsonRecord} from './json.ts';

/** Codes of this door; each program that talks to a cluster takes them into its own registry. */
export const kubeErrors = {
  ERR_KUBECONFIG_INVALID: 16,
  ERR_API_UNREACHABLE: 16,
  ERR_API_UNTRUSTED: 16,
  ERR_API_REFUSED: 16,
  ERR_API_RESPONSE_INVALID: 16,
  ERR_API_TIMEOUT: 16,
  ERR_POD_EXEC: 16,
} as const satisfies ErrorRegistry;

export type KubeErrorCode = keyof typeof kubeErrors;

/** What a Kubernetes `Status` object says about a refused request (meta/v1 `Status`). */
export interface Refusal {
  /** HTTP status, 400 to 599. */
  readonly status: number;
  /** One word of the API, e.g. `NotFound`, `Forbidden`, `Invalid`; empty when the body had none. */
  readonly reason: string;
  readonly message: string;
}

/** The API answered, and said no. */
export class ApiRefusedError extends CodedError<'ERR_API_REFUSED'> implements Refusal {
  readonly status: number;
  readonly reason: string;

  constructor(attempt: string, refusal: Refusal) {
    super('ERR_API_REFUSED', `${attempt}: ${describe(refusal)}`, {hint: hintFor(refusal.status)});
    this.status = refusal.status;
    this.reason = refusal.reason;
  }
}

/** The API answered with more than was ready to be read: what was asked for can be asked in parts. */
export class ApiResponseTooLargeError extends CodedError<'ERR_API_RESPONSE_INVALID'> {
  constructor(attempt: string, what: string) {
    super('ERR_API_RESPONSE_INVALID', `${attempt}: the ${what}`, {
      hint: 'ask for less: another namespace or a selector',
    });
  }
}

/** Reads the body of an answer that is not 2xx; a body that is no `Status` becomes the message. */
export function parseRefusal(status: number, body: string): Refusal {
  const {reason, message} = parseJsonRecord(body) ?? {};
  return {
    status,
    reason: typeof reason === 'string' ? reason : '',
    message: typeof message === 'string' ? message : body.trim().slice(0, MESSAGE_LENGTH_MAX),
  };
}

/** Long enough for any sentence of the API, short enough for a terminal. */
const MESSAGE_LENGTH_MAX = 1_000;

function describe({status, reason, message}: Refusal): string {
  return [`${status}`, reason, message].filter(part => part !== '').join(' ');
}

function hintFor(status: number): string {
  switch (status) {
    case 401:
      return 'these credentials are of another cluster or have expired; fetch them again';
    case 403:
      return 'grant the right that the message names, or use credentials of group system:masters';
    case 404:
      return 'the object or its kind does not exist in this cluster; check name and namespace';
    case 409:
      return 'somebody else changed or owns this object; run the same command again';
    case 422:
      return 'the API does not accept this object; the message names the field';
    default:
      return 'look at the log of kube-apiserver on a control plane';
  }
}
