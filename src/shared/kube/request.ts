import {setTimeout as sleep} from 'node:timers/promises';
import {CodedError, messageOf} from '../errors.ts';
import {
  ApiRefusedError,
  ApiResponseTooLargeError,
  parseRefusal,
  type KubeErrorCode,
  type Refusal,
} from './errors.ts';
import type {HttpRequest, HttpResponse, HttpTransport} from './transport.ts';

export interface SendOptions {
  readonly signal: AbortSignal;
  /** What is being done, for messages: `list Node`. */
  readonly attempt: string;
  /** How long a whole body may be, default 64 MiB; beyond, an ApiResponseTooLargeError. */
  readonly maxBytes?: number;
}

/** Sends requests with retries, and hands back whole bodies or streams of lines. */
export interface Requester {
  readonly server: string;
  /** Any 2xx answer as text. */
  text(request: HttpRequest, options: SendOptions): Promise<string>;
  /** Any 2xx answer as JSON. */
  json(request: HttpRequest, options: SendOptions): Promise<unknown>;
  /** The lines of a 2xx answer as they arrive. */
  lines(request: HttpRequest, options: SendOptions): AsyncIterable<string>;
}

/** Pauses between attempts double from the first to the last; an API needs seconds to start. */
const RETRY_PAUSE_MS = {first: 100, last: 1_000} as const;
/** A list of 5,000 nodes is about 50 MB. */
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;
/** One watch event; etcd keeps objects below 1.5 MB. */
const LINE_LENGTH_MAX = 8 * 1024 * 1024;

/**
 * @param retryTimeoutMs how long a request is repeated while its failure is transient; 0: never
 */
export function createRequester(
  transport: HttpTransport,
  {retryTimeoutMs}: {readonly retryTimeoutMs: number},
): Requester {
  const send = (request: HttpRequest, options: SendOptions): Promise<HttpResponse> =>
    sendWithRetries(transport, request, {...options, retryTimeoutMs});
  const text = async (request: HttpRequest, options: SendOptions): Promise<string> =>
    readText(await send(request, options), options, transport.server);
  return {
    server: transport.server,
    text,
    json: async (request, options) => parseJson(await text(request, options), options.attempt),
    async *lines(request, options) {
      yield* readLines(await send(request, options), options, transport.server);
    },
  };
}

async function sendWithRetries(
  transport: HttpTransport,
  request: HttpRequest,
  {signal, attempt, retryTimeoutMs}: SendOptions & {readonly retryTimeoutMs: number},
): Promise<HttpResponse> {
  const giveUpAt = performance.now() + retryTimeoutMs;
  for (let pauseMs: number = RETRY_PAUSE_MS.first; ; pauseMs *= 2) {
    const outcome = await sendOnce(transport, request, {signal, attempt});
    if ('response' in outcome) return outcome.response;
    const waitMs = outcome.retryAfterMs ?? Math.min(pauseMs, RETRY_PAUSE_MS.last);
    if (!outcome.transient || performance.now() + waitMs > giveUpAt) throw outcome.error;
    await sleep(waitMs, undefined, {signal}).catch(() => {
      throw signal.reason;
    });
  }
}

type Outcome =
  | {readonly response: HttpResponse}
  | {
      readonly error: CodedError<KubeErrorCode>;
      readonly transient: boolean;
      readonly retryAfterMs?: number;
    };

async function sendOnce(
  transport: HttpTransport,
  request: HttpRequest,
  options: SendOptions,
): Promise<Outcome> {
  const {signal, attempt} = options;
  signal.throwIfAborted();
  let response: HttpResponse;
  try {
    response = await transport.send(request, {signal});
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    const failure = classifyFailure(thrown);
    const transient = failure.kind !== 'untrusted' && canRepeat(request, failure.kind);
    return {error: unreachable(transport.server, attempt, thrown), transient};
  }
  if (response.status >= 200 && response.status < 300) return {response};
  const body = await readText(response, options, transport.server);
  const refusal = parseRefusal(response.status, body);
  const transient =
    isTransientRefusal(refusal) && (request.method !== 'POST' || refusal.status === 429);
  const retryAfterMs = parseRetryAfter(response.headers['retry-after']);
  const error = new ApiRefusedError(attempt, refusal);
  return retryAfterMs === undefined ? {error, transient} : {error, transient, retryAfterMs};
}

