import {createReadStream} from 'node:fs';

/** One member of an archive; paths are relative, without `./` and without a trailing slash. */
export type TarEntry =
  | {readonly kind: 'directory'; readonly path: string; readonly mode: number}
  | {readonly kind: 'link'; readonly path: string; readonly target: string}
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly mode: number;
      readonly sizeBytes: number;
      /** Bytes, or the path of a file that has `sizeBytes` of them. */
      readonly content: Uint8Array | string;
    };

const BLOCK_BYTES = 512;
const NAME_BYTES_MAX = 100;
const PREFIX_BYTES_MAX = 155;
const SIZE_BYTES_MAX = 0o77777777777; // eleven octal digits
const TYPE = {file: '0', link: '2', directory: '5'} as const;

/**
 * A POSIX ustar archive of these entries, piece by piece. Equal entries give equal bytes: owner
 * root, time 0, sorted by path, and every parent directory is present (mode 0755 unless listed).
 *
 * @throws TypeError for a path that ustar cannot hold; no file of ours comes near
 */
export async function* tarStream(entries: readonly TarEntry[]): AsyncGenerator<Uint8Array> {
  for (const entry of withParents(entries)) {
    yield header(entry);
    if (entry.kind !== 'file') continue;
    let writtenBytes = 0;
    for await (const chunk of contentOf(entry.content)) {
      writtenBytes += chunk.length;
      yield chunk;
    }
    if (writtenBytes !== entry.sizeBytes) {
      throw new TypeError(`${entry.path}: ${writtenBytes} bytes, announced ${entry.sizeBytes}`);
    }
    yield new Uint8Array((BLOCK_BYTES - (writtenBytes % BLOCK_BYTES)) % BLOCK_BYTES);
  }
  yield new Uint8Array(2 * BLOCK_BYTES);
}

/** The length of {@link tarStream}'s archive of these entries. */
export function tarSizeBytes(entries: readonly TarEntry[]): number {
  const blocks = withParents(entries).map(entry =>
    entry.kind === 'file' ? 1 + Math.ceil(entry.sizeBytes / BLOCK_BYTES) : 1,
  );
  return blocks.reduce((sum, count) => sum + count, 2) * BLOCK_BYTES;
}

function withParents(entries: readonly TarEntry[]): readonly TarEntry[] {
  const byPath = new Map<string, TarEntry>();
  for (const {path} of entries) {
    const parts = path.split('/').slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const parent = parts.slice(0, depth).join('/');
      byPath.set(parent, {kind: 'directory', path: parent, mode: 0o755});
    }
  }
  for (const entry of entries) byPath.set(entry.path, entry);
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function* contentOf(content: Uint8Array | string): AsyncGenerator<Uint8Array> {
  if (typeof content !== 'string') {
    yield content;
    return;
  }
  const stream = createReadStream(content, {highWaterMark: 1024 * 1024});
  for await (const chunk of stream) yield chunk as Buffer;
}

function header(entry: TarEntry): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES);
  const {name, prefix} = splitPath(entry.kind === 'directory' ? `${entry.path}/` : entry.path);
  const sizeBytes = entry.kind === 'file' ? entry.sizeBytes : 0;
  if (sizeBytes > SIZE_BYTES_MAX) throw new TypeError(`${entry.path}: too large for ustar`);
  const target = entry.kind === 'link' ? entry.target : '';
  if (Buffer.byteLength(target) > NAME_BYTES_MAX) throw new TypeError(`${target}: too long a link`);
  const field = (offset: number, text: string) => block.write(text, offset, 'utf8');
  field(0, name);
  field(100, octal(entry.kind === 'link' ? 0o777 : entry.mode, 8));
  field(108, octal(0, 8)); // uid
  field(116, octal(0, 8)); // gid
  field(124, octal(sizeBytes, 12));
  field(136, octal(0, 12)); // mtime
  field(148, ' '.repeat(8)); // the checksum counts as spaces while it is computed
  field(156, TYPE[entry.kind]);
  field(157, target);
  field(257, 'ustar\0' + '00');
  field(329, octal(0, 8)); // device numbers
  field(337, octal(0, 8));
  field(345, prefix);
  const sum = block.reduce((total, byte) => total + byte, 0);
  field(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  return block;
}

function octal(value: number, widthBytes: number): string {
  return `${value.toString(8).padStart(widthBytes - 1, '0')}\0`;
}

function splitPath(path: string): {readonly name: string; readonly prefix: string} {
  if (Buffer.byteLength(path) <= NAME_BYTES_MAX) return {name: path, prefix: ''};
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
    const prefix = path.slice(0, at);
    const name = path.slice(at + 1);
    const fits = Buffer.byteLength(name) <= NAME_BYTES_MAX && name !== '';
    if (fits && Buffer.byteLength(prefix) <= PREFIX_BYTES_MAX) return {name, prefix};
  }
  throw new TypeError(`${path}: too long for ustar`);
}
