import type {LevelResult} from './level.ts';

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function totalsOf(results: readonly LevelResult[]): Totals {
  const sum = (count: (result: LevelResult) => number) =>
    results.reduce((total, result) => total + count(result), 0);
  return {
    passed: sum(({passed}) => passed),
    failed: sum(({failed}) => failed),
    skipped: sum(({skipped}) => skipped),
  };
}

/** The last line of a test run. */
export function formatTotals({passed, failed, skipped}: Totals): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** One line for each step: counts, seconds, and what there is to say. */
export function formatResults(results: readonly LevelResult[]): string {
  return results
    .map(({name, seconds, note = '', ...counts}) => {
      const line = [
        name.padEnd(12),
        `${seconds.toFixed(1).padStart(7)} s`,
        formatTotals(counts).padEnd(24),
        note,
      ];
      return line.join('  ').trimEnd();
    })
    .join('\n');
}
