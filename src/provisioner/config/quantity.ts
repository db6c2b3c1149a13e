const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Kubernetes' notation for whole amounts of memory; fractions are left out, nobody needs them. */
export const quantityRegexp = /^([0-9]{1,15})(|[kMGT]|[KMGT]i)$/;

/**
 * Bytes of a quantity such as `1700Mi` or `2G`.
 *
 * @returns undefined if the text is not a quantity or passes 2^53
 */
export function parseQuantity(text: string): number | undefined {
  const match = quantityRegexp.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * (UNITS[match[2] ?? ''] ?? NaN);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
