import {closeSync, fdatasync, openSync, writeSync} from 'node:fs';
import {open, readFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {promisify} from 'node:util';
import {crc32} from 'node:zlib';
import {isErrno} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import {addUpRecords, type ImageRecords, type JournalRecord} from './image-records.ts';

/** As `writeSync`: writes as much as there is room for. @returns how many bytes; throws for none */
type WriteOf = (fd: number, bytes: Uint8Array) => number;

export interface OpenedJournal {
  readonly journal: Journal;
  readonly records: ImageRecords;
  /** Lines that could not be read; one at the end is a write that a crash cut off. */
  readonly brokenLines: number;
}

const fdatasyncOf = promisify(fdatasync);

/**
 * The one file that says which images and layers exist: lines of a checksum and a JSON record,
 * only ever appended, and written anew when it is opened.
 */
export class Journal {
  readonly #fd: number;
  readonly #write: WriteOf;
  #lines: number;
  /** The last line has no end: a full disk took the rest of it. */
  #isTorn = false;

  private constructor(fd: number, lines: number, write: WriteOf) {
    this.#fd = fd;
    this.#lines = lines;
    this.#write = write;
  }

  /**
   * @param bootId see `addUpRecords`
   * @param write for tests: a disk that is full in the middle of a line
   */
  static async open(
    path: string,
    bootId: string,
    write: WriteOf = writeSync,
  ): Promise<OpenedJournal> {
    const lines = await readLines(path);
    const records = addUpRecords(lines, bootId);
    const brokenLines = lines.filter(line => line === undefined).length;
    // While something is not durable yet, the lines that say so must stay.
    const kept = records.isDurable ? compacted(records) : lines.map(line => line ?? NOTHING);
    const text = [...kept, {kind: 'boot', id: bootId} as const].map(formatLine).join('');
    await writeFileAtomic(path, text, {mode: 0o600});
    await syncDirectory(dirname(path));
    const journal = new Journal(openSync(path, 'a', 0o600), kept.length + 1, write);
    return {journal, records, brokenLines};
  }

  /** Lines written so far: what `durable` counts. */
  get lines(): number {
    return this.#lines;
  }

  /**
   * Appends a record at once: it outlives the daemon, but not yet the machine. A few microseconds.
   *
   * @throws the system's error, ENOSPC foremost; the record then does not count
   */
  append(record: JournalRecord): void {
    // A torn line is ended only now: the block that its end would need was just what was missing.
    const start = this.#isTorn ? TORN_END : '';
    const bytes = Buffer.from(`${start}${formatLine(record)}`);
    const written = this.#write(this.#fd, bytes);
    if (written > start.length) this.#lines++; // whole or torn
    if (written >= start.length) this.#isTorn = written > start.length && written < bytes.length;
    if (written < bytes.length) {
      throw Object.assign(new Error('the image journal is cut off'), {code: 'ENOSPC'});
    }
  }

  /**
   * The same for a removal, which a full disk must not stop: it is what makes room. When it could
   * not be written, the next start finds the layers gone and the images without layers.
   */
  appendRemoval(record: JournalRecord & {readonly kind: 'remove'}): void {
    try {
      this.append(record);
    } catch (error) {
      if (!isErrno(error, 'ENOSPC') && !isErrno(error, 'EDQUOT')) throw error;
    }
  }

  /** Resolves once all that was appended outlives the machine too. */
  async sync(): Promise<void> {
    await fdatasyncOf(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Makes sure that a line is broken of which nothing but its end was missing. */
const TORN_END = '~\n';

/** In the place of a broken line, as lines are counted. */
const NOTHING: JournalRecord = {kind: 'remove', images: [], layers: []};

function compacted({images, layers}: ImageRecords): readonly JournalRecord[] {
  const all = {kind: 'put', images: [...images.values()], layers: [...layers.values()]} as const;
  return [all, {kind: 'durable', lines: 1}];
}

async function readLines(path: string): Promise<readonly (JournalRecord | undefined)[]> {
  try {
    const lines = (await readFile(path, 'utf8')).split('\n');
    const torn = lines.pop() === '' ? [] : [undefined];
    return [...lines.filter(line => line !== '').map(parseLine), ...torn];
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

function formatLine(record: JournalRecord): string {
  const json = JSON.stringify(record);
  return `${checksumOf(json)} ${json}\n`;
}

function parseLine(line: string): JournalRecord | undefined {
  const json = line.slice(CHECKSUM_LENGTH + 1);
  if (line.slice(0, CHECKSUM_LENGTH) !== checksumOf(json)) return undefined;
  return JSON.parse(json) as JournalRecord; // we wrote it: the checksum says so
}

const CHECKSUM_LENGTH = 8;

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(CHECKSUM_LENGTH, '0');
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
