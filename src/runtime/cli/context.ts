import type {CriClient} from '../client/connect.ts';
import type {Options} from './arguments.ts';
import type {Output} from './output.ts';

/** What a command works with. */
export interface CommandContext {
  readonly client: CriClient;
  readonly words: readonly string[];
  readonly options: Options;
  readonly output: Output;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  readonly nowMs: number;
}

/** A command's work; the result is the exit code. */
export type Command = (context: CommandContext) => Promise<number>;
