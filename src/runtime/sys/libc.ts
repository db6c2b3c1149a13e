import {constants} from 'node:os';
import koffi from 'koffi';

/** A C type as the library declares it; `pointer` takes a Buffer, a typed array or null. */
type CType = 'int' | 'uint' | 'long' | 'ulong' | 'uint64' | 'void *';
type Arguments<Types extends readonly CType[]> = {
  readonly [Index in keyof Types]: Types[Index] extends 'void *'
    ? Uint8Array | null
    : number | bigint;
};

/** What a failed system call throws, shaped like the errors of node:fs. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string;
}

const library = koffi.load('libc.so.6');
// Of two names for one number (EAGAIN and EWOULDBLOCK) the one that node:fs uses comes first.
const errorNames = new Map(
  Object.entries(constants.errno)
    .toReversed()
    .map(([name, value]) => [value, name]),
);

/**
 * Declares a C function whose failure is −1 with the reason in errno.
 *
 * The call runs on the calling thread, at once. `path` arguments are made by `cString`.
 * @returns a function that returns the C function's result, or throws a `SystemError`
 */
export function systemCall<const Types extends readonly CType[]>(
  name: string,
  ...types: Types
): (...given: Arguments<Types>) => number {
  const raw = rawCall(name, ...types);
  return (...given) => {
    const result = raw(...given);
    if (result === -1) throw systemError(name, koffi.errno());
    return result;
  };
}

/** Declares a C function whose result is judged by the caller (posix_spawn returns the errno). */
export function rawCall<const Types extends readonly CType[]>(
  name: string,
  ...types: Types
): (...given: Arguments<Types>) => number {
  const call = library.func(name, RESULTS[name] ?? 'int', [...types]);
  return (...given) => Number(call(...given));
}

/**
 * Closes a descriptor that a call of this folder opened. (`closeSync` does too, but in a worker
 * it warns of descriptors that node:fs did not open.)
 */
export function close(fd: number): void {
  closeCall(fd);
}

/** Declares a C function that may block: it runs on a thread of libuv's pool, its errno is lost. */
export function blockingCall<const Types extends readonly CType[]>(
  name: string,
  ...types: Types
): (...given: Arguments<Types>) => Promise<number> {
  const call = library.func(name, 'int', [...types]);
  return (...given) =>
    new Promise((resolve, reject) => {
      call.async(...given, (error: Error | null, result: number) => {
        if (error === null) resolve(result);
        else reject(error);
      });
    });
}

/** C functions whose result is wider than `int`. */
const RESULTS: Readonly<Record<string, CType>> = {
  syscall: 'long',
  read: 'long',
  write: 'long',
  send: 'long',
  sendto: 'long',
  lgetxattr: 'long',
  llistxattr: 'long',
  lseek: 'long',
};

/** The reason of the call that failed last on this thread. */
export function lastErrno(): number {
  return koffi.errno();
}

/** The address that a C structure of pointers holds for `memory`, which must outlive the call. */
export function addressOf(memory: Uint8Array): bigint {
  return koffi.address(memory);
}

/** A system call's failure with `code`, `errno` (negative, as in node:fs) and `syscall`. */
export function systemError(syscall: string, errno: number, path?: string): SystemError {
  const code = errorNames.get(errno) ?? `E${errno}`;
  const about = path === undefined ? '' : ` '${path}'`;
  return Object.assign(new Error(`${code}: ${syscall}${about}`), {
    code,
    errno: -errno,
    syscall,
    ...(path === undefined ? {} : {path}),
  });
}

/**
 * A C string. File names of archives are bytes, so bytes are taken as they are.
 * @throws TypeError for a NUL byte inside, which C would take for the end
 */
export function cString(text: string | Uint8Array): Uint8Array {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  if (bytes.includes(0)) throw new TypeError(`a NUL byte in ${JSON.stringify(String(text))}`);
  return Buffer.concat([bytes, TERMINATOR]);
}

const TERMINATOR = Buffer.of(0);
const closeCall = systemCall('close', 'int');
