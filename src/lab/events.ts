/** What `up` and `down` report while they work; durations in seconds. */
export type LabEvent =
  | {readonly kind: 'started'; readonly step: string}
  | {readonly kind: 'done'; readonly step: string; readonly seconds: number}
  | {readonly kind: 'note'; readonly text: string};

export type OnLabEvent = (event: LabEvent) => void;

/** Runs one step between a `started` and a `done` event; a failed step has no `done`. */
export async function labStep<T>(
  step: string,
  onEvent: OnLabEvent,
  work: () => Promise<T>,
): Promise<T> {
  const startedAtMs = performance.now();
  onEvent({kind: 'started', step});
  const result = await work();
  onEvent({kind: 'done', step, seconds: (performance.now() - startedAtMs) / 1000});
  return result;
}
