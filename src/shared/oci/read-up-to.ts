import type {Readable} from 'node:stream';

/**
 * The whole of a stream, or undefined when it is longer.
 *
 * @throws what the stream breaks with; the signal's reason. The stream is destroyed then.
 */
export async function readUpTo(
  stream: Readable,
  bytesMax: number,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  const abort = () => stream.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort, {once: true});
  try {
    signal.throwIfAborted();
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      sizeBytes += chunk.length;
      if (sizeBytes > bytesMax) return undefined; // leaving the loop destroys the stream
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
