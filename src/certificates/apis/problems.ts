import {isCoded} from '#shared/errors';
import {parseGoDuration} from './duration.ts';

/** One problem, or none: for lists that are put together by spreading. */
export function when(isWrong: boolean, problem: string): readonly string[] {
  return isWrong ? [problem] : [];
}

/** What a parser says about a text that it refuses, and what to do. */
export function refusalOf(field: string, parse: () => unknown): readonly string[] {
  try {
    parse();
    return [];
  } catch (error) {
    if (!isCoded(error)) throw error;
    return [`${field}: ${error.message}; ${error.hint}`];
  }
}

/** A problem for each entry that does not hold, up to a few: a condition has to be readable. */
export function each(
  field: string,
  entries: readonly string[] | undefined,
  {holds, expected}: {readonly holds: (entry: string) => boolean; readonly expected: string},
): readonly string[] {
  return (entries ?? [])
    .filter(entry => !holds(entry))
    .slice(0, ENTRIES_TOLD_MAX)
    .map(entry => `${field}: ${quote(entry)} must be ${expected}`);
}

const ENTRIES_TOLD_MAX = 3;
const TEXT_LENGTH_MAX = 100;

/** A value of a user's, short enough for a message. */
export function quote(text: string): string {
  const shown = text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}...` : text;
  return JSON.stringify(shown);
}

/** Whether a text, list or map says anything. */
export function isFilled(value: string | readonly unknown[] | object | undefined): boolean {
  if (value === undefined) return false;
  if (typeof value === 'string') return value !== '';
  return Object.keys(value).length > 0;
}

/** Milliseconds of a duration; undefined where there is none, or none that can be read. */
export function durationOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return parseGoDuration(text);
  } catch {
    return undefined; // what is wrong with it is another problem's text
  }
}

/** Problems of a duration: one that cannot be read, or one that is too short. */
export function durationProblems(
  field: string,
  text: string | undefined,
  {shortestMs, shortest}: {readonly shortestMs: number; readonly shortest: string},
): readonly string[] {
  if (text === undefined) return [];
  const unreadable = refusalOf(field, () => parseGoDuration(text));
  if (unreadable.length > 0) return unreadable;
  return when(
    parseGoDuration(text) < shortestMs,
    `${field} is ${text}: set it to ${shortest} or more`,
  );
}
