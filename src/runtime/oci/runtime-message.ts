const MESSAGE_CHARACTERS_MAX = 1024; // kubelet puts it into an event; etcd holds those

/**
 * The cause in what an OCI runtime wrote to its error stream or log file, as one line.
 *
 * Runtimes are called with `--log-format=json`, so each line is a JSON object with `level` and
 * `msg`; lines that are not (a crash, a dynamic linker's complaint) are taken as they are.
 * Warnings are left out when there is an error. A line that another one contains is said once:
 * runc repeats the inner cause in its last line.
 *
 * @returns '' when nothing was written
 */
export function runtimeMessage(output: string): string {
  const entries = parseEntries(output);
  const errors = entries.filter(({isError}) => isError);
  const texts = (errors.length > 0 ? errors : entries).map(({text}) => text).reverse();
  const distinct: string[] = [];
  for (const text of texts) {
    if (!distinct.some(known => known.includes(text))) distinct.push(text);
  }
  const line = distinct.join('; ');
  return line.length > MESSAGE_CHARACTERS_MAX ? `${line.slice(0, MESSAGE_CHARACTERS_MAX)}…` : line;
}

/**
 * Tells whether a runtime's log holds an error of the runtime itself.
 *
 * An exec's exit status says nothing about it: a command may end with any status, also with the
 * one that the runtime uses for its own failures.
 */
export function hasRuntimeError(log: string): boolean {
  return parseEntries(log).some(({isError}) => isError);
}

interface Entry {
  readonly text: string;
  readonly isError: boolean;
}

function parseEntries(output: string): readonly Entry[] {
  return output
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
    .map(parseEntry);
}

function parseEntry(line: string): Entry {
  if (!line.startsWith('{')) return {text: line, isError: true};
  try {
    const {msg, level} = JSON.parse(line) as {readonly msg?: unknown; readonly level?: unknown};
    if (typeof msg !== 'string') return {text: line, isError: true};
    const isError = level === 'error' || level === 'fatal' || level === 'panic';
    return {text: msg.replaceAll(/\s*\n\s*/g, ' ').trim(), isError};
  } catch {
    return {text: line, isError: true}; // cut off in the middle: still the best that is known
  }
}
