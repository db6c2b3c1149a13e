/** The last lines of a program's output that are not blank: what a message can carry of it. */
export function lastLines(text: string, count: number): string {
  const lines = text.split('\n').filter(line => line.trim() !== '');
  return lines.slice(-count).join('\n');
}
