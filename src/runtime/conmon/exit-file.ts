import {access, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';

/** How a container's process ended, as conmon wrote it down. */
export interface ContainerExit {
  /** 0–255; 128 + n when signal n ended it. */
  readonly exitCode: number;
  /** Nanoseconds since 1970: when conmon saw the end. */
  readonly finishedAt: bigint;
}

/** The exit code of a container whose own was lost, because its conmon was killed. */
export const EXIT_CODE_UNKNOWN = 255;

const EXIT_BYTES_MAX = 16;

/**
 * Reads an exit file. conmon writes it by rename, so it is whole or absent.
 *
 * @returns `undefined` when there is none, or when it holds no exit code
 */
export async function readExitFile(path: string): Promise<ContainerExit | undefined> {
  try {
    const {mtimeNs, size} = await stat(path, {bigint: true});
    if (size > EXIT_BYTES_MAX) return undefined;
    const text = await readFile(path, 'latin1');
    return /^[0-9]{1,3}$/.test(text) ? {exitCode: Number(text), finishedAt: mtimeNs} : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export interface PersistedExit extends ContainerExit {
  /** True when the kernel killed a process of the container for want of memory. */
  readonly oomKilled: boolean;
}

/**
 * What is known of a container's end from its persist folder.
 *
 * @param oomKills how many processes of the container's cgroup the kernel has killed for memory,
 *   `undefined` when the cgroup is gone. It decides alone when it is known: on cgroup v1 conmon's
 *   note comes from an eventfd, which also fires when a process waits for memory and gets it,
 *   and when the cgroup is removed.
 * @returns `undefined` while the container runs, and when its conmon was killed
 */
export async function readExit(
  persistDirectory: string,
  oomKills?: number,
): Promise<PersistedExit | undefined> {
  const exit = await readExitFile(join(persistDirectory, 'exit'));
  if (exit === undefined) return undefined;
  const oomKilled =
    oomKills === undefined ? await exists(join(persistDirectory, 'oom')) : oomKills > 0;
  return {...exit, oomKilled};
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
