import {createReadStream, createWriteStream} from 'node:fs';
import {mkdir, open, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable, Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip, createZstdDecompress} from 'node:zlib';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../../errors.ts';
import {archiveInvalid} from './archive-invalid.ts';

/** An archive that can be read at any place. */
export interface SpooledArchive extends AsyncDisposable {
  readonly path: string;
}

export type ArchiveSource = string | AsyncIterable<Uint8Array>;

/** As the largest image; what does not fit on the disk ends earlier. */
const ARCHIVE_BYTES_MAX = 256 * 1024 ** 3;
const MAGIC_BYTES = 4;
const CHUNK_BYTES = 1024 * 1024;

/**
 * Makes an archive readable at any place: a plain file is taken as it is; a compressed one, or a
 * stream, is written to a file in `directory` that is gone after use.
 *
 * @throws CodedError ERR_ARCHIVE_INVALID, ERR_DISK_FULL; the signal's reason
 */
export async function spoolArchive(
  source: ArchiveSource,
  {directory, id}: {readonly directory: string; readonly id: string},
  signal: AbortSignal,
): Promise<SpooledArchive> {
  if (typeof source === 'string' && compressionOf(await startOf(source)) === 'none') {
    return {path: source, [Symbol.asyncDispose]: async () => Promise.resolve()};
  }
  const path = join(directory, `${id}.tar`);
  const dispose = async () => rm(path, {force: true});
  try {
    await mkdir(directory, {recursive: true, mode: 0o700});
    await spool(source, path, signal);
    return {path, [Symbol.asyncDispose]: dispose};
  } catch (error) {
    await dispose();
    signal.throwIfAborted();
    throw spoolError(error);
  }
}

async function spool(source: ArchiveSource, path: string, signal: AbortSignal): Promise<void> {
  const bytes = typeof source === 'string' ? createReadStream(source) : source;
  const {start, all} = await peek(bytes);
  const compression = compressionOf(start);
  const target = createWriteStream(path, {mode: 0o600, flags: 'wx'});
  const stages = compression === 'none' ? [] : [decompressor(compression)];
  await pipeline([Readable.from(all, {objectMode: false}), ...stages, limit(), target], {signal});
}

function decompressor(compression: 'gzip' | 'zstd'): Transform {
  const options = {chunkSize: CHUNK_BYTES};
  return compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
}

function limit(): Transform {
  let leftBytes = ARCHIVE_BYTES_MAX;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      leftBytes -= chunk.length;
      if (leftBytes >= 0) done(null, chunk);
      else done(archiveInvalid(`it is larger than ${ARCHIVE_BYTES_MAX} bytes`));
    },
  });
}

function compressionOf(start: Uint8Array): 'gzip' | 'zstd' | 'none' {
  const hex = Buffer.from(start).toString('hex');
  if (hex.startsWith('1f8b')) return 'gzip';
  return hex.startsWith('28b52ffd') ? 'zstd' : 'none';
}

async function startOf(path: string): Promise<Uint8Array> {
  try {
    await using file = await open(path, 'r');
    const {buffer, bytesRead} = await file.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw archiveInvalid(messageOf(error), error);
  }
}

/** The first bytes of a stream, and all of it again. */
async function peek(
  source: AsyncIterable<Uint8Array>,
): Promise<{readonly start: Uint8Array; readonly all: AsyncIterable<Uint8Array>}> {
  const iterator = source[Symbol.asyncIterator]();
  let start: Uint8Array = Buffer.alloc(0);
  let isDone = false;
  while (start.length < MAGIC_BYTES && !isDone) {
    const next = await iterator.next();
    if (next.done === true) isDone = true;
    else start = Buffer.concat([start, next.value]);
  }
  async function* all() {
    try {
      yield start;
      while (!isDone) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return {start, all: all()};
}

function spoolError(error: unknown): unknown {
  if (isErrno(error, 'ENOSPC') || isErrno(error, 'EDQUOT')) {
    return new CodedError<RuntimeErrorCode>('ERR_DISK_FULL', 'no room for the archive', {
      hint: 'free some space below the root folder of images',
      cause: error,
    });
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const isCompression = /^Z_|^ZSTD_|^ERR_ZSTD|^ERR_ZLIB/.test(code);
  return isCompression
    ? archiveInvalid(`it cannot be decompressed: ${messageOf(error)}`, error)
    : error;
}
