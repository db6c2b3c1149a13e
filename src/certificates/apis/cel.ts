/** Small pieces of CEL text (the Common Expression Language of the API server's rules). */

/** True where a text, list or map is absent or empty. Each step but the last must exist. */
export function isEmpty(path: string): string {
  return `(!has(${path}) || ${path}.size() == 0)`;
}

/** True where one is there and not empty. */
export function isFilled(path: string): string {
  return `(has(${path}) && ${path}.size() > 0)`;
}

/** How many of the fields of an object are there. */
export function countOf(object: string, fields: readonly string[]): string {
  return fields.map(field => `(has(${object}.${field}) ? 1 : 0)`).join(' + ');
}

/** A CEL string literal; the text may have any character but quotes and line ends. */
export function literal(text: string): string {
  return `r'${text}'`;
}

/** What Go accepts as a duration that is not negative, e.g. `2160h` or `1h30m`. */
export const GO_DURATION = '^[+]?(0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$';
