import {closeSync, fdatasync, openSync, writeSync} from 'node:fs';
import {open, readFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {promisify} from 'node:util';
import {crc32} from 'node:zlib';
import {isErrno} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import {addUpRecords, type ImageRecords, type JournalRecord} from './image-records.ts';

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
  #lines: number;

  private constructor(fd: number, lines: number) {
    this.#fd = fd;
    this.#lines = lines;
  }

  /** @param bootId see `addUpRecords` */
  static async open(path: string, bootId: string): Promise<OpenedJournal> {
    const lines = await readLines(path);
    const records = addUpRecords(lines, bootId);
    const brokenLines = lines.filter(line => line === undefined).length;
    // While something is not durable yet, the lines that say so must stay.
    const kept = records.isDurable ? compacted(records) : lines.map(line => line ?? NOTHING);
    const text = [...kept, {kind: 'boot', id: bootId} as const].map(formatLine).join('');
    await writeFileAtomic(path, text, {mode: 0o600});
    await syncDirectory(dirname(path));
    const journal = new Journal(openSync(path, 'a', 0o600), kept.length + 1);
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
    const line = Buffer.from(formatLine(record));
    const written = writeSync(this.#fd, line);
    this.#lines++;
    if (written === line.length) return;
    writeSync(this.#fd, '\n'); // a full disk took half of it: a broken line, which is skipped
    throw Object.assign(new Error('the image journal is cut off'), {code: 'ENOSPC'});
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

/** In the place of a broken line, as lines are counted. */
const NOTHING: JournalRecord = {kind: 'remove', images: [], layers: []};

function compacted({images, layers}: ImageRecords): readonly JournalRecord[] {
  const all = {kind: 'put', images: [...images.values()], layers: [...layers.values()]} as const;
  return [all, {kind: 'durable', lines: 1}];
}

async function readLines(path: string): Promise<readonly (JournalRecord | undefined)[]> {
  try {
    const text = await readFile(path, 'utf8');
    return text.split('\n').filter(line => line !== '').map(parseLine); // prettier-ignore
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
