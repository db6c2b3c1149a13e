import type {Readable} from 'node:stream';

/** A job's line is some hundred bytes, and 127 lower layers at most. */
const LINE_BYTES_MAX = 1024 * 1024;
const LINE_END = 0x0a;

/** Reads lines, and runs of bytes of a known length, from one stream. */
export class InputReader {
  readonly #pieces: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The next line without its end; undefined at the end of the stream. */
  async line(): Promise<string | undefined> {
    let end = this.#rest.indexOf(LINE_END);
    while (end === -1) {
      if (this.#rest.length > LINE_BYTES_MAX) throw new Error('a line of the input is too long');
      const piece = await this.#next();
      if (piece === undefined) return undefined;
      this.#rest = Buffer.concat([this.#rest, piece]);
      end = this.#rest.indexOf(LINE_END);
    }
    const line = this.#rest.toString('utf8', 0, end);
    this.#rest = this.#rest.subarray(end + 1);
    return line;
  }

  /** The next `length` bytes, in pieces. @throws Error when the stream ends before */
  async *bytes(length: number): AsyncGenerator<Buffer, void, undefined> {
    let left = length;
    while (left > 0) {
      const piece = this.#rest.length > 0 ? this.#rest : await this.#next();
      if (piece === undefined) throw new Error('the input ends inside a layer');
      this.#rest = piece.subarray(left);
      const taken = piece.subarray(0, left);
      left -= taken.length;
      yield taken;
    }
  }

  async #next(): Promise<Buffer | undefined> {
    const result = await this.#pieces.next();
    return result.done === true ? undefined : result.value;
  }
}
