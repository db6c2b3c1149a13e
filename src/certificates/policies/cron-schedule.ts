import {CodedError} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Names of the values, from the least. */
  readonly words?: readonly string[];
}

const fields = {
  minute: {name: 'minute', min: 0, max: 59},
  hour: {name: 'hour', min: 0, max: 23},
  day: {name: 'day', min: 1, max: 31},
  month: {
    name: 'month',
    min: 1,
    max: 12,
    words: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  },
  weekday: {
    name: 'weekday',
    min: 0,
    max: 6,
    words: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
  },
} as const satisfies Record<string, Field>;

const nicknames: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** Days that each month may have. */
const DAYS_MAX = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/** More than a list of every minute, hour, day, month and weekday. */
const TEXT_LENGTH_MAX = 512;
const PART = /^(?:[*?]|(?<low>[a-z0-9]+)(?:-(?<high>[a-z0-9]+))?)(?:\/(?<step>\d{1,3}))?$/;

/** All values of a field, as `*`: whether a day or a weekday restricts anything depends on it. */
type Values = '*' | readonly number[];

/**
 * Reads a schedule as the API has it (robfig/cron v3 `ParseStandard`, of Go), and writes it as lists
 * of numbers and `*`, which every library understands in the same way: none of the extensions of
 * other dialects (`L`, `W`, `#`, `+`, seconds) gets through.
 *
 * @throws CodedError `ERR_SCHEDULE_INVALID`, also for a day that none of its months has: the search
 *   for it would go through the calendar to its end
 */
export function standardSchedule(text: string): string {
  if (text.length > TEXT_LENGTH_MAX) throw invalid(text, 'is too long');
  const trimmed = text.trim().toLowerCase();
  const [minute, hour, day, month, weekday, ...more] = (nicknames[trimmed] ?? trimmed).split(/\s+/);
  if (weekday === undefined || more.length > 0) throw invalid(text, 'does not have five fields');
  const read = (part: string | undefined, field: Field): Values => {
    const values = readField(part ?? '', field);
    if (values === undefined) throw invalid(text, `has no right ${field.name}`);
    return values;
  };
  const days = read(day, fields.day);
  const months = read(month, fields.month);
  const weekdays = read(weekday, fields.weekday);
  // A weekday comes in every month: with both, either is enough.
  if (weekdays === '*' && !occurs(days, months)) {
    throw invalid(text, 'names a day that none of its months has');
  }
  const all = [read(minute, fields.minute), read(hour, fields.hour), days, months, weekdays];
  return all.map(values => (values === '*' ? values : values.join(','))).join(' ');
}

function occurs(days: Values, months: Values): boolean {
  if (days === '*') return true;
  return DAYS_MAX.some(
    (dayMax, i) => (months === '*' || months.includes(i + 1)) && days.some(day => day <= dayMax),
  );
}

/** Undefined when it cannot be read. */
function readField(text: string, field: Field): Values | undefined {
  const parts = text.split(',').filter(part => part !== '');
  if (parts.length === 0) return undefined;
  const values = new Set<number>();
  let isAll = false;
  for (const part of parts) {
    const read = readPart(part, field);
    if (read === undefined) return undefined;
    if (read === '*') isAll = true;
    else for (const value of read) values.add(value);
  }
  return isAll ? '*' : [...values].toSorted((a, b) => a - b);
}

function readPart(text: string, field: Field): Values | undefined {
  const found = PART.exec(text)?.groups;
  if (found === undefined) return undefined;
  const {low, high, step: stepText} = found;
  const step = stepText === undefined ? 1 : Number(stepText);
  if (low === undefined && step === 1) return '*';
  const from = low === undefined ? field.min : valueOf(low, field);
  // `5/15` goes on to the end, `5` does not.
  const isSingle = low !== undefined && high === undefined && stepText === undefined;
  const to = high === undefined ? (isSingle ? from : field.max) : valueOf(high, field);
  if (from === undefined || to === undefined || step === 0) return undefined;
  if (from < field.min || to > field.max || from > to) return undefined;
  return Array.from({length: Math.floor((to - from) / step) + 1}, (_, i) => from + i * step);
}

function valueOf(text: string, {min, words = []}: Field): number | undefined {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  const index = words.indexOf(text);
  return index < 0 ? undefined : min + index;
}

function invalid(text: string, what: string): CodedError<CertificatesErrorCode> {
  const shown = JSON.stringify(text.slice(0, 100));
  return new CodedError('ERR_SCHEDULE_INVALID', `the schedule ${shown} ${what}`, {
    hint: 'write minute, hour, day, month and weekday, e.g. 0 2 * * 6 for Saturdays at two',
  });
}
