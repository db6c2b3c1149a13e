import type {Duplex} from 'node:stream';
import type {Log} from '#shared/log';

/** A connection whose client asked for an upgrade that has not been answered yet. */
export interface StreamConnection {
  readonly socket: Duplex;
  /** Protocols in the client's order of preference; empty when it named none. */
  readonly offered: readonly string[];
  /** Answers 101 with this protocol; SPDY follows. */
  readonly accept: (protocol: string) => void;
  readonly log: Log;
}
