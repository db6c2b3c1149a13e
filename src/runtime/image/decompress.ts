import {PassThrough, type Transform} from 'node:stream';
import {constants, createGunzip, createZstdDecompress} from 'node:zlib';
import {layerInvalid} from './layer-invalid.ts';
import {isZstd, ZstdFrames} from './zstd-frames.ts';

const MAGIC_BYTES = 4;

// A large output chunk halves the cost of inflating (measured: 180 → 260 MB/s), and room for a few
// of them lets the decompressor's thread run ahead of the unpacker.
const CHUNK_BYTES = 1024 * 1024;
const READ_AHEAD_BYTES = 3 * CHUNK_BYTES;
/** 128 MiB: what `zstd --long=27` writes and every decoder accepts without being asked. */
const ZSTD_WINDOW_LOG_MAX = 27;

const GZIP_MAGIC = 0x8b1f;

/**
 * Turns a layer's bytes into a tar archive, with back-pressure. The first bytes tell the
 * compression (RFC 1952, RFC 8878), as media types in the wild do not always.
 */
export class Decompression {
  readonly #take: (piece: Buffer) => void;
  #start = Buffer.alloc(0);
  #stream: Transform | undefined;
  #frames: ZstdFrames | undefined;
  #failure: unknown;
  #isEnded = false;
  #wake: () => void = () => undefined;

  /** @param take gets the archive's pieces; what it throws ends everything and is thrown again */
  constructor(take: (piece: Buffer) => void) {
    this.#take = take;
  }

  /** @throws CodedError ERR_LAYER_INVALID; what `take` throws */
  async write(piece: Buffer): Promise<void> {
    this.#check();
    if (this.#stream === undefined) {
      this.#start = Buffer.concat([this.#start, piece]);
      if (this.#start.length < MAGIC_BYTES) return;
      await this.#feed(this.#open(), this.#start);
    } else {
      await this.#feed(this.#stream, piece);
    }
  }

  /** Resolves once everything was taken. @throws like `write` */
  async end(): Promise<void> {
    this.#check();
    const isShort = this.#stream === undefined;
    const stream = this.#open();
    if (isShort) stream.end(this.#start);
    else stream.end();
    while (!this.#isEnded) await this.#change();
  }

  #open(): Transform {
    if (this.#stream !== undefined) return this.#stream;
    const stream = streamFor(this.#start);
    this.#stream = stream;
    if (isZstd(this.#start)) this.#frames = new ZstdFrames();
    stream.on('data', (piece: Buffer) => {
      this.#hand(stream, piece);
    });
    stream.on('drain', () => {
      this.#wake();
    });
    stream.on('end', () => {
      this.#isEnded = true;
      this.#wake();
    });
    stream.on('error', error => {
      this.#failure ??= layerInvalid(`it cannot be decompressed: ${error.message}`, error);
      this.#wake();
    });
    return stream;
  }

  #hand(stream: Transform, piece: Buffer): void {
    if (this.#failure !== undefined) return;
    try {
      this.#take(piece);
    } catch (error) {
      this.#failure = error;
      stream.destroy();
      this.#wake();
    }
  }

  async #feed(stream: Transform, piece: Buffer): Promise<void> {
    for (const part of this.#frames?.split(piece) ?? [piece]) {
      if (!stream.write(part)) await this.#change();
    }
  }

  /** The stream drained, ended or failed. */
  async #change(): Promise<void> {
    this.#check();
    await new Promise<void>(resolve => {
      this.#wake = resolve;
    });
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure as Error;
  }
}

function streamFor(start: Buffer): Transform {
  const options = {
    chunkSize: CHUNK_BYTES,
    readableHighWaterMark: READ_AHEAD_BYTES,
    writableHighWaterMark: CHUNK_BYTES,
  };
  if (start.length >= 2 && start.readUInt16LE(0) === GZIP_MAGIC) return createGunzip(options);
  if (isZstd(start)) {
    const params = {[constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX};
    return createZstdDecompress({...options, params});
  }
  return new PassThrough({highWaterMark: CHUNK_BYTES});
}
