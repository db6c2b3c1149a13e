import type {ByteString} from '../sys/tree.ts';
import {layerInvalid} from './layer-invalid.ts';
import {type ExtendedAttribute, type PaxRecords, parsePaxRecords} from './pax-records.ts';
import {BLOCK_BYTES, parseTarHeader, type TarHeader} from './tar-header.ts';

export type TarEntryKind =
  'file' | 'hard-link' | 'symlink' | 'character-device' | 'block-device' | 'directory' | 'fifo';

/** A header with what extended headers say of it; `sizeBytes` is 0 for all but files. */
export interface TarEntry extends Omit<TarHeader, 'type'> {
  readonly kind: TarEntryKind;
  readonly attributes: readonly ExtendedAttribute[];
}

/** Takes the entries of an archive in their order. */
export interface TarSink {
  /** The next entry; for a file, its content follows by `content` until it is complete. */
  entry(entry: TarEntry): void;
  /** A part of the current file; the memory is valid during the call only. */
  content(bytes: Buffer): void;
  /** The current file is complete. */
  contentEnd(): void;
}

/** Extended headers hold paths and attributes; some builders store 64 kB attributes. */
const EXTENSION_BYTES_MAX = 1024 * 1024;
const NO_ATTRIBUTES: readonly ExtendedAttribute[] = [];

const KINDS: Readonly<Record<string, TarEntryKind>> = {
  '0': 'file',
  '1': 'hard-link',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
};

type State = 'header' | 'content' | 'extension' | 'padding' | 'ended';

/**
 * Reads a tar archive (old, ustar, pax, GNU long names) that comes in pieces of any size, and
 * hands its entries to a sink without copying content. What follows the end is ignored.
 */
export class TarReader {
  readonly #sink: TarSink;
  readonly #carry = Buffer.alloc(BLOCK_BYTES);
  #carried = 0;
  #state: State = 'header';
  /** Bytes still to come of the content or extension, then of the padding. */
  #left = 0;
  #padding = 0;
  #extensionType = '';
  #extension: Buffer[] = [];
  #global: PaxRecords = {};
  #next: PaxRecords = {};

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** @throws CodedError ERR_LAYER_INVALID, and what the sink throws */
  push(piece: Buffer): void {
    let at = 0;
    while (at < piece.length && this.#state !== 'ended') {
      if (this.#state === 'header') {
        at += this.#takeHeader(piece, at);
      } else {
        const take = Math.min(this.#left, piece.length - at);
        this.#take(piece.subarray(at, at + take));
        at += take;
      }
    }
  }

  /** @throws CodedError ERR_LAYER_INVALID when the archive stops inside an entry */
  end(): void {
    const isAtBorder = this.#state === 'header' && this.#carried === 0;
    if (this.#state !== 'ended' && !isAtBorder) throw layerInvalid('it ends inside an entry');
  }

  /** @returns how many bytes it used */
  #takeHeader(piece: Buffer, at: number): number {
    if (this.#carried === 0 && piece.length - at >= BLOCK_BYTES) {
      this.#header(piece.subarray(at, at + BLOCK_BYTES));
      return BLOCK_BYTES;
    }
    const take = Math.min(BLOCK_BYTES - this.#carried, piece.length - at);
    piece.copy(this.#carry, this.#carried, at, at + take);
    this.#carried += take;
    if (this.#carried === BLOCK_BYTES) {
      this.#carried = 0;
      this.#header(this.#carry);
    }
    return take;
  }

  #header(block: Buffer): void {
    const header = parseTarHeader(block);
    if (header === undefined) {
      this.#state = 'ended';
      return;
    }
    if ('xgLK'.includes(header.type)) {
      this.#startExtension(header);
      return;
    }
    const entry = this.#entry(header);
    this.#next = {};
    this.#sink.entry(entry);
    if (entry.kind === 'file') this.#start('content', entry.sizeBytes);
  }

  #entry(header: TarHeader): TarEntry {
    const extended = {...header, ...this.#global, ...this.#next};
    const kind = KINDS[header.type];
    if (kind === undefined) throw layerInvalid(`an entry has the unknown type "${header.type}"`);
    // Old archives write directories as files whose name ends in a slash.
    const isOldDirectory = kind === 'file' && extended.path.endsWith('/');
    const size = kind === 'file' ? extended.sizeBytes : 0;
    return {
      kind: isOldDirectory ? 'directory' : kind,
      path: extended.path,
      mode: header.mode,
      uid: extended.uid,
      gid: extended.gid,
      sizeBytes: isOldDirectory ? 0 : size,
      modified: extended.modified,
      linkPath: extended.linkPath,
      deviceMajor: header.deviceMajor,
      deviceMinor: header.deviceMinor,
      attributes: extended.attributes ?? NO_ATTRIBUTES,
    };
  }

  #startExtension({type, sizeBytes}: TarHeader): void {
    if (sizeBytes > EXTENSION_BYTES_MAX) {
      throw layerInvalid(`an extended header is ${sizeBytes} bytes long`);
    }
    this.#extensionType = type;
    this.#extension = [];
    this.#start('extension', sizeBytes);
  }

  #start(state: 'content' | 'extension', sizeBytes: number): void {
    this.#state = state;
    this.#left = sizeBytes;
    this.#padding = (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
    if (sizeBytes === 0) this.#complete();
  }

  #take(bytes: Buffer): void {
    this.#left -= bytes.length;
    if (this.#state === 'content') this.#sink.content(bytes);
    else if (this.#state === 'extension') this.#extension.push(Buffer.from(bytes));
    if (this.#left === 0) this.#complete();
  }

  #complete(): void {
    if (this.#state === 'content') this.#sink.contentEnd();
    else if (this.#state === 'extension') this.#extend(Buffer.concat(this.#extension));
    const isPadded = this.#state !== 'padding' && this.#padding > 0;
    this.#state = isPadded ? 'padding' : 'header';
    this.#left = isPadded ? this.#padding : 0;
  }

  #extend(body: Buffer): void {
    switch (this.#extensionType) {
      case 'x':
        this.#next = {...this.#next, ...parsePaxRecords(body)};
        break;
      case 'g': {
        // A name or size for all entries at once can only be a mistake.
        const {path, linkPath, sizeBytes, ...defaults} = parsePaxRecords(body);
        this.#global = {...this.#global, ...defaults};
        break;
      }
      case 'L':
        this.#next = {...this.#next, path: untilNul(body)};
        break;
      default:
        this.#next = {...this.#next, linkPath: untilNul(body)};
    }
  }
}

function untilNul(body: Buffer): ByteString {
  const end = body.indexOf(0);
  return body.toString('latin1', 0, end === -1 ? body.length : end);
}
