import type {CertificateSpec} from '../apis/certificate.ts';
import {parseGoDuration} from '../apis/duration.ts';
import {fitIntoWindows, type Renewal} from './renewal-windows.ts';

export type {Renewal} from './renewal-windows.ts';

/** The life of a certificate, from the certificate itself. */
export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** When it was asked for, where that is known. */
  readonly requestedAt?: Date | undefined;
}

/**
 * When a certificate is to be renewed.
 *
 * `renewBefore` counts from the end if it is shorter than the certificate's own life; else
 * `renewBeforePercentage` is the part of the life that remains; else a third of it. A window of
 * `renewal.windows` moves the instant later, but never behind the end of the certificate.
 */
export function renewalTime(
  {notBefore, notAfter, requestedAt}: Lifetime,
  spec: CertificateSpec,
): Renewal {
  if (spec.renewal?.policy === 'Disabled') return {};
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  if (!(lifetimeMs > 0)) return {at: toWholeSeconds(notBefore)};
  const wishedMs = notAfter.getTime() - remainingMs(spec, lifetimeMs);
  const at = toWholeSeconds(new Date(laterThanRequest(wishedMs, {notAfter, requestedAt})));
  const windows = spec.renewal?.windows ?? [];
  return windows.length === 0 ? {at} : fitIntoWindows(at, {windows, notBefore, notAfter});
}

function remainingMs(spec: CertificateSpec, lifetimeMs: number): number {
  const beforeMs = durationMs(spec.renewBefore);
  if (beforeMs !== undefined && beforeMs > 0 && beforeMs < lifetimeMs) return beforeMs;
  const percentage = spec.renewBeforePercentage;
  if (percentage !== undefined && percentage > 0 && percentage < 100) {
    return (lifetimeMs * percentage) / 100;
  }
  return lifetimeMs / 3;
}

/**
 * An issuer may hand out a certificate that began long ago, and is due for renewal on arrival.
 * Renewing it then and there would go on for ever: what remains of its life counts as all of it.
 */
function laterThanRequest(
  wishedMs: number,
  {notAfter, requestedAt}: Pick<Lifetime, 'notAfter' | 'requestedAt'>,
): number {
  const requestedMs = requestedAt?.getTime();
  if (requestedMs === undefined || wishedMs > requestedMs) return wishedMs;
  const remainsMs = notAfter.getTime() - requestedMs;
  return remainsMs > 0 ? requestedMs + (remainsMs * 2) / 3 : wishedMs;
}

/** A duration that nobody can read is as good as none; validation tells of it. */
function durationMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return parseGoDuration(text);
  } catch {
    return undefined;
  }
}

function toWholeSeconds(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1_000) * 1_000);
}
