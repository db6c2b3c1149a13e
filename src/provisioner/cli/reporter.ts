import type {Emit, RunEvent} from '../engine/events.ts';
import {Journal} from '../journal/journal.ts';
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

  constructor(options: ReporterOptions) {
    this.#options = options;
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
    if (text !== undefined) output.write(`${text}\n`);
  };

  /** Text for people only. */
  say(text: string): void {
    if (this.#options.format === 'text') this.#options.output.write(`${text}\n`);
  }

  get seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }
}
