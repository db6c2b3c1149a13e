import type {Emit, RunEvent} from '../engine/events.ts';
import {Journal} from '../journal/journal.ts';
import {Screen} from '../report/screen.ts';
import {formatEvent} from '../report/text-report.ts';
import {Timeline} from '../report/timeline.ts';

export interface Output {
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  readonly isTerminal: boolean;
}

export interface ReporterOptions {
  readonly output: Output;
  readonly format: 'text' | 'json';
  /** undefined: nothing is kept, for commands that only look. */
  readonly journal: Journal | undefined;
}

/** Hears every event of a run: keeps it, and tells it in the way the user asked for. */
export class Reporter {
  readonly timeline = new Timeline();
  readonly #options: ReporterOptions;
  readonly #startMs = performance.now();
  /** Only a terminal has one; elsewhere every event is a line. */
  readonly #screen: Screen | undefined;
  readonly #failures: string[] = [];
  #written: Promise<void> = Promise.resolve();

  constructor(options: ReporterOptions) {
    this.#options = options;
    const {format, output} = options;
    this.#screen = format === 'text' && output.isTerminal ? new Screen() : undefined;
  }

  readonly emit: Emit = (event: RunEvent) => {
    const {journal, format, output} = this.#options;
    const now = new Date();
    const sinceStartMs = performance.now() - this.#startMs;
    journal?.append(event, now);
    this.timeline.add(event, sinceStartMs);
    if (format === 'json') {
      output.write(`${JSON.stringify({at: now.toISOString(), ...event})}\n`);
      return;
    }
    const text = formatEvent(event, sinceStartMs / 1000);
    this.#screen?.handle(event);
    if (text === undefined) return;
    if (this.#screen === undefined || !event.type.startsWith('task-')) this.say(text);
    else if (event.type === 'task-failed') this.#failures.push(text);
  };

  /** Text for people only; on a terminal it ends the drawing first. */
  say(text: string): void {
    if (this.#options.format !== 'text') return;
    const {write} = this.#options.output;
    const screen = this.#screen;
    if (screen === undefined) {
      write(`${text}\n`);
      return;
    }
    this.#written = this.#written.then(async () => {
      await screen.finish();
      for (const failure of this.#failures.splice(0)) write(`${failure}\n`);
      write(`${text}\n`);
    });
  }

  /** Resolves once everything that was said stands on the terminal. */
  async flush(): Promise<void> {
    await this.#written;
    await this.#screen?.finish();
  }

  get seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }
}
