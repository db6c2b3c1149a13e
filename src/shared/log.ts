/** What a log takes, from the least to the most important. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** `text` is for people and the journal, `json` is one object per line for collectors. */
export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Variable parts of a line; the message itself is constant, so that lines can be counted. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * A program's log. Nothing is thrown from it; secrets and private keys in PEM print as `[redacted]`.
 */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Warns about a condition once in the life of the process, whatever the number of calls. */
  once(key: string, message: string, fields?: LogFields): void;
  /** Takes effect with the next line. */
  setLevel(level: LogLevel): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Takes a whole line with its end of line, e.g. `line => process.stderr.write(line)`. */
  readonly write: (line: string) => void;
  /** Default `text`. */
  readonly format?: LogFormat;
  /**
   * `<6>` and the like at the start of lines of text, which journald reads as priority
   * (sd-daemon(3), "SD_INFO"); wanted under systemd only.
   */
  readonly priorities?: boolean;
  /** What `json` writes as `time`. */
  readonly now?: () => Date;
}

/**
 * A log of lines like `<6>container stopped containerId=4f… waitedMs=12`, or
 * `{"time":"…","level":"info","message":"container stopped","containerId":"4f…","waitedMs":12}`.
 */
export function createLog(options: LogOptions): Log {
  const {level, write, format = 'text', priorities = false, now = () => new Date()} = options;
  const said = new Set<string>();
  let least = LOG_LEVELS.indexOf(level);
  const line = (at: LogLevel) => (message: string, fields?: LogFields) => {
    if (LOG_LEVELS.indexOf(at) < least) return;
    if (format === 'json') {
      write(`${formatJson({time: now(), level: at, message}, fields)}\n`);
      return;
    }
    const start = priorities ? `<${PRIORITIES[at]}>` : `${at} `;
    write(`${start}${quoteMessage(message)}${formatFields(fields)}\n`);
  };
  const warn = line('warn');
  return {
    debug: line('debug'),
    info: line('info'),
    warn,
    error: line('error'),
    once: (key, message, fields) => {
      if (said.has(key) || said.size >= ONCE_KEYS_MAX) return;
      said.add(key);
      warn(message, fields);
    },
    setLevel: next => {
      least = LOG_LEVELS.indexOf(next);
    },
  };
}

/** syslog(3): 3 is an error, 7 is for debugging. */
const PRIORITIES: Readonly<Record<LogLevel, number>> = {debug: 7, info: 6, warn: 4, error: 3};

/** Keys name conditions, not objects; more means that a caller puts an id into its key. */
const ONCE_KEYS_MAX = 1000;

/** journald splits a line at 48 KiB; a message of a child process may be as long as it likes. */
const VALUE_LENGTH_MAX = 4096;

/** Names that every line has; a field of the same name gets a `_` behind it. */
const OWN_NAMES: ReadonlySet<string> = new Set(['time', 'level', 'message']);

/** Private keys reach a log only by a mistake of ours; this is the last guard. */
const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z0-9 ]*-----|$)/g;

function formatJson(
  {time, level, message}: {readonly time: Date; readonly level: LogLevel; readonly message: string},
  fields: LogFields = {},
): string {
  const line: Record<string, unknown> = {time, level, message: redact(shorten(message))};
  for (const [name, value] of Object.entries(fields)) {
    line[OWN_NAMES.has(name) ? `${name}_` : name] = jsonValue(value);
  }
  return JSON.stringify(line);
}

/** Short values keep their structure; long ones, errors and cycles become text. */
function jsonValue(value: unknown): unknown {
  if (value === undefined || value === null) return value;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return String(value);
  const full = textOf(value);
  const text = redact(shorten(full));
  if (typeof value !== 'object' || value instanceof Error || text !== full) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function formatFields(fields: LogFields = {}): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${formatValue(value)}`)
    .join('');
}

function formatValue(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') {
    return String(value);
  }
  const text = redact(shorten(textOf(value)));
  return /^[\w./:@+,%*-]+$/.test(text) ? text : JSON.stringify(text);
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return value.stack ?? value.message;
  try {
    return JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'bigint' ? String(inner) : inner,
    );
  } catch {
    return String(value); // a cycle: its outside must do
  }
}

/** One line per message, whatever it was made from. */
function quoteMessage(message: string): string {
  return redact(shorten(message)).replaceAll(/[\r\n]+/g, ' | ');
}

function redact(text: string): string {
  return text.includes('PRIVATE KEY') ? text.replaceAll(PRIVATE_KEY, '[redacted]') : text;
}

function shorten(text: string): string {
  return text.length > VALUE_LENGTH_MAX ? `${text.slice(0, VALUE_LENGTH_MAX)}…` : text;
}
