import type {RunEvent} from '../engine/events.ts';
import {formatTable} from '#shared/table';

interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** When each phase ran, over all hosts: the step-by-step times at the end of a run. */
export class Timeline {
  readonly #spans = new Map<string, Span>();
  readonly #open = new Map<string, number>();

  add(event: RunEvent, atMs: number): void {
    if (event.type === 'task-started') this.#open.set(keyOf(event), atMs);
    if (event.type !== 'task-finished' && event.type !== 'task-failed') return;
    const startMs = this.#open.get(keyOf(event)) ?? atMs;
    const known = this.#spans.get(event.phase);
    this.#spans.set(event.phase, {
      startMs: Math.min(known?.startMs ?? startMs, startMs),
      endMs: Math.max(known?.endMs ?? atMs, atMs),
    });
  }

  /** Phases in the order of their start; phases of different hosts overlap. */
  format(): string {
    const rows = [...this.#spans]
      .sort(([, a], [, b]) => a.startMs - b.startMs)
      .map(([phase, {startMs, endMs}]) => [
        phase,
        seconds(startMs).padStart(6),
        seconds(endMs).padStart(6),
        seconds(endMs - startMs).padStart(6),
      ]);
    return formatTable(['PHASE', '  FROM', '    TO', '     S'], rows);
  }
}

const keyOf = ({phase, host = ''}: {readonly phase: string; readonly host?: string}) =>
  `${phase}@${host}`;

const seconds = (ms: number): string => (ms / 1000).toFixed(1);
