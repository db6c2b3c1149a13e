/**
 * Waits until every promise (plain values are fine too) has settled, well or badly, then gives the results or throws the
 * first failure: unlike with `Promise.all`, nothing still runs when the undoing begins.
 */
export async function allOrFirstFailure<const Work extends readonly unknown[]>(
  work: Work,
): Promise<{-readonly [Index in keyof Work]: Awaited<Work[Index]>}> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
