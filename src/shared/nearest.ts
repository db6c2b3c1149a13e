/**
 * The candidate that a mistyped name most likely means, or undefined when none is close: at most
 * one edit per three characters, case and word separators not counted.
 */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const wanted = plain(name);
  const distanceMax = Math.max(1, Math.floor(wanted.length / 3));
  const [best] = candidates
    .map(candidate => ({candidate, distance: editDistance(wanted, plain(candidate))}))
    .filter(({distance}) => distance <= distanceMax)
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1));
  return best?.candidate;
}

/** Names longer than this are compared by their beginning only. */
const COMPARED_LENGTH_MAX = 64;

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]/g, '').slice(0, COMPARED_LENGTH_MAX);
}

/** Levenshtein distance with swaps of neighbours, row by row (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let [beforeLast, last] = [
    [] as readonly number[],
    Array.from({length: b.length + 1}, (_, i) => i),
  ];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(substituted, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
