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
const SEALS = 0x0f;
const F_SEAL_EXEC = 0x20; // since Linux 6.3: its permissions stay, too

/**
 * Copies a program into memory and takes every right to change the copy away, from everybody and
 * for good: what a container gets hold of through /proc is never the host's file (CVE-2019-5736).
 *
 * @returns a file descriptor that no child inherits, to be closed by the caller
 */
export function sealedCopy(path: string): number {
  const bytes = readFileSync(path);
  const {fd, seals} = createMemoryFile('sealed');
  try {
    for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written);
    fcntl(fd, F_ADD_SEALS, seals);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function createMemoryFile(name: string): {readonly fd: number; readonly seals: number} {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  try {
    return {fd: memfdCreate(cString(name), flags | MFD_EXEC), seals: SEALS | F_SEAL_EXEC};
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
    return {fd: memfdCreate(cString(name), flags), seals: SEALS}; // an older kernel
  }
}
