/** Finds the end of one script's output in a byte stream, wherever the chunks are cut. */
export class FrameReader {
  readonly #mark: Buffer;
  #held: Buffer = Buffer.alloc(0);

  /** @param nonce hex digits that no output can contain by chance */
  constructor(nonce: string) {
    this.#mark = Buffer.from(`${nonce} `);
  }

  /**
   * Takes the next bytes and gives back those that certainly belong to the output.
   * `end` is set once the mark `NONCE STATUS\n` has been seen whole.
   */
  read(chunk: Buffer): FramePart {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    for (let from = 0; ;) {
      const at = bytes.indexOf(this.#mark, from);
      if (at === -1) return this.#hold(bytes, bytes.length - tailLength(bytes, this.#mark));
      const found = parseStatus(bytes, at + this.#mark.length);
      if (found === 'incomplete') return this.#hold(bytes, at);
      if (found === 'no-status') from = at + 1;
      else return {output: bytes.subarray(0, at), end: found};
    }
  }

  #hold(bytes: Buffer, at: number): FramePart {
    this.#held = Buffer.from(bytes.subarray(at));
    return {output: bytes.subarray(0, at), end: undefined};
  }
}

export interface FramePart {
  readonly output: Buffer;
  readonly end: {readonly status: number} | undefined;
}

const STATUS_LENGTH_MAX = 10; // an exit code, or the loop's process id
const NEWLINE = 0x0a;

function parseStatus(bytes: Buffer, from: number): {status: number} | 'incomplete' | 'no-status' {
  const text = bytes.subarray(from, from + STATUS_LENGTH_MAX + 1);
  const length = text.indexOf(NEWLINE);
  const digits = text.toString('latin1', 0, length === -1 ? text.length : length);
  if (length === -1 && text.length <= STATUS_LENGTH_MAX && /^\d*$/.test(digits)) {
    return 'incomplete';
  }
  return length > 0 && /^\d+$/.test(digits) ? {status: Number(digits)} : 'no-status';
}

/** How many of the last bytes could be the beginning of the mark. */
function tailLength(bytes: Buffer, mark: Buffer): number {
  for (let length = Math.min(mark.length - 1, bytes.length); length > 0; length--) {
    if (bytes.subarray(bytes.length - length).equals(mark.subarray(0, length))) return length;
  }
  return 0;
}

/** Collects the output of one stream up to a limit, and hands out its lines as they get complete. */
export class OutputSink {
  readonly #reader: FrameReader;
  readonly #limitBytes: number;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #chunks: Buffer[] = [];
  #sizeBytes = 0;
  #line: Buffer[] = [];
  #status: number | undefined;

  constructor({nonce, limitBytes, onLine}: OutputSinkOptions) {
    this.#reader = new FrameReader(nonce);
    this.#limitBytes = limitBytes;
    this.#onLine = onLine;
  }

  /** The status in the end mark; `undefined` until it has arrived. */
  get status(): number | undefined {
    return this.#status;
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }

  /** @returns `too-large` once the limit is passed; from then on the stream is of no use */
  write(chunk: Buffer): 'ok' | 'too-large' {
    if (this.#status !== undefined) return 'ok'; // from something left in the background
    const {output, end} = this.#reader.read(chunk);
    this.#sizeBytes += output.length;
    if (this.#sizeBytes > this.#limitBytes) return 'too-large';
    if (output.length > 0) this.#chunks.push(output);
    if (this.#onLine) this.#emitLines(output, this.#onLine);
    this.#status = end?.status;
    return 'ok';
  }

  #emitLines(output: Buffer, onLine: (line: string) => void): void {
    let from = 0;
    for (let at = output.indexOf(NEWLINE); at !== -1; at = output.indexOf(NEWLINE, from)) {
      onLine(Buffer.concat([...this.#line, output.subarray(from, at)]).toString('utf8'));
      this.#line = [];
      from = at + 1;
    }
    if (from < output.length) this.#line.push(output.subarray(from));
  }
}

export interface OutputSinkOptions {
  readonly nonce: string;
  readonly limitBytes: number;
  readonly onLine: ((line: string) => void) | undefined;
}
