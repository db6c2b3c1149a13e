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
 * Makes an empty file in memory that may be executed and sealed (memfd_create(2)).
 *
 * @param name as /proc shows it
 * @returns a file descriptor that no child inherits, to be closed by the caller
 */
export function createMemoryFile(name: string): number {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  try {
    return memfdCreate(cString(name), flags | MFD_EXEC);
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
    return memfdCreate(cString(name), flags); // an older kernel: executable as it is
  }
}

/** Takes every right to change the file's content or size away, from everybody and for good. */
export function sealMemoryFile(fd: number): void {
  fcntl(fd, F_ADD_SEALS, SEALS_ALL);
}