/** How a request failed without an answer: `refused` means that it surely was not received. */
export function classifyFailure(thrown: unknown): {
  readonly kind: 'refused' | 'broken' | 'untrusted';
} {
  const codes = causesOf(thrown).map(cause => ('code' in cause ? String(cause.code) : ''));
  if (codes.some(code => TRUST_CODES.test(code))) return {kind: 'untrusted'};
  if (codes.some(code => code === 'ECONNREFUSED' || code === 'UND_ERR_CONNECT_TIMEOUT'))
    return {kind: 'refused'};
  return {kind: 'broken'};
}

/** OpenSSL's verification results and Node's name check (node:tls, `authorizationError`). */
const TRUST_CODES =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET|VERIFY)_|INVALID_CA)/;

/** Refusals that pass by themselves: an API that starts, is overloaded, or changes its leader. */
export function isTransientRefusal({status, message}: Refusal): boolean {
  if (status === 429 || status === 502 || status === 503 || status === 504) return true;
  return status === 500 && /etcdserver: (leader changed|request timed out)/.test(message);
}

const EXPIRED_CODE = 'CERT_HAS_EXPIRED';
const EXPIRED_HINT =
  'check the clocks; if they are right, run "kubeadm certs renew all" on the control plane and restart its static pods';
const UNTRUSTED_HINT =
  'fetch the kubeconfig again, and reach the API by an address that its certificate names';

function canRepeat({method}: HttpRequest, kind: 'refused' | 'broken'): boolean {
  return method !== 'POST' || kind === 'refused';
}

function unreachable(server: string, attempt: string, thrown: unknown): CodedError<KubeErrorCode> {
  const reason = causesOf(thrown).map(messageOf).at(-1) ?? messageOf(thrown);
  if (classifyFailure(thrown).kind === 'untrusted') {
    const isExpired = causesOf(thrown).some(each => 'code' in each && each.code === EXPIRED_CODE);
    const found = isExpired ? 'has a certificate that has expired' : 'is not the server the kubeconfig trusts'; // prettier-ignore
    return new CodedError('ERR_API_UNTRUSTED', `${attempt}: ${server} ${found}: ${reason}`, {
      hint: isExpired ? EXPIRED_HINT : UNTRUSTED_HINT,
      cause: thrown,
    });
  }
  return new CodedError('ERR_API_UNREACHABLE', `${attempt}: no answer from ${server}: ${reason}`, {
    hint: 'check that kube-apiserver runs on the control plane: crictl ps, or its container log',
    cause: thrown,
  });
}

function causesOf(thrown: unknown): readonly Error[] {
  const causes: Error[] = [];
  for (let at = thrown; at instanceof Error && causes.length < CAUSES_MAX; at = at.cause) {
    causes.push(at);
    // Of several addresses that were tried, the last says enough.
    const last: unknown = at instanceof AggregateError ? at.errors.at(-1) : undefined;
    if (last instanceof Error) causes.push(last);
  }
  return causes;
}

const CAUSES_MAX = 8;

/** Seconds only: the API sends no dates. */
function parseRetryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,3}$/.test(header) ? Number(header) * 1_000 : undefined;
}

async function readText(
  response: HttpResponse,
  options: SendOptions,
  server: string,
): Promise<string> {
  const {maxBytes = RESPONSE_BYTES_MAX} = options;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  await readChunks(response, {...options, server}, chunk => {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      throw new ApiResponseTooLargeError(options.attempt, `answer has more than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  });
  return Buffer.concat(chunks).toString();
}

async function readChunks(
  {body}: HttpResponse,
  {signal, attempt, server}: SendOptions & {readonly server: string},
  onChunk: (chunk: Uint8Array) => void,
): Promise<void> {
  try {
    for await (const chunk of body) onChunk(chunk);
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    throw thrown instanceof CodedError ? thrown : unreachable(server, attempt, thrown);
  }
}

async function* readLines(
  {body}: HttpResponse,
  {signal, attempt}: SendOptions,
  server: string,
): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of body) {
      const lines = (rest + decoder.decode(chunk, {stream: true})).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LINE_LENGTH_MAX) {
        const what = `answer has a line of more than ${LINE_LENGTH_MAX} characters`;
        throw new ApiResponseTooLargeError(attempt, what);
      }
      yield* lines;
    }
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    throw thrown instanceof CodedError ? thrown : unreachable(server, attempt, thrown);
  }
  if (rest !== '') yield rest;
}

function parseJson(text: string, attempt: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const found = JSON.stringify(text.slice(0, 80));
    throw new CodedError('ERR_API_RESPONSE_INVALID', `${attempt}: ${found} is not JSON`, {
      hint: 'check that the address is a Kubernetes API and not a proxy or another service',
      cause,
    });
  }
}
