import {
  constructFromEvents,
  dump,
  EVENT_ID,
  getScalarValue,
  parseEvents,
  YAMLException,
  type Event,
} from 'js-yaml';
import {CodedError, messageOf, type ErrorRegistry} from './errors.ts';

/** Codes of this door; each program that reads YAML takes them into its own registry. */
export const yamlErrors = {
  ERR_YAML_INVALID: 10,
  ERR_YAML_LIMIT: 10,
} as const satisfies ErrorRegistry;

export type YamlErrorCode = keyof typeof yamlErrors;

/** Where something stands in a text; both count from 1, columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A text that is not YAML, or more than we are willing to read; the message names the place. */
export class YamlError extends CodedError<YamlErrorCode> {
  readonly file: string;
  readonly position: Position;
  /** The message without file, line and column. */
  readonly reason: string;

  constructor(code: YamlErrorCode, place: {file: string; position: Position}, reason: string) {
    super(code, `${place.file}:${place.position.line}:${place.position.column}: ${reason}`, {
      hint: yamlHints[code],
    });
    this.file = place.file;
    this.position = place.position;
    this.reason = reason;
  }
}

const yamlHints = {
  ERR_YAML_INVALID: 'correct the YAML at this place; an editor with YAML support marks it',
  ERR_YAML_LIMIT: 'write the values out and split the file; no sensible file is this large',
} as const satisfies Record<YamlErrorCode, string>;

export interface ParseOptions {
  /** Name of the text in messages, usually its path as the user gave it. */
  readonly file: string;
  /** UTF-16 units of one text; default {@link YAML_LENGTH_MAX}. */
  readonly lengthMax?: number;
  /** Values in all documents once every alias is written out; default {@link YAML_NODES_MAX}. */
  readonly nodesMax?: number;
}

/** Room for 2,000 hosts with everything said about each, and for any manifest of ours. */
export const YAML_LENGTH_MAX = 2 * 1024 * 1024;
/** Ten times what the largest inventory needs; an alias bomb passes it within a few lines. */
export const YAML_NODES_MAX = 500_000;
/** The deepest Kubernetes manifests nest about 30 levels. */
const DEPTH_MAX = 64;

/** A value as YAML 1.2 core schema sees it, and where each part of it was written. */
export interface YamlDocument {
  /** Made of null, booleans, numbers, strings, arrays and objects; null when the text is empty. */
  readonly value: unknown;
  /**
   * The place of a mapping key or of a sequence item; `[]` is the document's first value. Inside
   * an alias it is the place in the anchored value.
   *
   * @returns undefined when the text holds nothing at this path
   */
  readonly positionOf: (path: readonly PropertyKey[]) => Position | undefined;
}

/**
 * Parses a text that must hold one YAML document at most.
 *
 * Duplicate keys, unknown tags and recursive aliases are refused. Merge keys (`<<`) are not part
 * of YAML 1.2 and stay ordinary keys; dates stay strings.
 *
 * @throws YamlError ERR_YAML_INVALID, ERR_YAML_LIMIT
 */
export function parseYaml(text: string, options: ParseOptions): YamlDocument {
  const [document, second] = parseYamlDocuments(text, options);
  if (second !== undefined) {
    const place = {file: options.file, position: second.positionOf([]) ?? START};
    throw new YamlError('ERR_YAML_INVALID', place, 'a second document begins, expected only one');
  }
  return document ?? {value: null, positionOf: path => (path.length === 0 ? START : undefined)};
}

/**
 * Parses a text of any number of YAML documents, as {@link parseYaml} does; limits hold for all
 * of them together.
 *
 * @throws YamlError ERR_YAML_INVALID, ERR_YAML_LIMIT
 */
export function parseYamlDocuments(text: string, options: ParseOptions): readonly YamlDocument[] {
  const {file, lengthMax = YAML_LENGTH_MAX, nodesMax = YAML_NODES_MAX} = options;
  if (text.length > lengthMax) {
    const reason = `the text has ${text.length} characters, expected at most ${lengthMax}`;
    throw new YamlError('ERR_YAML_LIMIT', {file, position: START}, reason);
  }
  try {
    const events = parseEvents(text, {filename: file, maxDepth: DEPTH_MAX});
    const positionAt = createPositionAt(text);
    const roots = readNodes(text, events, {
      nodesMax,
      fail: (code, offset, reason) =>
        new YamlError(code, {file, position: positionAt(offset)}, reason),
    });
    return constructFromEvents(events, {source: text, filename: file}).map((value, index) => ({
      value: value ?? null,
      positionOf: path => {
        const offset = offsetOf(roots[index], path);
        return offset === undefined ? undefined : positionAt(offset);
      },
    }));
  } catch (error) {
    throw error instanceof YamlError ? error : toYamlError(error, file);
  }
}

/**
 * One YAML document: keys in insertion order, two spaces of indentation, lines never folded, no
 * anchors. Keys whose value is undefined are left out. Strings that YAML 1.1 readers would take
 * for something else (`yes`, `012`, `12:30`) are quoted.
 */
export function formatYaml(value: unknown): string {
  return dump(value, {lineWidth: -1, noRefs: true});
}

/** Several documents in one text, each after a `---` line; an empty list is an empty text. */
export function formatYamlDocuments(values: readonly unknown[]): string {
  return values.map(value => `---\n${formatYaml(value)}`).join('');
}

const START: Position = {line: 1, column: 1};

