import {constants, deflateRawSync, inflateRawSync} from 'node:zlib';
import {SPDY_DICTIONARY_ADLER32, spdyDictionary} from './spdy-dictionary.ts';

/** Names in lower case; the values of a repeated name are one string, split by NUL. */
export type SpdyHeaders = ReadonlyMap<string, string>;

const WINDOW_BYTES = 32 * 1024; // zlib's largest, which every later block may refer back to
const HEADER_BYTES_MAX = 64 * 1024;
const HEADERS_MAX = 64;
const ZLIB_HEADER_BYTES = 6; // CMF, FLG and the dictionary's Adler-32
const ZLIB_WITH_DICTIONARY = 0x78bb;

/**
 * Reads the header blocks of one connection, which are one zlib stream cut at sync flushes
 * (SPDY/3 §2.6.10.1). Every block of the connection has to pass through here, in order.
 */
export class HeaderReader {
  #window = spdyDictionary;
  #isFirst = true;

  /** @throws Error for what is not a header block, or is larger than 64 KiB */
  read(block: Uint8Array): SpdyHeaders {
    const body = this.#isFirst ? withoutZlibHeader(block) : block;
    this.#isFirst = false;
    const text = inflateRawSync(body, {
      dictionary: this.#window,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: HEADER_BYTES_MAX,
    });
    this.#window = Buffer.concat([this.#window, text]).subarray(-WINDOW_BYTES);
    return parsePairs(text);
  }
}

/** Writes the header blocks of one connection; none refers to another, which zlib allows. */
export class HeaderWriter {
  #isFirst = true;

  write(headers: SpdyHeaders): Buffer {
    const parts = [uint32(headers.size)];
    for (const [name, value] of headers) {
      for (const text of [name, value]) {
        const bytes = Buffer.from(text);
        parts.push(uint32(bytes.length), bytes);
      }
    }
    const body = deflateRawSync(Buffer.concat(parts), {finishFlush: constants.Z_SYNC_FLUSH});
    if (!this.#isFirst) return body;
    this.#isFirst = false;
    const header = Buffer.alloc(ZLIB_HEADER_BYTES);
    header.writeUInt16BE(ZLIB_WITH_DICTIONARY);
    header.writeUInt32BE(SPDY_DICTIONARY_ADLER32, 2);
    return Buffer.concat([header, body]);
  }
}

function withoutZlibHeader(block: Uint8Array): Uint8Array {
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  const isOurs =
    bytes.length > ZLIB_HEADER_BYTES && bytes.readUInt32BE(2) === SPDY_DICTIONARY_ADLER32;
  if (!isOurs) throw new Error('the header block does not name the dictionary of SPDY/3');
  return bytes.subarray(ZLIB_HEADER_BYTES);
}

function parsePairs(bytes: Buffer): SpdyHeaders {
  let offset = 0;
  const number = () => {
    const value = bytes.readUInt32BE(offset);
    offset += 4;
    return value;
  };
  const text = () => {
    const length = number();
    if (length > bytes.length - offset) throw new Error('a header is longer than its block');
    offset += length;
    return bytes.toString('utf8', offset - length, offset);
  };
  const count = number();
  if (count > HEADERS_MAX) throw new Error(`${count} headers, at most ${HEADERS_MAX} are read`);
  const headers = new Map<string, string>();
  for (let index = 0; index < count; index += 1) headers.set(text().toLowerCase(), text());
  return headers;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
