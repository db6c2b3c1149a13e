import {mkdir, open} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';

const PAGE = Buffer.alloc(4096, 1);

/**
 * Writes a file below `folder` until its file system, a small tmpfs, has room for so many small
 * files only.
 *
 * @returns the file, whose removal makes room again
 */
export async function fillDisk(folder: string, {leave = 0} = {}): Promise<string> {
  const aside = join(folder, '.quarantine'); // where a store of records does not look
  await mkdir(aside, {recursive: true});
  const path = join(aside, 'filled');
  await using file = await open(path, 'w');
  let bytes = 0;
  try {
    for (;;) bytes += (await file.write(PAGE)).bytesWritten;
  } catch (error) {
    if (!isErrno(error, 'ENOSPC')) throw error;
  }
  await file.truncate(bytes - leave * PAGE.length);
  return path;
}
