import {
  closeSync,
  fstatSync,
  openSync,
  readSync,
  statSync,
  writeSync,
  type BigIntStats,
} from 'node:fs';
import {close} from '../sys/libc.ts';
import {createMemoryFile, sealMemoryFile} from '../sys/memory-file.ts';

/** Larger ones are not copied: what stays in memory has to be worth it (runc has 10 MB). */
const PROGRAM_BYTES_MAX = 32 * 1024 * 1024;
const COPY_BYTES = 1024 * 1024;
const ELF_MAGIC = Buffer.from('\x7fELF', 'latin1');

/**
 * Keeps a program in memory, sealed against every change, and says what to execute.
 *
 * runc copies itself into such a file for each container and each exec, so that a container cannot
 * write to the host's program (CVE-2019-5736); one that is sealed already is taken as it is
 * (runc 1.5 `libcontainer/exeseal`). Where the program lies on a file system that an overlay can be
 * put on, runc has a cheaper way and gains nothing here; on an overlay it is a third of an exec.
 *
 * @param path of the program; read again when another file lies there
 * @returns a function that gives a path to execute while this process lives: the sealed copy's, or
 *   `path` itself when it is a script, too large, missing, or the kernel allows no such copies
 */
export function sealProgram(path: string): () => string {
  let sealed: {readonly fd: number; readonly of: BigIntStats} | undefined;
  let refused: BigIntStats | undefined;
  return () => {
    const found = statSync(path, {bigint: true, throwIfNoEntry: false});
    if (found === undefined) return path; // the caller's own attempt says so
    if (sealed !== undefined && isSame(sealed.of, found)) return pathOf(sealed.fd);
    if (refused !== undefined && isSame(refused, found)) return path;
    if (sealed !== undefined) close(sealed.fd);
    const fd = sealedCopy(path);
    sealed = fd === undefined ? undefined : {fd, of: found};
    refused = fd === undefined ? found : undefined;
    return fd === undefined ? path : pathOf(fd);
  };
}

function pathOf(fd: number): string {
  return `/proc/${process.pid}/fd/${fd}`;
}

function isSame(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.ctimeNs === b.ctimeNs;
}

function sealedCopy(path: string): number | undefined {
  let source: number | undefined;
  let copy: number | undefined;
  try {
    source = openSync(path, 'r');
    if (fstatSync(source).size > PROGRAM_BYTES_MAX) return undefined;
    const chunk = Buffer.allocUnsafe(COPY_BYTES);
    let bytes = readSync(source, chunk);
    if (!chunk.subarray(0, bytes).subarray(0, ELF_MAGIC.length).equals(ELF_MAGIC)) return undefined;
    copy = createMemoryFile('oci-runtime');
    for (; bytes > 0; bytes = readSync(source, chunk)) {
      for (let written = 0; written < bytes;) {
        written += writeSync(copy, chunk, written, bytes - written);
      }
    }
    sealMemoryFile(copy);
    const done = copy;
    copy = undefined;
    return done;
  } catch {
    return undefined; // the program itself can be executed all the same
  } finally {
    if (source !== undefined) closeSync(source);
    if (copy !== undefined) close(copy);
  }
}
