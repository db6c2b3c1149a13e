import type {DescMethod, DescService, MessageInitShape, MessageShape} from '@bufbuild/protobuf';
import {
  Client,
  credentials,
  status,
  type CallOptions,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import type {GrpcStatus} from '../errors.ts';
import {methodDefinition} from './definition.ts';
import {RESPONSE_BYTES_MAX} from './server.ts';

export interface CallLimits {
  readonly signal?: AbortSignal;
  /** Sent as the call's deadline; without it the call waits for ever. */
  readonly timeoutMs?: number;
}

/** What a call of this method looks like to its caller. */
export type Call<Method extends DescMethod> = Method['methodKind'] extends 'unary'
  ? (
      request: MessageInitShape<Method['input']>,
      limits?: CallLimits,
    ) => Promise<MessageShape<Method['output']>>
  : Method['methodKind'] extends 'server_streaming'
    ? (
        request: MessageInitShape<Method['input']>,
        limits?: CallLimits,
      ) => AsyncIterable<MessageShape<Method['output']>>
    : (
        requests: AsyncIterable<MessageInitShape<Method['input']>>,
        limits?: CallLimits,
      ) => Promise<MessageShape<Method['output']>>;

export type ServiceClient<Service extends DescService> = {
  readonly [Name in keyof Service['method']]: Call<Service['method'][Name]>;
};

/** A call that was answered with a status other than OK. */
export class RpcError extends Error {
  /** e.g. `PullImage` */
  readonly method: string;
  readonly code: GrpcStatus;
  /** The daemon's own code at the start of its message, e.g. `ERR_IMAGE_NOT_FOUND`. */
  readonly reason: string | undefined;

  constructor(method: string, error: ServiceError) {
    super(error.details, {cause: error});
    this.name = 'RpcError';
    this.method = method;
    this.code = status[error.code] as GrpcStatus;
    this.reason = /\bERR_[A-Z_]+/.exec(error.details)?.[0];
  }
}

export interface Channel {
  readonly service: <Service extends DescService>(service: Service) => ServiceClient<Service>;
  readonly close: () => void;
}

/** A connection to a CRI socket, made at the first call and again when it has broken. */
export function openChannel(socketPath: string): Channel {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': RESPONSE_BYTES_MAX,
    'grpc.enable_channelz': 0,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 500,
  });
  return {
    service: service =>
      Object.fromEntries(
        service.methods.map(method => [method.localName, callOf(client, method)]),
      ) as ServiceClient<typeof service>,
    close: () => {
      client.close();
    },
  };
}

function callOf(client: Client, method: DescMethod): unknown {
  switch (method.methodKind) {
    case 'unary':
      return (request: object, limits?: CallLimits) => callUnary({client, method, limits}, request);
    case 'server_streaming':
      return (request: object, limits?: CallLimits) =>
        callServerStream({client, method, limits}, request);
    default:
      return (requests: AsyncIterable<object>, limits?: CallLimits) =>
        callClientStream({client, method, limits}, requests);
  }
}

interface Place {
  readonly client: Client;
  readonly method: DescMethod;
  readonly limits: CallLimits | undefined;
}

function callUnary({client, method, limits = {}}: Place, request: object): Promise<object> {
  const {path, requestSerialize, responseDeserialize} = methodDefinition(method);
  return settle({method, limits}, respond =>
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      callOptions(limits),
      respond,
    ),
  );
}

function callClientStream(
  {client, method, limits = {}}: Place,
  requests: AsyncIterable<object>,
): Promise<object> {
  const {path, requestSerialize, responseDeserialize} = methodDefinition(method);
  return settle({method, limits}, (respond, fail) => {
    const call = client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      callOptions(limits),
      respond,
    );
    call.on('error', () => undefined); // `respond` gets the same error
    void send();
    async function send(): Promise<void> {
      try {
        for await (const request of requests) {
          if (call.destroyed) return;
          await new Promise<void>(resolve => {
            call.write(request, () => {
              resolve();
            });
          });
        }
        call.end();
      } catch (error) {
        fail(error); // the source broke, not the call
        call.cancel();
      }
    }
    return call;
  });
}

async function settle(
  {method, limits}: {readonly method: DescMethod; readonly limits: CallLimits},
  start: (
    respond: (error: ServiceError | null, response?: object) => void,
    fail: (reason: unknown) => void,
  ) => {cancel(): void},
): Promise<object> {
  limits.signal?.throwIfAborted();
  let abort: () => void = () => undefined;
  try {
    return await new Promise<object>((resolve, reject) => {
      const call = start((error, response) => {
        if (error !== null) reject(new RpcError(method.name, error));
        else resolve(response ?? {});
      }, reject);
      abort = () => {
        reject(limits.signal?.reason);
        call.cancel();
      };
      limits.signal?.addEventListener('abort', abort);
    });
  } finally {
    limits.signal?.removeEventListener('abort', abort);
  }
}

async function* callServerStream(
  {client, method, limits = {}}: Place,
  request: object,
): AsyncGenerator<object> {
  const {path, requestSerialize, responseDeserialize} = methodDefinition(method);
  limits.signal?.throwIfAborted();
  const call: ClientReadableStream<object> = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    callOptions(limits),
  );
  const abort = (): void => {
    call.cancel();
  };
  limits.signal?.addEventListener('abort', abort);
  try {
    yield* call as AsyncIterable<object>;
  } catch (error) {
    limits.signal?.throwIfAborted();
    throw new RpcError(method.name, error as ServiceError);
  } finally {
    limits.signal?.removeEventListener('abort', abort);
    call.cancel();
    call.on('error', () => undefined); // the cancellation of a stream that nobody reads
  }
}

function callOptions({timeoutMs}: CallLimits): CallOptions {
  return timeoutMs === undefined ? {} : {deadline: Date.now() + timeoutMs};
}
