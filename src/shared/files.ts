import {randomBytes} from 'node:crypto';
import {mkdir, open, rename, rm} from 'node:fs/promises';
import {dirname} from 'node:path';

export interface WriteFileOptions {
  /** Permission bits, e.g. 0o600; default 0o644. */
  readonly mode?: number;
}

/**
 * Replaces a file so that a reader, or a crash, sees the old or the new content and never half of
 * it: temporary file beside it, fsync, rename. Creates missing parent directories.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  {mode = 0o644}: WriteFileOptions = {},
): Promise<void> {
  await mkdir(dirname(path), {recursive: true});
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, {force: true});
    throw error;
  }
}
