import {setImmediate as nextTurn} from 'node:timers/promises';

/** Items of one message of a Stream* RPC: some hundred kB, well below any client's limit. */
export const CHUNK_ITEMS = 64;

/** True when every selected label is there with that very value. */
export function hasLabels(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(
    ([key, value]) => Object.hasOwn(labels, key) && labels[key] === value,
  );
}

/** Cuts a list into pieces, other requests getting their turn in between. Nothing gives no piece. */
export async function* chunks<Item>(items: readonly Item[]): AsyncGenerator<readonly Item[]> {
  for (let from = 0; from < items.length; from += CHUNK_ITEMS) {
    if (from > 0) await nextTurn();
    yield items.slice(from, from + CHUNK_ITEMS);
  }
}
