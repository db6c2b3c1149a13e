import {createApiClient, type ApiClient} from '#certificates/kube/client';
import type {HttpRequest, HttpResponse} from '#shared/kube/transport';
import {describeRequest, type ApiRequest} from './api-request.ts';

/** What a request of a test is answered with. */
export type Answer =
  | {readonly status?: number; readonly json: unknown}
  /** A watch that the test feeds. */
  | LineStream
  /** Nobody answers. */
  | Error;

export interface ScriptedRequest extends ApiRequest {
  readonly accept: string | undefined;
  readonly body: unknown;
}

export interface ScriptedApi {
  readonly client: ApiClient;
  readonly requests: readonly ScriptedRequest[];
  /** `verb resource` of each. */
  readonly asked: () => readonly string[];
}

/** A client whose requests a test answers; nothing is repeated. */
export function createScriptedApi(
  respond: (
    request: ScriptedRequest,
    options: {readonly signal: AbortSignal},
  ) => Answer | Promise<Answer>,
): ScriptedApi {
  const requests: ScriptedRequest[] = [];
  const transport = {
    server: 'https://api.test',
    async send(request: HttpRequest, options: {signal: AbortSignal}): Promise<HttpResponse> {
      const described = describe(request);
      requests.push(described);
      return toResponse(await respond(described, options), options.signal);
    },
  };
  return {
    client: createApiClient({
      requests: transport,
      watches: transport,
      close: () => Promise.resolve(),
      retryTimeoutMs: 0,
    }),
    requests,
    asked: () => requests.map(({verb, resource}) => `${verb} ${resource}`),
  };
}

/** Lines that a test writes while somebody reads them. */
export class LineStream {
  readonly #chunks: Uint8Array[] = [];
  #ended: Error | 'well' | undefined;
  #wake: (() => void) | undefined;
  /** Set once the reader has gone away. */
  left = false;

  event(type: string, object: unknown): void {
    this.#chunks.push(Buffer.from(`${JSON.stringify({type, object})}\n`));
    this.#wake?.();
  }

  /** Ends in good order, or with a failure. */
  end(failure?: Error): void {
    this.#ended = failure ?? 'well';
    this.#wake?.();
  }

  async *read(signal: AbortSignal): AsyncIterable<Uint8Array> {
    const onAbort = (): void => {
      this.end(signal.reason as Error);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, {once: true});
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) yield chunk;
        else if (this.#ended === 'well') return;
        else if (this.#ended !== undefined) throw this.#ended;
        else await new Promise<void>(resolve => (this.#wake = resolve));
      }
    } finally {
      this.left = true;
      signal.removeEventListener('abort', onAbort);
    }
  }
}

/** meta/v1 Status, as the API refuses. */
export function refusal(code: number, reason: string, message = reason): Answer {
  return {status: code, json: {kind: 'Status', status: 'Failure', code, reason, message}};
}

function describe({method, path, accept, body}: HttpRequest): ScriptedRequest {
  const headers = {'content-type': body?.contentType};
  const described = describeRequest(method, path, headers);
  const text = body?.text;
  return {...described, accept, body: text === undefined ? undefined : JSON.parse(text)};
}

function toResponse(answer: Answer, signal: AbortSignal): HttpResponse {
  if (answer instanceof Error) throw answer;
  if (answer instanceof LineStream) return {status: 200, headers: {}, body: answer.read(signal)};
  return {status: answer.status ?? 200, headers: {}, body: once(JSON.stringify(answer.json))};
}

// eslint-disable-next-line @typescript-eslint/require-await -- one chunk has nothing to await
async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}
