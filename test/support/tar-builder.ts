/** An entry of an archive that no program would write, or not on purpose. */
export interface TarEntryOptions {
  /** One character per byte, as in an archive. */
  readonly path: string;
  /** Type flag; default `0`, a file. */
  readonly type?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly modified?: number;
  readonly content?: string | Buffer;
  readonly link?: string;
  readonly device?: readonly [major: number, minor: number];
  /** Records of an extended header before the entry. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** What the header says, whatever follows. */
  readonly sizeBytes?: number;
}

const BLOCK_BYTES = 512;

/** A ustar archive with its two blocks of zeros at the end. */
export function tarOf(...entries: readonly TarEntryOptions[]): Buffer {
  return Buffer.concat([...entries.map(entryOf), Buffer.alloc(2 * BLOCK_BYTES)]);
}

/** Entries of the usual kinds, with a content that tells them apart. */
export function directory(path: string): TarEntryOptions {
  return {path, type: '5', mode: 0o755};
}

export function file(path: string, content = path): TarEntryOptions {
  return {path, content};
}

export function symlink(path: string, link: string): TarEntryOptions {
  return {path, type: '2', link, mode: 0o777};
}

/** One entry, without an end of archive. */
export function entryOf(entry: TarEntryOptions): Buffer {
  const {pax, ...plain} = entry;
  const content = bytes(entry.content ?? '');
  const body = Buffer.concat([headerOf(plain, content.length), padded(content)]);
  if (pax === undefined) return body;
  const records = paxOf(pax);
  return Buffer.concat([headerOf({path: 'pax', type: 'x'}, records.length), padded(records), body]);
}

/** The body of an extended header. */
export function paxOf(records: Readonly<Record<string, string | Buffer>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.concat([bytes(` ${key}=`), bytes(value), bytes('\n')]);
      let length = rest.length;
      while (String(length).length + rest.length !== length) {
        length = String(length).length + rest.length;
      }
      return Buffer.concat([bytes(String(length)), rest]);
    }),
  );
}

function headerOf(entry: TarEntryOptions, contentBytes: number): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  const [major, minor] = entry.device ?? [0, 0];
  header.write(entry.path, 0, 100, 'latin1');
  octal(header, 100, 8, entry.mode ?? 0o644);
  octal(header, 108, 8, entry.uid ?? 0);
  octal(header, 116, 8, entry.gid ?? 0);
  octal(header, 124, 12, entry.sizeBytes ?? contentBytes);
  octal(header, 136, 12, entry.modified ?? 0);
  header.write(entry.type ?? '0', 156, 1, 'latin1');
  header.write(entry.link ?? '', 157, 100, 'latin1');
  header.write('ustar\x0000', 257, 8, 'latin1');
  octal(header, 329, 8, major);
  octal(header, 337, 8, minor);
  return withChecksum(header);
}

/** The same header with a checksum that fits. */
export function withChecksum(header: Buffer): Buffer {
  const copy = Buffer.from(header);
  copy.fill(' ', 148, 156);
  const sum = copy.reduce((total, byte) => total + byte, 0);
  copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return copy;
}

function octal(header: Buffer, at: number, length: number, value: number): void {
  header.write(value.toString(8).padStart(length - 1, '0'), at, length - 1, 'latin1');
}

function padded(content: Buffer): Buffer {
  const rest = (BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES;
  return Buffer.concat([content, Buffer.alloc(rest)]);
}

function bytes(text: string | Buffer): Buffer {
  return typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
}
