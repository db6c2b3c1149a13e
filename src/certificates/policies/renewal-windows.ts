import {hash} from 'node:crypto';
import {Cron} from 'croner';
import {messageOf} from '#shared/errors';
import type {CertificateSpec} from '../apis/certificate.ts';
import {RENEWAL_WINDOWS_MAX} from '../apis/certificate-rules.ts';
import {parseGoDuration} from '../apis/duration.ts';
import {standardSchedule} from './cron-schedule.ts';

/** When a certificate is to be renewed. */
export interface Renewal {
  /** Whole seconds, so that what the status keeps is the same instant; none means never. */
  readonly at?: Date | undefined;
  /** Why no renewal window could be kept to. */
  readonly windowProblem?: string | undefined;
}

type RenewalWindow = NonNullable<NonNullable<CertificateSpec['renewal']>['windows']>[number];

interface WindowOptions {
  readonly windows: readonly RenewalWindow[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** So late in its life a certificate is renewed outside every window. */
const END_MARGIN_MS = 5 * 60_000;
/** A Certificate is looked at many times between two changes; each answer is a few instants. */
const REMEMBERED_MAX = 1_000;
const remembered = new Map<string, Renewal>();

/**
 * Moves a renewal into one of the windows: it stays where it is inside a window; else it goes to
 * the start of the next window that begins well before the certificate ends; else back to the last
 * window that begins before it. Where there is none, or a window cannot be understood, it stays
 * where it is, and the problem is told.
 */
export function fitIntoWindows(at: Date, options: WindowOptions): Renewal {
  const key = hash('sha256', JSON.stringify([at, options]), 'base64url');
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const renewal = searchWindows(at, options);
  const isFull = remembered.size >= REMEMBERED_MAX;
  for (const oldest of isFull ? remembered.keys().take(1) : []) remembered.delete(oldest);
  remembered.set(key, renewal);
  return renewal;
}

function searchWindows(at: Date, {windows, notBefore, notAfter}: WindowOptions): Renewal {
  if (windows.length > RENEWAL_WINDOWS_MAX) {
    const windowProblem = `there are ${windows.length} renewal windows, and ${RENEWAL_WINDOWS_MAX} at most are searched; put several times into one cron`;
    return {at, windowProblem};
  }
  const around: {readonly before?: Date; readonly after?: Date}[] = [];
  try {
    for (const window of windows) {
      const {durationMs, cron} = parseWindow(window);
      const before = lastStart(cron, at);
      if (before !== undefined && at.getTime() < before.getTime() + durationMs) return {at};
      const after = cron.nextRun(at);
      around.push({...(before && {before}), ...(after && {after})});
    }
  } catch (error) {
    return {at, windowProblem: `a renewal window cannot be used: ${messageOf(error)}`};
  }
  const endMs =
    notAfter.getTime() - Math.min(END_MARGIN_MS, (notAfter.getTime() - at.getTime()) / 2);
  const later = instants(around.map(({after}) => after)).filter(ms => ms <= endMs);
  if (later.length > 0) return {at: new Date(Math.min(...later))};
  const earlier = instants(around.map(({before}) => before)).filter(ms => ms > notBefore.getTime());
  if (earlier.length > 0) return {at: new Date(Math.max(...earlier))};
  return {
    at,
    windowProblem:
      'no renewal window begins during the life of the certificate; it is renewed outside the windows',
  };
}

/** Names of IANA's zones have 32 at most. */
const ZONE_LENGTH_MAX = 64;

function parseWindow({cron, timezone, windowDuration}: RenewalWindow) {
  const durationMs = parseGoDuration(windowDuration);
  const zone = timezone === undefined || timezone === '' ? 'UTC' : timezone;
  // Nothing bounds it in the API, and a message that repeats it would be remembered above.
  if (zone.length > ZONE_LENGTH_MAX) {
    throw new RangeError(`its timezone has ${zone.length} characters, and no zone has that many`);
  }
  return {
    durationMs,
    cron: new Cron(standardSchedule(cron), {timezone: zone, mode: '5-part', paused: true}),
  };
}

/** The last start at an instant or before it. */
function lastStart(cron: Cron, at: Date): Date | undefined {
  return cron.previousRuns(1, new Date(at.getTime() + 1_000)).find(start => start <= at);
}

function instants(dates: readonly (Date | undefined)[]): readonly number[] {
  return dates.flatMap(date => (date === undefined ? [] : [date.getTime()]));
}
