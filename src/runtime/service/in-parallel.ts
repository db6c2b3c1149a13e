/** Calls `work` for each item, at most `atOnce` at a time, in their order. Rejects with the first failure. */
export async function inParallel<Item>(
  atOnce: number,
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({length: Math.min(atOnce, items.length)}, worker));
}
