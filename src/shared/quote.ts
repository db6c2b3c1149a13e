/**
 * One shell word, or several joined by spaces, that a POSIX shell reads back as exactly these
 * arguments. The only function that quotes; scripts are never built in another way.
 *
 * @param argv words of any content except NUL, which no process argument can hold
 */
export function quote(argv: string | readonly string[]): string {
  return typeof argv === 'string' ? quoteWord(argv) : argv.map(quoteWord).join(' ');
}

const SAFE_WORD = /^[A-Za-z0-9_@%+:,./-]+$/; // no `=`: as a first word it would be an assignment

function quoteWord(word: string): string {
  if (word.includes('\0')) throw new TypeError('a shell word cannot hold a NUL byte');
  return SAFE_WORD.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
