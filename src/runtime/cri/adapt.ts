import {once} from 'node:events';
import type {DescMethod, DescService} from '@bufbuild/protobuf';
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  sendUnaryData,
  ServerUnaryCall,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {MalformedRequest} from './definition.ts';
import type {CallContext, ServiceHandlers} from './handlers.ts';
import type {Instrument} from './instrument.ts';

/** Handlers without their types: grpc-js has checked the kind of the method. */
type PlainUnary = (request: object, context: CallContext) => Promise<object>;
type PlainServerStream = (request: object, context: CallContext) => AsyncIterable<object>;
type PlainClientStream = (requests: AsyncIterable<object>, context: CallContext) => Promise<object>;

/** The handlers of a service in the form that grpc-js calls, by the method's name in `Service`. */
export function adaptHandlers<Service extends DescService>(
  service: Service,
  handlers: ServiceHandlers<Service>,
  instrument: Instrument,
): Readonly<Record<string, UntypedHandleCall>> {
  const byName: Readonly<Record<string, unknown>> = handlers;
  return Object.fromEntries(
    service.methods.map(method => [
      method.localName,
      adaptHandler(method, byName[method.localName], instrument),
    ]),
  );
}

function adaptHandler(
  method: DescMethod,
  handler: unknown,
  instrument: Instrument,
): UntypedHandleCall {
  switch (method.methodKind) {
    case 'unary':
      return adaptUnary(method.name, handler as PlainUnary, instrument);
    case 'server_streaming':
      return adaptServerStream(method.name, handler as PlainServerStream, instrument);
    case 'client_streaming':
      return adaptClientStream(method.name, handler as PlainClientStream, instrument);
    default:
      throw new TypeError(`${method.name} streams both ways, which no API of ours does`);
  }
}

function adaptUnary(
  name: string,
  handler: PlainUnary,
  instrument: Instrument,
): handleUnaryCall<object, object> {
  return (call, respond) => {
    void answer({name, call, respond, instrument}, context =>
      handler(checked(name, call.request), context),
    );
  };
}

function adaptClientStream(
  name: string,
  handler: PlainClientStream,
  instrument: Instrument,
): handleClientStreamingCall<object, object> {
  return (call, respond) => {
    void answer({name, call, respond, instrument}, context =>
      handler(checkedEach(name, call as AsyncIterable<object>), context),
    );
  };
}

async function answer(
  {
    name,
    call,
    respond,
    instrument,
  }: {
    readonly name: string;
    readonly call: CancellableCall;
    readonly respond: sendUnaryData<object>;
    readonly instrument: Instrument;
  },
  handle: (context: CallContext) => Promise<object>,
): Promise<void> {
  const end = instrument.begin(name);
  const {context, settle} = openContext(name, call);
  try {
    const response = await handle(context);
    settle();
    end();
    respond(null, response);
  } catch (thrown) {
    settle();
    respond(end(reasonOf(thrown, context.signal)) ?? null);
  }
}

function adaptServerStream(
  name: string,
  handler: PlainServerStream,
  instrument: Instrument,
): handleServerStreamingCall<object, object> {
  return call => {
    void stream();
    async function stream(): Promise<void> {
      const end = instrument.begin(name);
      const {context, settle} = openContext(name, call);
      try {
        for await (const response of handler(checked(name, call.request), context)) {
          if (!call.write(response)) await once(call, 'drain', {signal: context.signal});
        }
        settle();
        end();
        call.end();
      } catch (thrown) {
        settle();
        // grpc-js takes the status from an object like an error, and sends it after what was written
        call.emit('error', end(reasonOf(thrown, context.signal)));
      }
    }
  };
}

/** @throws CodedError ERR_REQUEST_INVALID for bytes that are no message */
function checked(name: string, request: object): object {
  if (!(request instanceof MalformedRequest)) return request;
  throw new CodedError<RuntimeErrorCode>(
    'ERR_REQUEST_INVALID',
    `${name}: the request cannot be decoded: ${request.reason}`,
    {hint: 'use a client of CRI v1'},
  );
}

async function* checkedEach(name: string, requests: AsyncIterable<object>): AsyncGenerator<object> {
  for await (const request of requests) yield checked(name, request);
}

type CancellableCall = Pick<ServerUnaryCall<object, object>, 'getDeadline' | 'cancelled'> & {
  on: (event: 'cancelled', listener: () => void) => unknown;
};

/** grpc-js says `cancelled` for every call, also long after its answer: `settle` tells them apart. */
function openContext(
  name: string,
  call: CancellableCall,
): {readonly context: CallContext; readonly settle: () => void} {
  const controller = new AbortController();
  const limit = call.getDeadline();
  const deadline = limit === Infinity ? undefined : new Date(limit);
  let settled = false;
  call.on('cancelled', () => {
    if (!settled) controller.abort(whyCancelled(name, deadline));
  });
  return {
    context: {signal: controller.signal, deadline},
    settle: () => {
      settled = true;
    },
  };
}

/** The caller gives up first, by the time its request took to arrive: within this it was the deadline. */
const DEADLINE_SLACK_MS = 250;

function whyCancelled(name: string, deadline: Date | undefined): CodedError<RuntimeErrorCode> {
  if (deadline !== undefined && deadline.getTime() - DEADLINE_SLACK_MS <= Date.now()) {
    return new CodedError('ERR_DEADLINE_EXCEEDED', `${name}: the caller's deadline has passed`, {
      hint: 'call again, allowing more time',
    });
  }
  return new CodedError('ERR_REQUEST_CANCELLED', `${name}: the caller went away`, {
    hint: 'call again',
  });
}

/** What an aborted wait throws says nothing; the signal's reason says why. */
function reasonOf(thrown: unknown, signal: AbortSignal): unknown {
  const isAbort = thrown instanceof Error && /^(?:AbortError|TimeoutError)$/.test(thrown.name);
  return signal.aborted && isAbort ? signal.reason : thrown;
}
