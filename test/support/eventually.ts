import {waitFor} from '#shared/wait-for';

const EVENTUALLY_MS = 10_000;

/** Waits until something holds; a `TimeoutError` when it does not within ten seconds. */
export async function eventually(
  holds: () => Promise<boolean> | boolean,
  timeoutMs = EVENTUALLY_MS,
): Promise<void> {
  const {signal} = new AbortController();
  const probe = async (): Promise<true | undefined> => ((await holds()) ? true : undefined);
  await waitFor(probe, {signal, timeoutMs, intervalMs: 5});
}
