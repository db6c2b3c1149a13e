import {constants} from 'node:fs';
import {blockingCall, cString, lastErrno, rawCall} from './libc.ts';
import type {ByteString} from './tree.ts';

/**
 * Finds a directory again on its file system, however deep it lies and wherever it is moved: what
 * name_to_handle_at(2) gives. Opening takes CAP_DAC_READ_SEARCH.
 */
export type DirectoryHandle = Uint8Array;

/** A part of a directory's names, `.` and `..` left out. */
export interface NameBatch {
  readonly names: readonly ByteString[];
  /** Where the next batch starts. */
  readonly next: bigint;
}

const HANDLE_BYTES_MAX = 128; // MAX_HANDLE_SZ of linux/exportfs.h
const HANDLE_HEADER_BYTES = 8; // struct file_handle: length and type
const O_CLOEXEC = 0o2000000;
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;
const SEEK_SET = 0;
const GETDENTS64 = process.arch === 'arm64' ? 61 : 217;
const BATCH_BYTES = 32_768;
// struct linux_dirent64 of getdents(2)
const OFFSET_AT = 8;
const LENGTH_AT = 16;
const NAME_AT = 19;

const nameToHandleAtCall = rawCall('name_to_handle_at', 'int', 'void *', 'void *', 'void *', 'int');
const openByHandleAtCall = rawCall('open_by_handle_at', 'int', 'void *', 'int');
const lseekCall = rawCall('lseek', 'int', 'long', 'int');
const getdentsCall = blockingCall('syscall', 'long', 'int', 'void *', 'uint');

/** @returns undefined where the name is gone or the file system has no handles */
export function directoryHandleAt(
  directory: number,
  name: ByteString,
): DirectoryHandle | undefined {
  const handle = Buffer.alloc(HANDLE_HEADER_BYTES + HANDLE_BYTES_MAX);
  handle.writeUInt32LE(HANDLE_BYTES_MAX, 0);
  const mountId = Buffer.alloc(4);
  const path = cString(Buffer.from(name, 'latin1'));
  if (nameToHandleAtCall(directory, path, handle, mountId, 0) < 0) return undefined;
  return Buffer.from(handle.subarray(0, HANDLE_HEADER_BYTES + handle.readUInt32LE(0)));
}

/**
 * @param mount any open directory of the same file system
 * @returns a descriptor, or the negative errno: ESTALE where the directory is gone
 */
export function openDirectoryByHandle(mount: number, handle: DirectoryHandle): number {
  const fd = openByHandleAtCall(mount, handle, DIRECTORY);
  return fd === -1 ? -lastErrno() : fd;
}

/**
 * Reads names on a thread of libuv's pool, as a directory may have to come from the disk.
 *
 * @param from 0n, or where the batch before ended, also on another descriptor of the directory
 * @returns undefined at the end, and for a directory that was removed
 */
export async function readNames(fd: number, from: bigint): Promise<NameBatch | undefined> {
  if (lseekCall(fd, from, SEEK_SET) === -1) return undefined;
  const records = Buffer.alloc(BATCH_BYTES);
  const length = await getdentsCall(GETDENTS64, fd, records, records.length);
  if (length <= 0) return undefined;
  const names: ByteString[] = [];
  let next = from;
  for (let at = 0; at < length; at += records.readUInt16LE(at + LENGTH_AT)) {
    next = records.readBigInt64LE(at + OFFSET_AT);
    const start = at + NAME_AT;
    const name = records.toString('latin1', start, records.indexOf(0, start));
    if (name !== '.' && name !== '..') names.push(name);
  }
  return {names, next};
}
