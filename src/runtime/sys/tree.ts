import {constants} from 'node:fs';
import {lastErrno, rawCall} from './libc.ts';

/**
 * A file name or path as bytes, one character (U+0000 to U+00FF) per byte: Linux names are bytes,
 * and archives hold names that are not UTF-8. `Buffer.from(name, 'latin1')` gives the bytes.
 */
export type ByteString = string;

const O_CLOEXEC = 0o2000000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const NAMES_BYTES = 16_384;
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;
const NEW_FILE =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | O_CLOEXEC;

const openatCall = rawCall('openat', 'int', 'void *', 'int', 'uint');
const mkdiratCall = rawCall('mkdirat', 'int', 'void *', 'uint');
const mknodatCall = rawCall('mknodat', 'int', 'void *', 'uint', 'uint64');
const symlinkatCall = rawCall('symlinkat', 'void *', 'int', 'void *');
const linkatCall = rawCall('linkat', 'int', 'void *', 'int', 'void *', 'int');
const renameatCall = rawCall('renameat', 'int', 'void *', 'int', 'void *');
const unlinkatCall = rawCall('unlinkat', 'int', 'void *', 'int');
const fchownCall = rawCall('fchown', 'int', 'uint', 'uint');
const fchownatCall = rawCall('fchownat', 'int', 'void *', 'uint', 'uint', 'int');
const fchmodCall = rawCall('fchmod', 'int', 'uint');
const fchmodatCall = rawCall('fchmodat', 'int', 'void *', 'uint', 'int');
const futimensCall = rawCall('futimens', 'int', 'void *');
const utimensatCall = rawCall('utimensat', 'int', 'void *', 'void *', 'int');
const fsetxattrCall = rawCall('fsetxattr', 'int', 'void *', 'void *', 'ulong', 'int');
const lsetxattrCall = rawCall('lsetxattr', 'void *', 'void *', 'void *', 'ulong', 'int');

// One call runs at a time on a thread and copies its names out, so two buffers serve all calls.
const firstName = Buffer.alloc(NAMES_BYTES);
const secondName = Buffer.alloc(NAMES_BYTES);
const times = Buffer.alloc(32);
const timeFields = new BigInt64Array(times.buffer, times.byteOffset, 4);

/*
 * The calls that unpacking a layer makes by the hundred thousand: names relative to an open
 * directory, one component each, so that no link can lead anywhere; no errors thrown, because
 * "it exists" is an answer here. Each returns 0 (or a descriptor), or the negative errno.
 */

/** Opens a directory itself, never through a link. */
export function openDirectoryAt(directory: number, name: ByteString): number {
  return answer(openatCall(directory, put(firstName, name), DIRECTORY, 0));
}

/** Creates a file that did not exist, for writing. The umask applies. */
export function createFileAt(directory: number, name: ByteString, mode: number): number {
  return answer(openatCall(directory, put(firstName, name), NEW_FILE, mode));
}

export function makeDirectoryAt(directory: number, name: ByteString, mode: number): number {
  return answer(mkdiratCall(directory, put(firstName, name), mode));
}

/** @param mode type and permission bits */
export function makeNodeAt(
  directory: number,
  name: ByteString,
  {mode, device}: {readonly mode: number; readonly device: bigint},
): number {
  return answer(mknodatCall(directory, put(firstName, name), mode, device));
}

export function makeSymlinkAt(directory: number, name: ByteString, target: ByteString): number {
  return answer(symlinkatCall(put(secondName, target), directory, put(firstName, name)));
}

/** A link at the end of the existing name is not followed. */
export function makeLinkAt(
  existing: {readonly directory: number; readonly name: ByteString},
  directory: number,
  name: ByteString,
): number {
  const from = put(secondName, existing.name);
  return answer(linkatCall(existing.directory, from, directory, put(firstName, name), 0));
}

/** Moves an entry within its file system; an entry that has the new name goes, unless it is full. */
export function renameAt(
  existing: {readonly directory: number; readonly name: ByteString},
  directory: number,
  name: ByteString,
): number {
  const from = put(secondName, existing.name);
  return answer(renameatCall(existing.directory, from, directory, put(firstName, name)));
}

/** Removes anything but a directory. */
export function unlinkAt(directory: number, name: ByteString): number {
  return answer(unlinkatCall(directory, put(firstName, name), 0));
}

/** Removes an empty directory. */
export function removeDirectoryAt(directory: number, name: ByteString): number {
  return answer(unlinkatCall(directory, put(firstName, name), AT_REMOVEDIR));
}

const AT_REMOVEDIR = 0x200;

export function setOwner(fd: number, uid: number, gid: number): number {
  return answer(fchownCall(fd, uid, gid));
}

export function setOwnerAt(directory: number, name: ByteString, uid: number, gid: number): number {
  return answer(fchownatCall(directory, put(firstName, name), uid, gid, AT_SYMLINK_NOFOLLOW));
}

export function setMode(fd: number, mode: number): number {
  return answer(fchmodCall(fd, mode));
}

/** Follows a link, so only for what was made just now and is none. */
export function setModeAt(directory: number, name: ByteString, mode: number): number {
  return answer(fchmodatCall(directory, put(firstName, name), mode, 0));
}

/** Seconds (negative before 1970) and nanoseconds (0 to 999 999 999) since the epoch. */
export interface NodeTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Sets the times of access and of modification. */
export function setTime(fd: number, time: NodeTime): number {
  return answer(futimensCall(fd, putTime(time)));
}

/** The same for an entry itself, never for what a link points to. */
export function setTimeAt(directory: number, name: ByteString, time: NodeTime): number {
  const written = putTime(time);
  return answer(utimensatCall(directory, put(firstName, name), written, AT_SYMLINK_NOFOLLOW));
}

export function setAttribute(fd: number, name: ByteString, value: Uint8Array): number {
  return answer(fsetxattrCall(fd, put(firstName, name), value, value.length, 0));
}

/** For entries that cannot be opened (links, devices): `path` must not lead through a link. */
export function setAttributeOfPath(path: ByteString, name: ByteString, value: Uint8Array): number {
  const attribute = put(firstName, name);
  return answer(lsetxattrCall(put(secondName, path), attribute, value, value.length, 0));
}

function answer(result: number): number {
  return result === -1 ? -lastErrno() : result;
}

/** @throws TypeError for a name with a NUL byte or over the limits; callers have checked both */
function put(buffer: Buffer, name: ByteString): Buffer {
  if (name.length >= NAMES_BYTES || name.includes('\0')) throw new TypeError('not a C string');
  buffer[buffer.write(name, 0, 'latin1')] = 0;
  return buffer;
}

function putTime({seconds, nanoseconds}: NodeTime): Buffer {
  timeFields[0] = timeFields[2] = BigInt(seconds);
  timeFields[1] = timeFields[3] = BigInt(nanoseconds);
  return times;
}
