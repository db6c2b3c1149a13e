import type {Duplex, Readable} from 'node:stream';

/**
 * Bytes that a script reads from its standard input, streamed and never held in memory.
 *
 * A connection that is lost midway looks to the script like an early end of its input, so a script
 * must check what it has read (size or digest) before it makes use of it.
 */
export interface Payload {
  readonly sizeBytes: number;
  /** Yields exactly `sizeBytes`; anything else rejects the run with ERR_PAYLOAD_CHANGED. */
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

export interface LockOptions {
  readonly signal: AbortSignal;
  /** Who asks, as one line that another person understands: run, user@machine, time, pid. */
  readonly owner: string;
  /** How long to wait for commands that a killed run left behind; default 5 min. */
  readonly orphanTimeoutMs?: number;
  /** Called once when such commands exist; the text names the earlier owner and the commands. */
  readonly onOrphan?: (description: string) => void;
}

/**
 * A host that runs POSIX shell scripts as root.
 *
 * Scripts are framed over a few long-lived `sh` channels (an SSH exec costs about 90 ms on a stock
 * host), so calls may run at the same time; each sees an empty environment of variables set by
 * others. Scripts and payloads travel by standard input only and never show in a process list.
 * What a script leaves in the background must have its output redirected.
 */
export interface Connection extends AsyncDisposable {
  /** The host's name in the inventory. */
  readonly host: string;

  /**
   * Runs a script to its end. A non-zero exit is a result, not an error. An abort or time-out kills
   * the script with all its children first, and rejects then.
   *
   * @throws CodedError ERR_CONNECTION_LOST, ERR_HOST_TIMEOUT, ERR_HOST_OUTPUT_TOO_LARGE,
   *   ERR_SHELL_UNAVAILABLE, ERR_PAYLOAD_CHANGED; the signal's reason
   */
  run(script: string, options: RunOptions): Promise<RunResult>;

  /**
   * Takes the host's lock for as long as this connection lives; it cannot be given back earlier and
   * never outlives the run. Waits for commands that a killed run left running. Once per connection.
   *
   * @param path absolute path of the lock file on the host; its directory is created
   * @throws CodedError ERR_LOCKED, naming the owner
   */
  lock(path: string, options: LockOptions): Promise<void>;

  /**
   * A byte stream to a TCP port on the host itself (127.0.0.1).
   *
   * @throws CodedError ERR_FORWARD_REFUSED, ERR_CONNECTION_LOST
   */
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
