/** Longer ones do not occur; the limit keeps the reading of them cheap. */
const LENGTH_MAX = 128;

/**
 * Whether the text is a dotted object identifier that can be encoded: at least two arcs, the first
 * 0 to 2, the second below 40 unless the first is 2 (X.660), no leading zeros, arcs below 2^31.
 */
export function isObjectIdentifier(text: string): boolean {
  if (text.length > LENGTH_MAX || !/^[0-2](?:\.(?:0|[1-9]\d{0,9}))+$/.test(text)) return false;
  const arcs = text.split('.').map(Number);
  const isSecondFit = arcs[0] === 2 || (arcs[1] ?? 0) < 40;
  return isSecondFit && arcs.every(arc => arc < 2 ** 31);
}
