import type {DescService} from '@bufbuild/protobuf';
import {CodedError} from '#shared/errors';
import {ImageService, RuntimeService} from '#runtime/cri/gen/cri-v1_pb';
import type {
  ImageServiceHandlers,
  RuntimeServiceHandlers,
  ServiceHandlers,
} from '#runtime/cri/handlers';

/** Handlers of the runtime service; those that a test does not give refuse with UNIMPLEMENTED. */
export const someRuntimeHandlers = (given: Partial<RuntimeServiceHandlers>) =>
  handlersOf(RuntimeService, given);

/** Handlers of the image service; those that a test does not give refuse with UNIMPLEMENTED. */
export const someImageHandlers = (given: Partial<ImageServiceHandlers>) =>
  handlersOf(ImageService, given);

function handlersOf<Service extends DescService>(
  service: Service,
  given: Partial<ServiceHandlers<Service>>,
): ServiceHandlers<Service> {
  const refuse = ({name, methodKind}: {name: string; methodKind: string}) => {
    const error = new CodedError('ERR_NOT_IMPLEMENTED', name, {hint: 'give the test a handler'});
    return methodKind === 'server_streaming'
      ? () => {
          throw error;
        }
      : () => Promise.reject(error);
  };
  return {
    ...Object.fromEntries(service.methods.map(method => [method.localName, refuse(method)])),
    ...given,
  } as ServiceHandlers<Service>;
}
