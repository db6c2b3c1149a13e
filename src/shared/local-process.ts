import {type ChildProcess, spawn} from 'node:child_process';
import {accessSync, constants} from 'node:fs';
import {delimiter, join} from 'node:path';
import {$} from 'zx/core';
import {OutputTail} from './output-tail.ts';

export interface RunOptions {
  /** Ends the process group (SIGTERM, later SIGKILL); `run` rejects with the signal's reason. */
  readonly signal: AbortSignal;
  readonly cwd?: string;
  /** Added to this process's own environment; secrets go by `input`, never here. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input, which is then closed; without it standard input is empty. */
  readonly input?: string | Uint8Array;
  readonly timeoutMs?: number;
  /** Called for every line of either stream as it arrives, without its end of line. */
  readonly onLine?: (line: string, stream: OutputStream) => void;
  /** Per stream; only the last so many bytes are kept, so a talkative child cannot fill memory. */
  readonly outputBytesMax?: number;
  /** From SIGTERM to SIGKILL after an abort; default three seconds. */
  readonly killGraceMs?: number;
}

export type OutputStream = 'stdout' | 'stderr';

export interface ProcessResult {
  /** 128 + n when signal n ended the process; 127 when there is no such command. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const KILL_GRACE_MS = 3_000;
const EXIT_NOT_FOUND = 127;
const EXIT_SIGNAL_BASE = 128;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGPIPE: 13, SIGTERM: 15,
}; // prettier-ignore

/**
 * Runs one program of the operator's machine and waits for its end. `argv` reaches the program as
 * it is: no shell, nothing to quote. A non-zero exit is a result, not an error.
 *
 * @throws the signal's reason when aborted, a `TimeoutError` when `timeoutMs` passes; the process
 *   group is gone by then
 */
export async function run(argv: readonly string[], options: RunOptions): Promise<ProcessResult> {
  const {signal, cwd, env = {}, input, timeoutMs, onLine} = options;
  const timeout = timeoutMs === undefined ? [] : [AbortSignal.timeout(timeoutMs)];
  const stop = AbortSignal.any([signal, ...timeout]);
  stop.throwIfAborted();

  const bytesMax = options.outputBytesMax ?? OUTPUT_BYTES_MAX;
  const stdout = new OutputTail(bytesMax, line => onLine?.(line, 'stdout'));
  const stderr = new OutputTail(bytesMax, line => onLine?.(line, 'stderr'));
  let child: ChildProcess | undefined;
  const killer = new GroupKiller(() => child, stop, options.killGraceMs ?? KILL_GRACE_MS);
  try {
    const output = await $({
      ...(cwd === undefined ? {} : {cwd}),
      ...(input === undefined ? {} : {input: Buffer.from(input)}),
      env: {...process.env, ...env},
      nothrow: true,
      quiet: true,
      detached: true, // a process group of its own, so that a kill reaches grandchildren
      store: {stdout: new Discard(), stderr: new Discard(), stdall: new Discard()},
      spawn: ((_command: string, _args: readonly string[], given: object) => {
        child = spawnExactly(argv, {...given, hasInput: hasBytes(input)}, stdout, stderr);
        return child;
      }) as typeof spawn,
    })`${argv}`;
    stop.throwIfAborted();
    const exitCode = isNotFound(output.cause) ? EXIT_NOT_FOUND : exitCodeOf(output);
    const missing =
      exitCode === EXIT_NOT_FOUND && output.cause ? `${String(argv[0])}: no such command` : '';
    return {exitCode, stdout: stdout.end(), stderr: stderr.end() || missing};
  } finally {
    killer[Symbol.dispose]();
  }
}

/**
 * Runs a program on the operator's own terminal (or pipes): it reads and writes this process's
 * standard streams. Ctrl-C reaches it by the terminal itself.
 *
 * @returns its exit code, as {@link run} counts them
 * @throws the signal's reason when aborted; the program has been sent SIGTERM by then
 */
export async function runAttached(
  argv: readonly string[],
  {signal, env = {}}: Pick<RunOptions, 'signal' | 'env'>,
): Promise<number> {
  signal.throwIfAborted();
  const [command = '', ...args] = argv;
  return await new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: 'inherit',
      signal,
      env: {...process.env, ...env},
    });
    child.once('error', error => {
      if (signal.aborted) reject(signal.reason);
      else if (isNotFound(error)) resolve(EXIT_NOT_FOUND);
      else reject(error);
    });
    child.once('exit', (exitCode, killedBy) => {
      resolve(exitCodeOf({exitCode, signal: killedBy}));
    });
  });
}

/** True when a program of this name can be executed: an absolute path, or a name found in PATH. */
export function hasCommand(name: string): boolean {
  const places = name.includes('/')
    ? [name]
    : (process.env['PATH'] ?? '').split(delimiter).map(folder => join(folder, name));
  return places.some(path => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false; // absent or not executable: the same answer
    }
  });
}

function spawnExactly(
  argv: readonly string[],
  {hasInput, ...given}: {readonly hasInput: boolean},
  stdout: OutputTail,
  stderr: OutputTail,
): ChildProcess {
  const [command = '', ...args] = argv;
  const stdin = hasInput ? 'pipe' : 'ignore';
  const child = spawn(command, args, {...given, shell: false, stdio: [stdin, 'pipe', 'pipe']});
  // A child that ends before it has read its input is judged by its exit code, not by our EPIPE.
  child.stdin?.on('error', () => undefined);
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout.push(chunk);
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr.push(chunk);
  });
  return child;
}

function hasBytes(input: string | Uint8Array | undefined): boolean {
  return input !== undefined && input.length > 0;
}

function isNotFound(cause: unknown): boolean {
  return (
    cause instanceof Error && 'code' in cause && ['ENOENT', 'EACCES'].includes(String(cause.code))
  );
}

function exitCodeOf({exitCode, signal}: {exitCode: number | null; signal: string | null}): number {
  if (exitCode !== null) return exitCode;
  return EXIT_SIGNAL_BASE + (SIGNAL_NUMBERS[signal ?? ''] ?? 0);
}

/** zx keeps all output in arrays; we keep a bounded tail ourselves. */
class Discard extends Array<Buffer> {
  override push(): number {
    return 0;
  }
}

/** Sends SIGTERM to the child's process group on abort, and SIGKILL if that is not enough. */
class GroupKiller {
  readonly #child: () => ChildProcess | undefined;
  readonly #stop: AbortSignal;
  readonly #onAbort: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(child: () => ChildProcess | undefined, stop: AbortSignal, graceMs: number) {
    this.#child = child;
    this.#stop = stop;
    this.#onAbort = () => {
      this.#kill('SIGTERM');
      this.#timer = setTimeout(() => {
        this.#kill('SIGKILL');
        // Whoever left the group may still hold the streams; nobody waits for that.
        this.#child()?.stdout?.destroy();
        this.#child()?.stderr?.destroy();
      }, graceMs);
    };
    stop.addEventListener('abort', this.#onAbort, {once: true});
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#stop.removeEventListener('abort', this.#onAbort);
  }

  #kill(signal: NodeJS.Signals): void {
    const pid = this.#child()?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // ESRCH: the group has already gone, which is what was wanted
    }
  }
}
