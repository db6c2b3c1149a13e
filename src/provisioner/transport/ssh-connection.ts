import type {Duplex} from 'node:stream';
import type {Client, ClientChannel} from 'ssh2';
import type {Connection, LockOptions, RunOptions, RunResult, SshTarget} from './connection.ts';
import * as errors from './connection-errors.ts';
import {startDeadline} from './deadline.ts';
import {takeHostLock} from './host-lock.ts';
import {formatKillSession} from './kill-session.ts';
import {formatJoinLock} from './lock.ts';
import {createNonce, Shell, ShellFailure} from './shell.ts';
import {formatShellCommand} from './shell-loop.ts';
import {SessionRefused, ShellPool} from './shell-pool.ts';

const RUN_TIMEOUT_MS = 60_000;
const SHELL_START_TIMEOUT_MS = 30_000;
const KILL_TIMEOUT_MS = 10_000; // the script itself gives TERM 2 s
const CLOSE_TIMEOUT_MS = 2_000;

/** A connection over an authenticated ssh2 client, which it owns from now on. */
export class SshConnection implements Connection {
  readonly host: string;
  readonly #client: Client;
  readonly #target: SshTarget;
  readonly #pool = new ShellPool(signal => this.#startShell(signal));
  readonly #closed: Promise<void>;
  /** Shells whose scripts inherit the shared lock already. */
  readonly #joined = new WeakSet<Shell>();
  #lockPath: string | undefined;
  #lost: errors.TransportError | undefined;
  #lossReason: string | undefined;