function toYamlError(error: unknown, file: string): YamlError {
  if (!(error instanceof YAMLException)) {
    return new YamlError('ERR_YAML_INVALID', {file, position: START}, messageOf(error));
  }
  const {mark, reason} = error;
  const position = mark ? {line: mark.line + 1, column: mark.column + 1} : START;
  const code = reason.startsWith('nesting exceeded') ? 'ERR_YAML_LIMIT' : 'ERR_YAML_INVALID';
  return new YamlError(code, {file, position}, reason);
}

/** A value's place, what it holds, and how many values it stands for once aliases are expanded. */
interface Node {
  readonly offset: number;
  readonly entries: Map<string, {readonly offset: number; readonly node: Node}>;
  size: number;
  /** False until its end was read: an alias to it before that would be recursive. */
  complete: boolean;
}

interface Frame {
  readonly node: Node;
  readonly kind: 'document' | 'sequence' | 'mapping';
  /** The mapping key that waits for its value. */
  key: {readonly name: string; readonly offset: number} | undefined;
}

interface NodeLimits {
  readonly nodesMax: number;
  readonly fail: (code: YamlErrorCode, offset: number, reason: string) => YamlError;
}

/** The first value of every document, in order; undefined for a document without a value. */
function readNodes(
  text: string,
  events: readonly Event[],
  limits: NodeLimits,
): readonly (Node | undefined)[] {
  const reader = new NodeReader(limits);
  for (const event of events) {
    const offset = offsetOfEvent(event);
    const anchor = 'anchorStart' in event ? text.slice(event.anchorStart, event.anchorEnd) : '';
    switch (event.type) {
      case EVENT_ID.DOCUMENT:
        reader.openDocument();
        break;
      case EVENT_ID.SEQUENCE:
        reader.open('sequence', offset, anchor);
        break;
      case EVENT_ID.MAPPING:
        reader.open('mapping', offset, anchor);
        break;
      case EVENT_ID.SCALAR:
        reader.addScalar(getScalarValue(text, event), offset, anchor);
        break;
      case EVENT_ID.ALIAS:
        reader.addAlias(offset, anchor);
        break;
      case EVENT_ID.POP:
        reader.close();
        break;
      default:
        return event satisfies never;
    }
  }
  return reader.roots;
}

/** Follows a stream of events; knows at each alias how much it would expand to. */
class NodeReader {
  readonly roots: (Node | undefined)[] = [];
  readonly #limits: NodeLimits;
  readonly #frames: Frame[] = [];
  readonly #anchors = new Map<string, Node>();
  #size = 0;

  constructor(limits: NodeLimits) {
    this.#limits = limits;
  }

  openDocument(): void {
    this.#anchors.clear();
    this.#frames.push({node: createNode(0, false), kind: 'document', key: undefined});
  }

  open(kind: 'sequence' | 'mapping', offset: number, anchor: string): void {
    this.#count(1, offset);
    const node = createNode(offset, false);
    if (anchor !== '') this.#anchors.set(anchor, node);
    this.#frames.push({node, kind, key: undefined});
  }

  addScalar(text: string, offset: number, anchor: string): void {
    this.#count(1, offset);
    const node = createNode(offset, true);
    if (anchor !== '') this.#anchors.set(anchor, node);
    this.#add(node, text);
  }

  addAlias(offset: number, anchor: string): void {
    const target = this.#anchors.get(anchor) ?? createNode(offset, true);
    if (!target.complete) {
      throw this.#limits.fail('ERR_YAML_INVALID', offset, `the alias *${anchor} contains itself`);
    }
    this.#count(target.size, offset);
    this.#add({...target, offset}, anchor);
  }

  close(): void {
    const frame = this.#frames.pop();
    if (frame === undefined) return;
    frame.node.complete = true;
    if (frame.kind === 'document') this.roots.push(frame.node.entries.get('0')?.node);
    else this.#add(frame.node, '');
  }

  #add(node: Node, text: string): void {
    const frame = this.#frames.at(-1);
    if (frame === undefined) return;
    frame.node.size += node.size;
    if (frame.kind === 'mapping' && frame.key === undefined) {
      frame.key = {name: text, offset: node.offset};
      return;
    }
    const {name, offset} = frame.key ?? {name: `${frame.node.entries.size}`, offset: node.offset};
    frame.node.entries.set(name, {offset, node});
    frame.key = undefined;
  }

  #count(values: number, offset: number): void {
    this.#size += values;
    if (this.#size <= this.#limits.nodesMax) return;
    const reason = `more than ${this.#limits.nodesMax} values once every alias is written out`;
    throw this.#limits.fail('ERR_YAML_LIMIT', offset, reason);
  }
}

function createNode(offset: number, complete: boolean): Node {
  return {offset, entries: new Map(), size: 1, complete};
}

function offsetOfEvent(event: Event): number {
  const starts = [
    'tagStart' in event ? event.tagStart : -1,
    'anchorStart' in event ? event.anchorStart : -1,
    'start' in event ? event.start : -1,
    'valueStart' in event ? event.valueStart : -1,
  ];
  return starts.find(start => start >= 0) ?? 0;
}

function offsetOf(root: Node | undefined, path: readonly PropertyKey[]): number | undefined {
  let place: {readonly offset: number; readonly node: Node} | undefined =
    root === undefined ? undefined : {offset: root.offset, node: root};
  for (const name of path) place = place?.node.entries.get(String(name));
  return place?.offset;
}

function createPositionAt(text: string): (offset: number) => Position {
  const lineStarts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1))
    lineStarts.push(at + 1);
  return offset => {
    let [low, high] = [0, lineStarts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return {line: low + 1, column: offset - (lineStarts[low] ?? 0) + 1};
  };
}
