import {closeSync, readFileSync, writeSync} from 'node:fs';
import {isErrno} from '#shared/errors';
import {cString, systemCall} from './libc.ts';

const memfdCreate = systemCall('memfd_create', 'void *', 'uint');
const fcntl = systemCall('fcntl', 'int', 'int', 'int');

const MFD_CLOEXEC = 0x01;
const MFD_ALLOW_SEALING = 0x02;
const MFD_EXEC = 0x10; // since Linux 6.3
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE of linux/fcntl.h. */
const SEALS_ALL = 0x0f;

/**
 * Copies a program into memory and takes every right to change the copy away, from everybody and
 * for good: what a container gets hold of through /proc is never the host's file (CVE-2019-5736).
 *
 * @returns a file descriptor that no child inherits, to be closed by the caller
 */
export function sealedCopy(path: string): number {
  const bytes = readFileSync(path);
  const fd = createMemoryFile('sealed');
  try {
    for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written);
    fcntl(fd, F_ADD_SEALS, SEALS_ALL);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function createMemoryFile(name: string): number {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  try {
    return memfdCreate(cString(name), flags | MFD_EXEC);
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
    return memfdCreate(cString(name), flags); // an older kernel: executable as it is
  }
}
