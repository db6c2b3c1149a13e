import type {HostRecord} from '../host-state/host-record.ts';

export interface ActionEntry {
  readonly digest: string;
  readonly keys?: Readonly<Record<string, string>>;
  /** In place of `keys` until it is done: what is still there then. */
  readonly keysBefore?: Readonly<Record<string, string>>;
}

/**
 * Records an action as begun, does it, and records it as done: a run that dies in between does it
 * again. What is done is recorded even when the run is interrupted.
 */
export async function recordedAction(
  record: HostRecord,
  {action, entry}: {readonly action: string; readonly entry: ActionEntry},
  {signal, perform}: {readonly signal: AbortSignal; readonly perform: () => Promise<void>},
): Promise<void> {
  const {digest, keysBefore = entry.keys} = entry;
  const as = (status: 'pending' | 'done') => {
    const keys = status === 'pending' ? keysBefore : entry.keys;
    return record.update(
      state => ({
        ...state,
        actions: {...state.actions, [action]: {status, digest, ...(keys && {keys: {...keys}})}},
      }),
      status === 'pending' ? {signal} : {},
    );
  };
  await as('pending');
  await perform();
  await as('done');
}

/** Forgets actions: what they made is gone. */
export async function forgetActions(record: HostRecord, names: readonly string[]): Promise<void> {
  await record.update(state => ({
    ...state,
    actions: Object.fromEntries(
      Object.entries(state.actions).filter(([name]) => !names.includes(name)),
    ),
  }));
}
