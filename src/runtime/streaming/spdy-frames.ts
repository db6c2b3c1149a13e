/** Types of control frames (SPDY/3 §2.6). */
export const frameTypes = {
  SYN_STREAM: 1,
  SYN_REPLY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  HEADERS: 8,
  WINDOW_UPDATE: 9,
} as const;

/** Status of RST_STREAM (§2.6.3). */
export const resetStatus = {PROTOCOL_ERROR: 1, REFUSED_STREAM: 3, CANCEL: 5} as const;

export const FLAG_FIN = 1;

export type SpdyFrame =
  | {
      readonly kind: 'data';
      readonly streamId: number;
      readonly flags: number;
      readonly body: Buffer;
    }
  | {
      readonly kind: 'control';
      readonly type: number;
      readonly flags: number;
      readonly body: Buffer;
    };

const HEADER_BYTES = 8;
const FRAME_BYTES_MAX = 4 * 1024 * 1024;
const VERSION = 3;
const CONTROL_BIT = 0x80;
const STREAM_ID_MASK = 0x7fffffff;

/** Cuts a byte stream into frames. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** @throws Error for another version, or a frame above 4 MiB */
  *push(chunk: Buffer): Generator<SpdyFrame> {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= HEADER_BYTES) {
      const header = this.#peekHeader();
      const length = header.readUIntBE(5, 3);
      if (length > FRAME_BYTES_MAX) throw new Error(`a frame of ${length} bytes`);
      if (this.#bytes < HEADER_BYTES + length) return;
      const frame = this.#take(HEADER_BYTES + length);
      yield parseFrame(frame);
    }
  }

  #peekHeader(): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= HEADER_BYTES) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  #take(length: number): Buffer {
    const [first] = this.#chunks;
    const all = first !== undefined && first.length >= length ? first : Buffer.concat(this.#chunks);
    const rest = all.subarray(length);
    const others = all === first ? this.#chunks.slice(1) : [];
    this.#chunks = rest.length === 0 ? others : [rest, ...others];
    this.#bytes -= length;
    return all.subarray(0, length);
  }
}

function parseFrame(frame: Buffer): SpdyFrame {
  const flags = frame.readUInt8(4);
  const body = frame.subarray(HEADER_BYTES);
  const first = frame.readUInt8(0);
  if ((first & CONTROL_BIT) === 0)
    return {kind: 'data', streamId: frame.readUInt32BE(0), flags, body};
  const version = frame.readUInt16BE(0) & 0x7fff;
  if (version !== VERSION) throw new Error(`SPDY version ${version}, expected ${VERSION}`);
  return {kind: 'control', type: frame.readUInt16BE(2), flags, body};
}

/** The eight bytes before the payload of a DATA frame. */
export function dataHeader(streamId: number, length: number, flags: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(streamId);
  header.writeUInt8(flags, 4);
  header.writeUIntBE(length, 5, 3);
  return header;
}

/** A whole control frame. */
export function controlFrame(type: number, body: Uint8Array, flags = 0): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE((CONTROL_BIT << 8) | VERSION);
  header.writeUInt16BE(type, 2);
  header.writeUInt8(flags, 4);
  header.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([header, body]);
}

/** The stream that a control frame's body begins with. */
export const streamIdOf = (body: Buffer): number => body.readUInt32BE(0) & STREAM_ID_MASK;

/** Numbers as the bytes of a body. */
export function words(...values: readonly number[]): Buffer {
  const body = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => body.writeUInt32BE(value, index * 4));
  return body;
}
