import {fstatSync, readFileSync} from 'node:fs';
import {isErrno} from '#shared/errors';
import type {LinuxContainerSecurityContext} from '../cri/gen/cri-v1_pb.ts';
import {resolveUser, type ResolvedUser} from '../spec/user.ts';
import {O_PATH, openBeneath} from '../sys/files.ts';
import {close} from '../sys/libc.ts';
import {invalidRequest} from './invalid.ts';

/** Real ones have some kB; a directory service never lies in these files. */
const ACCOUNTS_BYTES_MAX = 4 * 1024 * 1024;

/** Who the container runs as, from the request, its image and the accounts in its root. */
export function containerUser(
  context: LinuxContainerSecurityContext | undefined,
  {imageUser, rootfs}: {readonly imageUser: string; readonly rootfs: string},
): ResolvedUser {
  return resolveUser({
    runAsUser: context?.runAsUser?.value,
    runAsGroup: context?.runAsGroup?.value,
    runAsUsername: context?.runAsUsername,
    supplementalGroups: context?.supplementalGroups ?? [],
    strictGroups: context?.supplementalGroupsPolicy === 1,
    imageUser,
    passwd: readInside(rootfs, 'etc/passwd'),
    group: readInside(rootfs, 'etc/group'),
  });
}

/**
 * Reads a small file of an image, which is not to be trusted: a link never leads out of the root,
 * and a device, FIFO or socket there is never opened, which alone may do something. Read at once: it is some kB on the page cache.
 */
function readInside(rootfs: string, path: string): string {
  let file;
  try {
    file = openBeneath(rootfs, path, {flags: O_PATH});
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR') || isErrno(error, 'ELOOP')) return '';
    throw error;
  }
  try {
    const about = fstatSync(file);
    if (!about.isFile()) return '';
    if (about.size > ACCOUNTS_BYTES_MAX) {
      throw invalidRequest(`/${path} of the image has ${about.size} bytes`, 'use another image');
    }
    return readFileSync(`/proc/self/fd/${file}`, 'utf8'); // the same file, whatever its name is now
  } finally {
    close(file);
  }
}
