import type {Options} from './arguments.ts';
import type {Output} from './output.ts';

/** `2026-11-22T07:00:00.000000000Z stdout F text`: CRI's log format; P marks a line that goes on. */
const LINE = /^(\S+) (stdout|stderr) ([^ ]*) (.*)$/s;

/** A line without an end would be kept for ever. conmon cuts them at 8 KiB. */
const PENDING_BYTES_MAX = 1024 * 1024;

/** Turns a log in CRI's format into what the container wrote, stdout and stderr apart. */
export class LogPrinter {
  readonly #output: Output;
  readonly #timestamps: boolean;
  /** The last lines while the log is read for the first time; undefined: print at once. */
  #tail: string[] | undefined;
  readonly #tailMax: number;
  #pending: Buffer = Buffer.alloc(0);

  constructor(output: Output, {tail, timestamps}: Pick<Options, 'tail' | 'timestamps'>) {
    this.#output = output;
    this.#timestamps = timestamps;
    this.#tailMax = tail ?? 0;
    this.#tail = tail === undefined ? undefined : [];
  }

  /** Takes the next bytes of the file, in any portions. */
  add(bytes: Buffer): void {
    const data = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const end = data.lastIndexOf(0x0a) + 1;
    this.#pending = Buffer.from(data.subarray(end));
    if (this.#pending.length > PENDING_BYTES_MAX) this.#pending = Buffer.alloc(0);
    if (end === 0) return;
    for (const line of data.toString('utf8', 0, end - 1).split('\n')) this.#take(line);
  }

  /** Prints the last lines that `tail` asked for; from now on lines are printed at once. */
  printTail(): void {
    const lines = this.#tail ?? [];
    this.#tail = undefined;
    for (const line of lines) this.#print(line);
  }

  #take(line: string): void {
    if (this.#tail === undefined) {
      this.#print(line);
      return;
    }
    this.#tail.push(line);
    if (this.#tail.length > this.#tailMax) this.#tail.shift();
  }

  #print(line: string): void {
    const [, time = '', stream = 'stdout', tag = 'F', text = line] = LINE.exec(line) ?? [];
    const isWhole = !tag.split(':').includes('P');
    const printed = `${this.#timestamps ? `${time} ` : ''}${text}${isWhole ? '\n' : ''}`;
    if (stream === 'stderr') this.#output.writeError(printed);
    else this.#output.write(printed);
  }
}
