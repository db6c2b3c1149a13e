import type {DescService} from '@bufbuild/protobuf';
import {Server, ServerCredentials, type ServiceDefinition} from '@grpc/grpc-js';
import {adaptHandlers} from './adapt.ts';
import {clampTimeouts} from './clamp-timeouts.ts';
import {methodDefinition} from './definition.ts';
import {ImageService, RuntimeService} from './gen/cri-v1_pb.ts';
import {Images} from './gen/images-v1_pb.ts';
import type {
  ImageServiceHandlers,
  ImagesHandlers,
  RuntimeServiceHandlers,
  ServiceHandlers,
} from './handlers.ts';
import type {Instrument} from './instrument.ts';
import {listenUnix} from './listen.ts';

/**
 * No request of CRI is near it: the largest are pod and container configurations, which etcd limits
 * to 1.5 MiB. Import sends its archive in pieces.
 */
export const REQUEST_BYTES_MAX = 16 * 1024 * 1024;

/**
 * ExecSync answers with up to 16 MiB of each stream, and a list of every container of a large node
 * has several MiB. The kubelet takes 16 MiB, other CRI clients up to 80 MiB; ours is not the limit.
 */
export const RESPONSE_BYTES_MAX = 80 * 1024 * 1024;

export interface CriServer {
  /**
   * Stops taking calls and lets those in progress end.
   *
   * @param graceMs after it, what still runs is cancelled
   */
  readonly stop: (graceMs: number) => Promise<void>;
}

export interface CriServerOptions {
  /** A path; `unix://` belongs to configuration. */
  readonly socket: string;
  readonly runtimeService: RuntimeServiceHandlers;
  readonly imageService: ImageServiceHandlers;
  /** Our own RPCs on the same socket. */
  readonly images?: ImagesHandlers;
  readonly instrument: Instrument;
}

/**
 * Serves CRI v1 on a Unix socket.
 *
 * @throws CodedError ERR_SOCKET_IN_USE, ERR_SOCKET_PATH
 */
export async function startCriServer({
  socket,
  runtimeService,
  imageService,
  images,
  instrument,
}: CriServerOptions): Promise<CriServer> {
  const server = new Server({
    'grpc.max_receive_message_length': REQUEST_BYTES_MAX,
    'grpc.max_send_message_length': RESPONSE_BYTES_MAX,
    'grpc.enable_channelz': 0,
  });
  addService(server, {service: RuntimeService, handlers: runtimeService, instrument});
  addService(server, {service: ImageService, handlers: imageService, instrument});
  if (images !== undefined) addService(server, {service: Images, handlers: images, instrument});
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const unclamp = clampTimeouts();
  const listener = await listenUnix(socket, connection => {
    connection.on('error', () => undefined); // the session above hears of it too, and ends its calls
    injector.injectConnection(connection);
  });
  return {
    stop: async graceMs => {
      listener.close(); // takes the socket's file away too
      await shutDown(server, injector, graceMs);
      unclamp();
    },
  };
}

function addService<Service extends DescService>(
  server: Server,
  {
    service,
    handlers,
    instrument,
  }: {
    readonly service: Service;
    readonly handlers: ServiceHandlers<Service>;
    readonly instrument: Instrument;
  },
): void {
  const definition: ServiceDefinition = Object.fromEntries(
    service.methods.map(method => [method.localName, methodDefinition(method)]),
  );
  server.addService(definition, adaptHandlers(service, handlers, instrument));
}

async function shutDown(
  server: Server,
  injector: ConnectionInjector,
  graceMs: number,
): Promise<void> {
  const ended = new Promise<void>(resolve => {
    server.tryShutdown(() => {
      resolve();
    });
  });
  // After tryShutdown(), which would not wait for connections that are closing already. (Its own
  // forceShutdown() leaves connections alone that grpc-js did not accept itself.)
  injector.drain(graceMs);
  await ended;
}

type ConnectionInjector = ReturnType<Server['createConnectionInjector']>;
