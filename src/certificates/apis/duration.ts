import {CodedError} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';

const NANOSECONDS = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3_600e9,
} as const satisfies Record<string, number>;
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;
const WHOLE = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
/** Go counts nanoseconds in 63 bits: about 292 years. */
const NANOSECONDS_MAX = 2 ** 63;
/** A longer text is no duration that anybody writes. */
const TEXT_LENGTH_MAX = 64;

/**
 * Reads a duration as Go writes it (`time.ParseDuration`): `2160h`, `1h30m`, `1.5s`, `-5m`, `0`.
 *
 * @returns milliseconds, rounded down to whole ones; negative only where the text is
 * @throws CodedError ERR_DURATION_INVALID
 */
export function parseGoDuration(text: string): number {
  if (/^[+-]?0$/.test(text)) return 0;
  if (text.length > TEXT_LENGTH_MAX || !WHOLE.test(text)) throw invalid(text, 'is not a duration');
  let nanoseconds = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(PART)) {
    nanoseconds += Number(amount) * NANOSECONDS[unit as keyof typeof NANOSECONDS];
  }
  if (nanoseconds >= NANOSECONDS_MAX) throw invalid(text, 'is longer than 292 years');
  const milliseconds = Math.floor(nanoseconds / 1e6);
  return text.startsWith('-') ? 0 - milliseconds : milliseconds;
}

/** As Go prints it (`time.Duration.String`): `2160h0m0s`, `5m0s`, `1.5s`, `250ms`, `0s`. */
export function formatGoDuration(durationMs: number): string {
  const total = Math.abs(Math.trunc(durationMs));
  const sign = durationMs < 0 && total > 0 ? '-' : '';
  if (total === 0) return '0s';
  if (total < 1_000) return `${sign}${total}ms`;
  const hours = Math.floor(total / 3_600_000);
  const minutes = Math.floor(total / 60_000) % 60;
  const seconds = (total % 60_000) / 1_000;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}

function invalid(text: string, what: string): CodedError<CertificatesErrorCode> {
  const shown = JSON.stringify(text.slice(0, TEXT_LENGTH_MAX));
  return new CodedError('ERR_DURATION_INVALID', `${shown} ${what}`, {
    hint: 'write it with units h, m and s, e.g. 2160h for 90 days; there is no unit for days',
  });
}
