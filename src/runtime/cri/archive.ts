import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {ImportRequest} from './gen/images-v1_pb.ts';

/** What an Import call carries: names for the images, and the archive in pieces. */
export interface ArchiveUpload {
  /** Names to give to the images instead of those in the archive; none: those. */
  readonly names: readonly string[];
  readonly data: AsyncIterable<Uint8Array>;
}

/**
 * Reads an Import call. `data` fails if the caller breaks off: grpc-js ends a broken stream as if it
 * were whole, so the last message has to say that it is the last.
 */
export async function receiveArchive(
  requests: AsyncIterable<ImportRequest>,
): Promise<ArchiveUpload> {
  const iterator = requests[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) throw brokenOff();
  return {names: first.value.names, data: pieces(first.value, iterator)};
}

async function* pieces(
  first: ImportRequest,
  rest: AsyncIterator<ImportRequest>,
): AsyncGenerator<Uint8Array> {
  try {
    for (let request = first; ;) {
      if (request.data.length > 0) yield request.data;
      if (request.complete) return;
      const next = await rest.next();
      if (next.done === true) throw brokenOff();
      request = next.value;
    }
  } finally {
    await rest.return?.();
  }
}

function brokenOff(): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REQUEST_CANCELLED', 'the archive broke off before its end', {
    hint: 'send the archive again',
  });
}

/** Large enough to cost little per message, small enough to be many in flight. */
const PIECE_BYTES_MAX = 256 * 1024;

/** The messages of an Import call. */
export async function* sendArchive(
  names: readonly string[],
  data: AsyncIterable<Uint8Array>,
): AsyncGenerator<{names?: string[]; data?: Uint8Array; complete?: boolean}> {
  yield {names: [...names]};
  for await (const bytes of data) {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES_MAX) {
      yield {data: bytes.subarray(at, at + PIECE_BYTES_MAX)};
    }
  }
  yield {complete: true};
}
