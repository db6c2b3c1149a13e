import type {DescMethod, DescService, MessageInitShape, MessageShape} from '@bufbuild/protobuf';
import type {ImageService, RuntimeService} from './gen/cri-v1_pb.ts';
import type {Images} from './gen/images-v1_pb.ts';

/** What a handler knows about its call beside the request. */
export interface CallContext {
  /**
   * Aborted when the caller goes away or its deadline passes; the reason is a CodedError
   * (ERR_REQUEST_CANCELLED, ERR_DEADLINE_EXCEEDED).
   */
  readonly signal: AbortSignal;
  /** undefined: the caller waits for ever. */
  readonly deadline: Date | undefined;
}

/**
 * How one RPC is answered. A response may be a plain object: absent fields get proto3's zero values.
 * A thrown CodedError becomes the status of its code (`instrument.ts`), anything else INTERNAL.
 */
export type Handler<Method extends DescMethod> = Method['methodKind'] extends 'unary'
  ? (
      request: MessageShape<Method['input']>,
      context: CallContext,
    ) => Promise<MessageInitShape<Method['output']>>
  : Method['methodKind'] extends 'server_streaming'
    ? (
        request: MessageShape<Method['input']>,
        context: CallContext,
      ) => AsyncIterable<MessageInitShape<Method['output']>>
    : (
        requests: AsyncIterable<MessageShape<Method['input']>>,
        context: CallContext,
      ) => Promise<MessageInitShape<Method['output']>>;

/** One handler per RPC of a service; a missing one does not compile. */
export type ServiceHandlers<Service extends DescService> = {
  readonly [Name in keyof Service['method']]: Handler<Service['method'][Name]>;
};

/** CRI v1 `runtime.v1.RuntimeService`. */
export type RuntimeServiceHandlers = ServiceHandlers<typeof RuntimeService>;
/** CRI v1 `runtime.v1.ImageService`. */
export type ImageServiceHandlers = ServiceHandlers<typeof ImageService>;
/** Our own `slipway.runtime.v1.Images`: what CRI has no RPC for. */
export type ImagesHandlers = ServiceHandlers<typeof Images>;
