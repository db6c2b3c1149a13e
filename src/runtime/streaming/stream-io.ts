import type {Readable, Writable} from 'node:stream';
import type {TerminalSize} from '../sys/terminal.ts';

/**
 * What a client of exec or attach gives and takes. A stream that the client did not ask for is
 * missing. All of them respect back-pressure: stop reading or await `drain`, and the slow side
 * is waited for with bounded memory.
 */
export interface StreamIo {
  /** Ends when the client closes its side. */
  readonly stdin?: Readable;
  readonly stdout?: Writable;
  /** Never there together with a terminal, which has one output only. */
  readonly stderr?: Writable;
  /** Sizes of the client's terminal as they change; ends with the client. Empty without one. */
  readonly resize: AsyncIterable<TerminalSize>;
}
