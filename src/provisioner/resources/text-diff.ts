const CONTEXT_LINES = 2;
const DIFF_LINES_MAX = 2_000; // longer texts are not worth a quadratic comparison

/** A unified diff without file names; enough for a person to see what a plan would change. */
export function diffText(before: string, after: string): string {
  const [a, b] = [toLines(before), toLines(after)];
  if (a.length > DIFF_LINES_MAX || b.length > DIFF_LINES_MAX) {
    return `@@ ${a.length} lines → ${b.length} lines @@`;
  }
  const edits = compareLines(a, b);
  const shown = edits.map((edit, index) =>
    edits
      .slice(Math.max(0, index - CONTEXT_LINES), index + CONTEXT_LINES + 1)
      .some(near => near.sign !== ' '),
  );
  const lines: string[] = [];
  edits.forEach((edit, index) => {
    if (shown[index] === true) lines.push(`${edit.sign}${edit.line}`);
    else if (shown[index - 1] === true) lines.push('@@');
  });
  return lines.join('\n');
}

interface Edit {
  readonly sign: ' ' | '+' | '-';
  readonly line: string;
}

function toLines(text: string): readonly string[] {
  if (text === '') return [];
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Longest common subsequence, by the textbook table. */
function compareLines(a: readonly string[], b: readonly string[]): readonly Edit[] {
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number): number => table[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i * width + j] =
        a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const edits: Edit[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [left, right] = [a[i], b[j]];
    if (left !== undefined && left === right) {
      edits.push({sign: ' ', line: left});
      i++;
      j++;
    } else if (left !== undefined && (right === undefined || at(i + 1, j) >= at(i, j + 1))) {
      edits.push({sign: '-', line: left});
      i++;
    } else {
      edits.push({sign: '+', line: right ?? ''});
      j++;
    }
  }
  return edits;
}
