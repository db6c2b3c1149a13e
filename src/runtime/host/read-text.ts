import {readFileSync} from 'node:fs';

/** Reads a file of /proc or /sys; undefined where it cannot be read: the feature is not there. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // nothing is lost: without the file there is nothing to know
  }
}
