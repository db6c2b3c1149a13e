import {isCoded, messageOf} from '#shared/errors';
import type {Emit} from './events.ts';

/** `phase` or `phase@host`. */
export type TaskKey = string;

/** One phase on one host, or on the cluster as a whole. */
export interface Task {
  readonly phase: string;
  readonly host?: string;
  /** Must have succeeded before; a failure there skips this task. */
  readonly after: readonly TaskKey[];
  /** Must have ended before, well or not. */
  readonly afterSettled?: readonly TaskKey[];
  /** There is nothing to do: it ends well at its turn, without an event. */
  readonly idle?: boolean;
  /** Returns how many changes it made. Stops between two steps when the signal is aborted. */
  readonly run: (context: TaskContext) => Promise<number>;
}

export interface TaskContext {
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
}

export type TaskResult =
  | {readonly kind: 'done'; readonly changes: number}
  | {readonly kind: 'failed'; readonly error: unknown}
  | {readonly kind: 'skipped'; readonly reason: string};

export interface GraphOptions {
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** How many hosts are worked on at the same time; at least 1. */
  readonly forks: number;
  readonly now: () => number; // milliseconds, monotonic
}

export const taskKey = ({phase, host}: Pick<Task, 'phase' | 'host'>): TaskKey =>
  host === undefined ? phase : `${phase}@${host}`;

/**
 * Runs every task as soon as what it waits for has ended. A failed task skips those that need it;
 * all others go on. After an abort nothing new starts, and what runs is waited for.
 *
 * @throws TypeError for a task that waits for one that does not exist, or for itself in a circle
 */
export async function runGraph(
  tasks: readonly Task[],
  options: GraphOptions,
): Promise<ReadonlyMap<TaskKey, TaskResult>> {
  checkGraph(tasks);
  const results = new Map<TaskKey, TaskResult>();
  const running = new Map<TaskKey, {readonly task: Task; readonly end: Promise<void>}>();
  let waiting = [...tasks];
  while (waiting.length > 0 || running.size > 0) {
    const settled = waiting.filter(task => startOrSkip(task));
    waiting = waiting.filter(task => !settled.includes(task));
    if (settled.length > 0) continue; // a skip may have freed others
    await Promise.race([...running.values()].map(({end}) => end));
  }
  return results;

  function startOrSkip(task: Task): boolean {
    const key = taskKey(task);
    const awaited = [...task.after, ...(task.afterSettled ?? [])];
    const failed = task.after.find(other => {
      const kind = results.get(other)?.kind;
      return kind === 'failed' || kind === 'skipped';
    });
    if (failed !== undefined || options.signal.aborted) {
      const reason = options.signal.aborted ? 'interrupted' : `${failed ?? ''} did not succeed`;
      results.set(key, {kind: 'skipped', reason});
      if (task.idle !== true) options.emit({type: 'task-skipped', ...nameOf(task), reason});
      return true;
    }
    if (awaited.some(other => !results.has(other))) return false;
    if (task.idle !== true && !hasFreeFork(task)) return false;
    if (task.idle === true) {
      results.set(key, {kind: 'done', changes: 0});
      return true;
    }
    const end = runTask(task, options).then(result => {
      results.set(key, result);
      running.delete(key);
    });
    running.set(key, {task, end});
    return true;
  }

  function hasFreeFork({host}: Task): boolean {
    if (host === undefined) return true;
    const busy = new Set([...running.values()].map(({task}) => task.host).filter(Boolean));
    return busy.has(host) || busy.size < options.forks;
  }
}

const nameOf = ({phase, host}: Task) => (host === undefined ? {phase} : {phase, host});

async function runTask(task: Task, {signal, emit, now}: GraphOptions): Promise<TaskResult> {
  const name = nameOf(task);
  const startedAt = now();
  emit({type: 'task-started', ...name});
  try {
    const changes = await task.run({
      signal,
      progress: text => {
        emit({type: 'task-progress', ...name, text});
      },
    });
    const seconds = (now() - startedAt) / 1000;
    emit({type: 'task-finished', ...name, changes, seconds});
    return {kind: 'done', changes};
  } catch (error) {
    if (signal.aborted && !isCoded(error)) {
      emit({type: 'task-skipped', ...name, reason: 'interrupted'});
      return {kind: 'skipped', reason: 'interrupted'};
    }
    emit({type: 'task-failed', ...name, ...describe(error)});
    return {kind: 'failed', error};
  }
}

function describe(error: unknown) {
  return isCoded(error)
    ? {code: error.code, message: error.message, hint: error.hint}
    : {code: 'ERR_DEFECT', message: messageOf(error), hint: 'report this defect with the journal'};
}

function checkGraph(tasks: readonly Task[]): void {
  const byKey = new Map(tasks.map(task => [taskKey(task), task]));
  if (byKey.size !== tasks.length) throw new TypeError('two tasks have the same phase and host');
  const state = new Map<TaskKey, 'open' | 'closed'>();
  const visit = (key: TaskKey, from: string) => {
    const task = byKey.get(key);
    if (task === undefined) throw new TypeError(`${from} waits for ${key}, which does not exist`);
    if (state.get(key) === 'closed') return;
    if (state.get(key) === 'open') throw new TypeError(`${key} waits for itself`);
    state.set(key, 'open');
    for (const other of [...task.after, ...(task.afterSettled ?? [])]) visit(other, key);
    state.set(key, 'closed');
  };
  for (const key of byKey.keys()) visit(key, 'the graph');
}
