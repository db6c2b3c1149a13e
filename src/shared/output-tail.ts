import {StringDecoder} from 'node:string_decoder';

const LINE_CHARACTERS_MAX = 64 * 1024; // a longer line is handed on in pieces

/** The last bytes of a stream of text, and its lines as they come. */
export class OutputTail {
  readonly #bytesMax: number;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #chunks: Buffer[] = [];
  #sizeBytes = 0;
  #line = '';

  /** @param onLine gets every line without its end; the last one when the stream ends */
  constructor(bytesMax: number, onLine: (line: string) => void) {
    this.#bytesMax = bytesMax;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes > 2 * this.#bytesMax) this.#chunks = [this.#tail()];
    this.#emitLines(this.#decoder.write(chunk));
  }

  /** Hands on what is left of a line, and returns the tail. */
  end(): string {
    this.#emitLines(this.#decoder.end());
    if (this.#line !== '') this.#onLine(this.#line);
    return this.#tail().toString('utf8');
  }

  #tail(): Buffer {
    const whole = Buffer.concat(this.#chunks);
    const tail = whole.subarray(Math.max(0, whole.length - this.#bytesMax));
    this.#sizeBytes = tail.length;
    return tail;
  }

  #emitLines(text: string): void {
    const lines = (this.#line + text).split(/\r?\n/);
    this.#line = lines.pop() ?? '';
    if (this.#line.length > LINE_CHARACTERS_MAX) {
      lines.push(this.#line);
      this.#line = '';
    }
    for (const line of lines) this.#onLine(line);
  }
}
