import {Listr, type ListrTaskWrapper, type DefaultRenderer, type SimpleRenderer} from 'listr2';
import type {RunEvent} from '../engine/events.ts';

type Line = ListrTaskWrapper<unknown, typeof DefaultRenderer, typeof SimpleRenderer>;

interface Row {
  readonly title: string;
  line: Line | undefined;
  text: string;
  failed: boolean;
  readonly end: PromiseWithResolvers<undefined>;
}

const CLUSTER_ROW = 'cluster';

/**
 * A terminal's view of a run: one line per host with what it does now. It draws; the engine
 * decides what runs, so nothing is awaited here but the end of a stage.
 */
export class Screen {
  #rows = new Map<string, Row>();
  #drawing: Promise<unknown> | undefined;
  #hosts: readonly string[] = [];

  handle(event: RunEvent): void {
    if (event.type === 'run-started') this.#hosts = event.hosts;
    if (event.type === 'task-started') this.#begin(event.phase);
    if (!('phase' in event)) return;
    const row = this.#rows.get(event.host ?? CLUSTER_ROW);
    if (row === undefined) return;
    if (event.type === 'task-started') show(row, event.phase);
    if (event.type === 'task-progress') show(row, `${event.phase}: ${event.text}`);
    if (event.type === 'task-failed') {
      row.failed = true;
      show(row, `${event.phase} failed: ${event.code}`);
    }
  }

  /** Ends the drawing of a stage, e.g. before a plan or a question is printed. */
  async finish(): Promise<void> {
    for (const {failed, end} of this.#rows.values()) {
      if (failed) end.reject(new Error('failed'));
      else end.resolve(undefined);
    }
    await this.#drawing;
    this.#rows = new Map();
    this.#drawing = undefined;
  }

  #begin(phase: string): void {
    if (this.#drawing !== undefined) return;
    // While hosts are connected to, nothing is done to the cluster as a whole.
    const names = phase === 'connect' ? this.#hosts : [...this.#hosts, CLUSTER_ROW];
    this.#rows = new Map(
      names.map(title => {
        const end = Promise.withResolvers<undefined>();
        return [title, {title, line: undefined, text: '', failed: false, end}];
      }),
    );
    const tasks = [...this.#rows.values()].map(row => ({
      title: row.title,
      task: async (_context: unknown, line: Line) => {
        row.line = line;
        show(row, row.text);
        await row.end.promise;
      },
    }));
    const list = new Listr(tasks, {
      concurrent: true,
      exitOnError: false,
      registerSignalListeners: false, // signals belong to the program, not to its display
    });
    this.#drawing = list.run();
  }
}

function show(row: Row, text: string): void {
  row.text = text;
  if (row.line !== undefined) row.line.title = text === '' ? row.title : `${row.title}: ${text}`;
}
