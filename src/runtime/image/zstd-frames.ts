const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a5; // the low four bits are free (RFC 8878 §3.1.2)
const FRAME_HEADER_BYTES_MAX = 18;
const CHECKSUM_BYTES = 4;
const BLOCK_HEADER_BYTES = 3;
const RUN_OF_ONE_BYTE = 1;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];

/** Whether bytes begin like a zstd frame, skippable ones included. */
export function isZstd(start: Buffer): boolean {
  const magic = start.length >= 4 ? start.readUInt32LE(0) : 0;
  return magic === MAGIC || magic >>> 4 === SKIPPABLE_MAGIC;
}

/**
 * Cuts a zstd stream at the ends of its frames (RFC 8878 §3.1). Node's decompressor loses what
 * follows a frame in the same write, and layers that can be read at random (zstd:chunked) have
 * thousands of frames. What is no zstd is handed on as it is.
 */
export class ZstdFrames {
  readonly #head = Buffer.alloc(FRAME_HEADER_BYTES_MAX);
  #headLength = 0;
  #part: 'frame' | 'block' = 'frame';
  #hasChecksum = false;
  /** Bytes until the next header. */
  #left = 0;
  #isLast = false;

  /** The piece in parts, each within one frame. */
  *split(piece: Buffer): Generator<Buffer, void, undefined> {
    let start = 0;
    for (let at = 0; at < piece.length;) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, piece.length - at);
        this.#left -= step;
        at += step;
      } else {
        this.#head[this.#headLength++] = piece[at++] ?? 0;
        if (this.#part === 'frame') this.#frameHeader();
        else if (this.#headLength === BLOCK_HEADER_BYTES) this.#blockHeader();
      }
      if (this.#isLast && this.#left === 0) {
        this.#isLast = false;
        this.#part = 'frame';
        yield piece.subarray(start, at);
        start = at;
      }
    }
    if (start < piece.length) yield piece.subarray(start);
  }

  #frameHeader(): void {
    if (this.#headLength < 5) return;
    const magic = this.#head.readUInt32LE(0);
    if (magic >>> 4 === SKIPPABLE_MAGIC) {
      if (this.#headLength < 8) return;
      this.#expect(this.#head.readUInt32LE(4));
      this.#isLast = true;
    } else if (magic === MAGIC) {
      const descriptor = this.#head[4] ?? 0;
      const isSingle = (descriptor & 0x20) !== 0;
      const sizeFlag = descriptor >>> 6;
      const sizeBytes = sizeFlag === 0 ? Number(isSingle) : 1 << sizeFlag;
      this.#hasChecksum = (descriptor & 0x04) !== 0;
      this.#part = 'block';
      this.#expect(Number(!isSingle) + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) + sizeBytes);
    } else {
      this.#expect(Infinity);
    }
  }

  #blockHeader(): void {
    const header = this.#head.readUIntLE(0, BLOCK_HEADER_BYTES);
    const isRun = ((header >>> 1) & 3) === RUN_OF_ONE_BYTE;
    this.#isLast = (header & 1) !== 0;
    const checksumBytes = this.#isLast && this.#hasChecksum ? CHECKSUM_BYTES : 0;
    this.#expect((isRun ? 1 : header >>> 3) + checksumBytes);
  }

  #expect(bytes: number): void {
    this.#headLength = 0;
    this.#left = bytes;
  }
}
