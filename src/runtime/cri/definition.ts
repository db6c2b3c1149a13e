import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type Message,
} from '@bufbuild/protobuf';
import type {MethodDefinition} from '@grpc/grpc-js';
import {messageOf} from '#shared/errors';

/**
 * A method as grpc-js wants it. Requests of a client and responses of a server may be plain objects;
 * what arrives is always a whole message.
 */
export function methodDefinition(method: DescMethod): MethodDefinition<object, object> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: streamsRequests(method),
    responseStream: streamsResponses(method),
    requestSerialize: value => encode(method.input, value),
    requestDeserialize: bytes => decodeRequest(method, bytes),
    responseSerialize: value => encode(method.output, value),
    responseDeserialize: bytes => fromBinary(method.output, bytes),
  };
}

/** Takes the place of a request that is none, so that the handler's border can refuse it. */
export class MalformedRequest {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** grpc-js would answer INTERNAL, as if the defect were ours. */
function decodeRequest(method: DescMethod, bytes: Buffer): object {
  try {
    return fromBinary(method.input, bytes);
  } catch (error) {
    return new MalformedRequest(messageOf(error));
  }
}

function streamsRequests({methodKind}: DescMethod): boolean {
  return methodKind === 'client_streaming' || methodKind === 'bidi_streaming';
}

function streamsResponses({methodKind}: DescMethod): boolean {
  return methodKind === 'server_streaming' || methodKind === 'bidi_streaming';
}

/** grpc-js copies with Buffer's own `copy`, so a bare Uint8Array will not do. */
function encode(schema: DescMessage, value: object): Buffer {
  const bytes = toBinary(schema, create(schema, value as Message));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
