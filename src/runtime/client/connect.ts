import {openChannel, type ServiceClient} from '../cri/channel.ts';
import {ImageService, RuntimeService} from '../cri/gen/cri-v1_pb.ts';
import {Images} from '../cri/gen/images-v1_pb.ts';

/** A CRI client. Calls reject with an `RpcError`, whose `code` is the gRPC status, e.g. `NOT_FOUND`. */
export interface CriClient {
  readonly runtime: ServiceClient<typeof RuntimeService>;
  readonly image: ServiceClient<typeof ImageService>;
  /** slipway-cri's own RPCs; another runtime answers UNIMPLEMENTED. */
  readonly images: ServiceClient<typeof Images>;
  readonly close: () => void;
}

/**
 * Connects to a runtime, which need not be there yet.
 *
 * @param socketPath a path, without `unix://`
 */
export function connectCri(socketPath: string): CriClient {
  const channel = openChannel(socketPath);
  return {
    runtime: channel.service(RuntimeService),
    image: channel.service(ImageService),
    images: channel.service(Images),
    close: channel.close,
  };
}
