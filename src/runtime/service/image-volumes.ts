import {constants, mkdirSync} from 'node:fs';
import {posix} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {O_PATH, openBeneath, openDirectory} from '../sys/files.ts';
import {close} from '../sys/libc.ts';

/** Folders on the way to all volumes of an image; real ones have a handful, and each may be made. */
const FOLDERS_MAX = 1_024;

/**
 * Makes the folders that an image declares as volumes (OCI image specification, `config.Volumes`)
 * and no layer has, as CRI-O's `image_volumes = "mkdir"` does: of root, 0755. A link never leads out
 * of the root; where it leads nowhere, or a file is in the way, what the image has stays.
 *
 * @param rootfs where the container's root file system is mounted
 * @throws CodedError `ERR_IMAGE_INVALID` for paths that nobody means
 */
export function makeImageVolumes(rootfs: string, volumes: readonly string[]): void {
  if (volumes.length === 0) return;
  const paths = volumes.map(path => posix.normalize(`/${path}`).split('/').filter(Boolean));
  if (paths.flat().length > FOLDERS_MAX || volumes.some(path => path.includes('\0'))) {
    throw new CodedError<RuntimeErrorCode>(
      'ERR_IMAGE_INVALID',
      `the image declares ${volumes.length} volumes of more than ${FOLDERS_MAX} folders, or with a NUL in them`,
      {hint: 'build it again with fewer VOLUME lines'},
    );
  }
  const root = openDirectory(rootfs);
  try {
    for (const names of paths) makeFolders(root, names);
  } finally {
    close(root);
  }
}

function makeFolders(root: number, names: readonly string[]): void {
  const found = (path: readonly string[]): boolean => {
    const folder = openFolder(root, path);
    if (folder !== undefined) close(folder);
    return folder !== undefined;
  };
  if (found(names)) return;
  for (const [depth, name] of names.entries()) {
    if (found(names.slice(0, depth + 1))) continue;
    const parent = openFolder(root, names.slice(0, depth));
    if (parent === undefined) return;
    try {
      mkdirSync(`/proc/self/fd/${parent}/${name}`, {mode: 0o755});
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return; // a link to nothing, or a file
      throw error;
    } finally {
      close(parent);
    }
  }
}

/** @returns undefined where there is no such folder */
function openFolder(root: number, names: readonly string[]): number | undefined {
  try {
    const flags = O_PATH | constants.O_DIRECTORY;
    return openBeneath(root, names.length === 0 ? '.' : names.join('/'), {flags});
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR') || isErrno(error, 'ELOOP')) {
      return undefined;
    }
    throw error;
  }
}