  constructor(client: Client, target: SshTarget) {
    this.host = target.host;
    this.#client = client;
    this.#target = target;
    client.on('error', error => {
      this.#lossReason ??= error.message; // `close` follows
    });
    this.#closed = new Promise(resolve => {
      client.once('close', () => {
        this.#lose();
        resolve();
      });
    });
  }

  /** Opens the first shell, so that a refused sudo or session is found out at once. */
  async start(signal: AbortSignal): Promise<void> {
    this.#pool.release(await this.#acquire(signal));
  }

  async run(script: string, options: RunOptions): Promise<RunResult> {
    const {payload, onLine, timeoutMs = RUN_TIMEOUT_MS} = options;
    const shell = await this.#acquire(options.signal);
    const reason = (): Error => errors.timedOut(this.#target, timeoutMs);
    const deadline = startDeadline({signal: options.signal, timeoutMs, reason});
    const {signal} = deadline;
    try {
      if (this.#lockPath !== undefined) await this.#joinLock(shell, this.#lockPath, signal);
      return await shell.run(script, {payload, onLine, signal});
    } catch (error) {
      await this.#abandon(shell);
      throw this.#explain(error);
    } finally {
      deadline.stop();
      this.#pool.release(shell);
    }
  }

  async lock(path: string, options: LockOptions): Promise<void> {
    if (this.#lockPath !== undefined) throw new TypeError(`${this.host} is locked already`);
    const startShell = (signal: AbortSignal): Promise<Shell> => this.#startShell(signal);
    try {
      const {ended} = await takeHostLock({...options, path, host: this.host, startShell});
      this.#lockPath = path;
      void ended.then(() => {
        this.#breakOff("the shell that holds the host's lock ended");
      });
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async forward(port: number, {signal}: {readonly signal: AbortSignal}): Promise<Duplex> {
    signal.throwIfAborted();
    if (this.#lost) throw this.#lost;
    return await this.#untilAborted<Duplex>(signal, opened => {
      this.#client.forwardOut('127.0.0.1', 0, '127.0.0.1', port, (error, channel) => {
        if (error) opened.reject(this.#lost ?? errors.forwardRefused(this.#target, port, error));
        else if (signal.aborted) channel.close();
        else opened.resolve(channel);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lossReason ??= 'it was closed from here';
    this.#lose();
    this.#client.end();
    const giveUp = setTimeout(() => this.#client.destroy(), CLOSE_TIMEOUT_MS);
    await this.#closed;
    clearTimeout(giveUp);
  }

  async #acquire(signal: AbortSignal): Promise<Shell> {
    try {
      return await this.#pool.acquire(signal);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** @throws CodedError ERR_SHELL_UNAVAILABLE, ERR_SUDO_REFUSED, ERR_CONNECTION_LOST; SessionRefused */
  async #startShell(signal: AbortSignal): Promise<Shell> {
    const nonce = createNonce();
    const sudo = this.#target.user !== 'root';
    const deadline = startDeadline({
      signal,
      timeoutMs: SHELL_START_TIMEOUT_MS,
      reason: () => errors.shellUnavailable(this.#target, 'none started in time'),
    });
    let shell: Shell | undefined;
    try {
      shell = new Shell(await this.#exec(formatShellCommand({nonce, sudo}), deadline.signal));
      await shell.start(nonce, deadline.signal);
      return shell;
    } catch (error) {
      shell?.close();
      if (this.#lost || !(error instanceof ShellFailure)) throw this.#lost ?? error;
      throw sudo && /\bsudo\b/.test(error.message)
        ? errors.sudoRefused(this.#target, error.message)
        : errors.shellUnavailable(this.#target, error.message || 'it ended at once');
    } finally {
      deadline.stop();
    }
  }

  async #exec(command: string, signal: AbortSignal): Promise<ClientChannel> {
    if (this.#lost) throw this.#lost;
    return await this.#untilAborted(signal, opened => {
      this.#client.exec(command, (error, channel) => {
        if (error) opened.reject(this.#lost ?? new SessionRefused(error.message, {cause: error}));
        else if (signal.aborted) channel.close();
        else opened.resolve(channel);
      });
    });
  }

  /** Waits for a callback of ssh2, which knows no signals. */
  async #untilAborted<T>(
    signal: AbortSignal,
    begin: (outcome: PromiseWithResolvers<T>) => void,
  ): Promise<T> {
    signal.throwIfAborted();
    const outcome = Promise.withResolvers<T>();
    const abort = (): void => {
      outcome.reject(signal.reason);
    };
    signal.addEventListener('abort', abort, {once: true});
    try {
      begin(outcome);
      return await outcome.promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Everything that the shell starts from now on keeps the next run waiting; see `lock.ts`. */
  async #joinLock(shell: Shell, path: string, signal: AbortSignal): Promise<void> {
    if (this.#joined.has(shell)) return;
    await shell.run(formatJoinLock(path), {ownShell: true, signal});
    this.#joined.add(shell);
  }

  /** Ends what a broken shell still runs, before anyone believes that it has ended. */
  async #abandon(shell: Shell): Promise<void> {
    if (shell.isIdle) return;
    shell.close();
    if (this.#lost) return;
    const reason = (): Error => new Error('too slow');
    const deadline = startDeadline({timeoutMs: KILL_TIMEOUT_MS, reason});
    const idle = this.#pool.takeIdle();
    let killer: Shell | undefined;
    try {
      killer = idle ?? (await this.#startShell(deadline.signal));
      await killer.run(formatKillSession(shell.pid), {signal: deadline.signal});
    } catch {
      // Nothing more can be done from here; the script ends when it writes to its closed pipe.
    } finally {
      deadline.stop();
      if (idle) this.#pool.release(idle);
      else killer?.close();
    }
  }

  #explain(error: unknown): unknown {
    if (error instanceof SessionRefused) {
      return errors.shellUnavailable(this.#target, error.message);
    }
    if (!(error instanceof ShellFailure)) return error;
    switch (error.reason) {
      case 'ended':
        return this.#lost ?? errors.connectionLost(this.#target, 'the shell of a script ended');
      case 'too-large':
        return errors.outputTooLarge(this.#target, error.message);
      case 'payload-changed':
        return errors.payloadChanged(this.#target, error.message);
      default:
        return error.reason satisfies never;
    }
  }

  /** Ends the connection from here, for a reason that everyone is told. */
  #breakOff(reason: string): void {
    if (this.#lost) return;
    this.#lossReason ??= reason;
    this.#lose();
    this.#client.destroy();
  }

  #lose(): void {
    const reason = this.#lossReason ?? 'the host closed it';
    this.#lost ??= errors.connectionLost(this.#target, reason);
    this.#pool.end(this.#lost);
  }
}
