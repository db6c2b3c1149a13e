/** Node 24 has these (ECMAScript proposal "JSON.parse source text access"); TypeScript's lib not. */
const {rawJSON} = JSON as unknown as {readonly rawJSON: (text: string) => unknown};

/**
 * For JSON.parse: numbers that JavaScript cannot hold (RLIM_INFINITY is 2^64 − 1) become something
 * that JSON.stringify writes as it was read, digit by digit.
 */
export function keepExactNumbers(_key: string, value: unknown, ...[context]: unknown[]): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const {source} = context as {readonly source?: string};
  return source === undefined ? value : rawJSON(source);
}
