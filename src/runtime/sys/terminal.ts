import {closeSync, constants, openSync} from 'node:fs';
import {systemCall} from './libc.ts';

/** Both ends of a pseudo-terminal, as file descriptors that the caller closes. */
export interface Terminal {
  /** The end that reads what programs write. */
  readonly primary: number;
  /** The end that programs have as their terminal. */
  readonly replica: number;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

const TIOCSWINSZ = 0x5414;
const TIOCSPTLCK = 0x4004_5431;
const TIOCGPTPEER = 0x5441;
const OPEN_FLAGS = constants.O_RDWR | constants.O_NOCTTY;
const O_CLOEXEC = 0o2000000;

const ioctlPointer = systemCall('ioctl', 'int', 'ulong', 'void *');
const ioctlNumber = systemCall('ioctl', 'int', 'ulong', 'ulong');

/** Opens a pseudo-terminal; the replica comes from the primary itself, so no path can mislead. */
export function openTerminal(): Terminal {
  const primary = openSync('/dev/ptmx', OPEN_FLAGS);
  try {
    ioctlPointer(primary, TIOCSPTLCK, Buffer.alloc(4));
    return {primary, replica: ioctlNumber(primary, TIOCGPTPEER, OPEN_FLAGS | O_CLOEXEC)};
  } catch (error) {
    closeSync(primary);
    throw error;
  }
}

/** Tells the programs on the terminal its size (they get SIGWINCH). @param fd either end */
export function setTerminalSize(fd: number, {rows, columns}: TerminalSize): void {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(columns, 2);
  ioctlPointer(fd, TIOCSWINSZ, size);
}
