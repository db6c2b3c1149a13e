import type {Duplex, Readable} from 'node:stream';

/** Bytes that a script reads from its standard input, streamed and never held in memory. */
export interface Payload {
  readonly sizeBytes: number;
  open(): Readable;
}

export interface RunOptions {
  readonly signal: AbortSignal;
  /** The script is killed and the call rejects with ERR_HOST_TIMEOUT after this; default 60 s. */
  readonly timeoutMs?: number;
  /** Exactly this many bytes are offered on the script's standard input; without it, none. */
  readonly payload?: Payload;
  /** Called for every complete line of standard output as it arrives. */
  readonly onLine?: (line: string) => void;
}

export interface RunResult {
  /** 0 to 255; 128+N for a script that died of signal N. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A host that runs POSIX shell scripts as root.
 *
 * Scripts are framed over a few long-lived `sh` channels (an SSH exec costs about 90 ms on a stock
 * host), so calls may run at the same time; each sees an empty environment of variables set by
 * others. Scripts and payloads travel by standard input only and never show in a process list.
 */
export interface Connection extends AsyncDisposable {
  /** The host's name in the inventory. */
  readonly host: string;

  /**
   * Runs a script to its end. A non-zero exit is a result, not an error.
   *
   * @throws CodedError ERR_CONNECTION_LOST, ERR_HOST_TIMEOUT, ERR_HOST_OUTPUT_TOO_LARGE
   */
  run(script: string, options: RunOptions): Promise<RunResult>;

  /** A byte stream to a TCP port on the host itself (127.0.0.1). */
  forward(port: number, options: {readonly signal: AbortSignal}): Promise<Duplex>;
}

/** Where and how to reach one host; every field is resolved by the configuration. */
export interface SshTarget {
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Paths of private keys, tried after the agent's. */
  readonly privateKeyPaths: readonly string[];
  /** Expected host keys (`ssh-ed25519 AAAA…` or `SHA256:…`); empty: only known_hosts decides. */
  readonly hostKeys: readonly string[];
  readonly knownHostsPaths: readonly string[];
}

export type Connect = (
  target: SshTarget,
  options: {readonly signal: AbortSignal},
) => Promise<Connection>;
