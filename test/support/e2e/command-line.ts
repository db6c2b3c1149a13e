import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {waitFor} from '#shared/wait-for';
import type {TimedEvent} from '#provisioner/engine/events';

/** What a command line said and how it ended. */
export interface Finished {
  /** 128 + n after signal n, as a shell counts. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The lines of `--output json`. */
  readonly events: readonly TimedEvent[];
  /** Codes of the errors on standard error, in order. */
  readonly codes: readonly string[];
}

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** The program that users start. */
export const PROVISION = new URL('../../../bin/provision', import.meta.url).pathname;

const TIMEOUT_MS = 240_000;
const EVENT_TIMEOUT_MS = 120_000;
const EVENT_INTERVAL_MS = 10;
const EXIT_SIGNALS: Readonly<Record<string, number>> = {SIGINT: 130, SIGKILL: 137, SIGTERM: 143};

/** Runs `provision …` as a user does, and waits for its end. */
export async function provision(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Finished> {
  return await startProvision(args, options).ended;
}

/** A `provision` that runs: it can be watched and stopped at any moment. */
export class RunningProvision {
  readonly ended: Promise<Finished>;
  readonly #child: ChildProcess;
  readonly #events: TimedEvent[] = [];
  readonly #lines: string[] = [];
  #isOver = false;

  constructor(args: readonly string[], {timeoutMs = TIMEOUT_MS, env = {}}: CommandOptions) {
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    this.#child = spawn(PROVISION, args, {stdio: [...stdio], env: {...process.env, ...env}});
    this.ended = this.#finish(timeoutMs);
  }

  /** The first event that fits; fails when the command ends before. */
  async event(fits: (event: TimedEvent) => boolean): Promise<TimedEvent> {
    return await this.#await(() => this.#events.find(fits), 'the event');
  }

  /** Waits for a line of standard output that fits. */
  async line(fits: RegExp): Promise<string> {
    return await this.#await(() => this.#lines.find(line => fits.test(line)), String(fits));
  }

  /** Ends the provisioner itself: the launcher has become it (`exec`). */
  async kill(signal: 'SIGKILL' | 'SIGINT'): Promise<Finished> {
    this.#child.kill(signal);
    return await this.ended;
  }

  /** Stops the process where it is; its connections and locks stay. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  async #await<T>(probe: () => T | undefined, what: string): Promise<T> {
    return await waitFor(
      async () => {
        const found = probe();
        if (found !== undefined || !this.#isOver) return found;
        const {exitCode, stdout, stderr} = await this.ended;
        throw new Error(`it ended with ${exitCode} before ${what} came: ${stdout}${stderr}`);
      },
      {
        signal: new AbortController().signal,
        timeoutMs: EVENT_TIMEOUT_MS,
        intervalMs: EVENT_INTERVAL_MS,
      },
    );
  }

  async #finish(timeoutMs: number): Promise<Finished> {
    const child = this.#child;
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const [out, err] = await Promise.all([
      this.#read(child, 'stdout'),
      this.#read(child, 'stderr'),
      once(child, 'close'),
    ]);
    clearTimeout(timer);
    this.#isOver = true;
    return {
      exitCode: child.exitCode ?? EXIT_SIGNALS[child.signalCode ?? ''] ?? 128,
      stdout: out,
      stderr: err,
      events: this.#events,
      codes: [...err.matchAll(/^(ERR_[A-Z0-9_]+):/gm)].map(([, code = '']) => code),
    };
  }

  async #read(child: ChildProcess, name: 'stdout' | 'stderr'): Promise<string> {
    const stream = child[name];
    if (stream === null) return '';
    const lines: string[] = [];
    for await (const line of createInterface({input: stream})) {
      lines.push(line);
      if (name === 'stdout') this.#lines.push(line);
      if (name === 'stdout' && line.startsWith('{'))
        this.#events.push(JSON.parse(line) as TimedEvent);
    }
    return lines.join('\n');
  }
}

/** Starts `provision …`; the caller waits for `ended` or kills it. */
export function startProvision(
  args: readonly string[],
  options: CommandOptions = {},
): RunningProvision {
  return new RunningProvision(args, options);
}

/** `plan` and `run-finished` of a run, as far as it came. */
export function eventOf<K extends TimedEvent['type']>(
  {events}: Pick<Finished, 'events'>,
  type: K,
): Extract<TimedEvent, {readonly type: K}> | undefined {
  const isWanted = (event: TimedEvent): event is Extract<TimedEvent, {readonly type: K}> =>
    event.type === type;
  return events.find(isWanted);
}
