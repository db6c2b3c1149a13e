/** As many lines of a compiler or package manager as say what is wrong. */
const LINES = 15;

/** The last lines of a program's output that are not blank: what a message can carry of it. */
export function lastLines(text: string, count: number = LINES): string {
  const lines = text.split('\n').filter(line => line.trim() !== '');
  return lines.slice(-count).join('\n');
}
