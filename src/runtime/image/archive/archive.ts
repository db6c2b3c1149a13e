import {createReadStream} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {posix} from 'node:path';
import type {Readable} from 'node:stream';
import {isCoded} from '#shared/errors';
import {parsePaxRecords} from '../pax-records.ts';
import {BLOCK_BYTES, parseTarHeader, type TarHeader} from '../tar-header.ts';
import {archiveInvalid} from './archive-invalid.ts';

/** A tar archive on disk whose members are read by name, where they lie. Nothing is unpacked. */
export interface Archive extends AsyncDisposable {
  has(name: string): boolean;
  /** @throws CodedError ERR_ARCHIVE_INVALID for a missing member */
  sizeOf(name: string): number;
  /** @throws CodedError ERR_ARCHIVE_INVALID for a missing member or more bytes than that */
  read(name: string, bytesMax: number): Promise<Buffer>;
  /** @throws CodedError ERR_ARCHIVE_INVALID for a missing member */
  openMember(name: string, offset?: number): Readable;
}

interface Member {
  readonly start: number;
  readonly sizeBytes: number;
}

interface Found {
  readonly members: Map<string, Member>;
  /** Older `docker save` writes equal layers once, and links for the others. */
  readonly links: Map<string, string>;
}

const MEMBERS_MAX = 20_000;
const EXTENSION_BYTES_MAX = 64 * 1024; // a path; nothing else of it is wanted
const LINKS_FOLLOWED_MAX = 4;
const READ_BYTES = 256 * 1024;

/**
 * Finds the members of an archive by its headers alone.
 *
 * @throws CodedError ERR_ARCHIVE_INVALID; the signal's reason; system errors of reading the file
 */
export async function openArchive(path: string, signal: AbortSignal): Promise<Archive> {
  const file = await open(path, 'r');
  try {
    const found = await findMembers(file, signal);
    const memberOf = (name: string): Member => {
      const member = find(found, name);
      if (member === undefined) throw archiveInvalid(`it has no ${JSON.stringify(name)}`);
      return member;
    };
    return {
      has: name => find(found, name) !== undefined,
      sizeOf: name => memberOf(name).sizeBytes,
      async read(name, bytesMax) {
        const {start, sizeBytes} = memberOf(name);
        if (sizeBytes > bytesMax) throw archiveInvalid(`${name} has ${sizeBytes} bytes`);
        return await readAt(file, start, sizeBytes);
      },
      openMember(name, offset = 0) {
        const {start, sizeBytes} = memberOf(name);
        const end = start + sizeBytes - 1;
        return createReadStream(path, {start: start + offset, end, highWaterMark: READ_BYTES});
      },
      [Symbol.asyncDispose]: async () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function findMembers(file: FileHandle, signal: AbortSignal): Promise<Found> {
  const {size} = await file.stat();
  const found: Found = {members: new Map(), links: new Map()};
  let longPath: string | undefined;
  let longSize: number | undefined;
  for (let at = 0; at < size;) {
    signal.throwIfAborted();
    const header = headerOf(await readAt(file, at, BLOCK_BYTES));
    if (header === undefined) break;
    const start = at + BLOCK_BYTES;
    const isExtension = 'xgLK'.includes(header.type);
    const sizeBytes = isExtension ? header.sizeBytes : (longSize ?? header.sizeBytes);
    const blocks = Math.ceil(hasContent(header) || isExtension ? sizeBytes / BLOCK_BYTES : 0);
    at = start + blocks * BLOCK_BYTES;
    if (start + (blocks === 0 ? 0 : sizeBytes) > size) throw archiveInvalid('it ends too early');
    if (isExtension) {
      if (header.type === 'g' || header.type === 'K') continue;
      if (sizeBytes > EXTENSION_BYTES_MAX) throw archiveInvalid('it has a header of absurd size');
      const body = await readAt(file, start, sizeBytes);
      if (header.type === 'L') longPath = body.toString('latin1').replace(/\0.*$/s, '');
      else {
        const {path, sizeBytes: pax} = parsePaxRecords(body);
        longPath = path ?? longPath;
        longSize = pax;
      }
      continue;
    }
    note(found, longPath ?? header.path, header, {start, sizeBytes});
    longPath = undefined;
    longSize = undefined;
  }
  return found;
}

function note(found: Found, path: string, {type, linkPath}: TarHeader, member: Member): void {
  const name = normalName(path);
  if (found.members.size + found.links.size >= MEMBERS_MAX) {
    throw archiveInvalid(`it has more than ${MEMBERS_MAX} members`);
  }
  if (type === '0' || type === '7') found.members.set(name, member);
  else if (type === '1') found.links.set(name, normalName(linkPath));
  else if (type === '2') found.links.set(name, posix.join(posix.dirname(name), linkPath));
}

function find({members, links}: Found, name: string): Member | undefined {
  let wanted = normalName(name);
  for (let followed = 0; followed <= LINKS_FOLLOWED_MAX; followed += 1) {
    const member = members.get(wanted);
    const next = links.get(wanted);
    if (member !== undefined || next === undefined) return member;
    wanted = next;
  }
  return undefined;
}

function headerOf(block: Buffer): TarHeader | undefined {
  try {
    return parseTarHeader(block);
  } catch (error) {
    throw isCoded(error) ? archiveInvalid('it is not a tar archive', error) : error;
  }
}

function hasContent({type}: TarHeader): boolean {
  return !'123456'.includes(type);
}

/** `./a//b/` is `a/b`; what leads out of the archive names nothing in it. */
function normalName(path: string): string {
  return posix.join('/', path).replace(/\/$/, '').slice(1);
}

async function readAt(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const {bytesRead} = await file.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) throw archiveInvalid('it ends too early');
    done += bytesRead;
  }
  return bytes;
}
