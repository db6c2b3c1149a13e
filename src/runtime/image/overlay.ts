import {closeSync, mkdirSync, readFileSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {openDirectory} from '../sys/files.ts';
import {mount, unmount} from '../sys/mount.ts';

export interface OverlayMount {
  /** The folder that all lower directories lie in. */
  readonly layersDirectory: string;
  /** Names in it, the uppermost first; at least one. */
  readonly lowers: readonly string[];
  readonly upperDirectory: string;
  readonly workDirectory: string;
  readonly target: string;
}

/** mount(2) takes one page of options and ends it with a NUL. */
const OPTION_BYTES_MAX = 4095;

/**
 * Mounts an overlay file system. `index=off`, because an upper directory may meet other lower ones
 * after a restore; the rest is the kernel's default.
 */
export function mountOverlay({
  layersDirectory,
  lowers,
  upperDirectory,
  workDirectory,
  target,
}: OverlayMount): void {
  const optionsIn = (folder: string) =>
    `lowerdir=${lowers.map(name => `${folder}/${name}`).join(':')}` +
    `,upperdir=${upperDirectory},workdir=${workDirectory},index=off`;
  const data = optionsIn(layersDirectory);
  if (Buffer.byteLength(data) <= OPTION_BYTES_MAX) {
    mount({source: 'overlay', target, type: 'overlay', data});
    return;
  }
  // Many layers under a long path: an open folder has a short name, valid during the call.
  const fd = openDirectory(layersDirectory);
  try {
    mount({source: 'overlay', target, type: 'overlay', data: optionsIn(`/proc/self/fd/${fd}`)});
  } finally {
    closeSync(fd);
  }
}

/** Idempotent. A mount that is in use leaves the tree at once, and ends with its last user. */
export function unmountOverlay(target: string): void {
  try {
    unmount(target);
  } catch (error) {
    if (isErrno(error, 'EINVAL') || isErrno(error, 'ENOENT')) return;
    if (!isErrno(error, 'EBUSY')) throw error;
    unmount(target, {detach: true});
  }
}

/** Mount points under a folder, as this process sees them. */
export function mountsUnder(folder: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map(line => unescapePath(line.split(' ')[4] ?? ''))
    .filter(path => path.startsWith(`${folder}/`));
}

/** Spaces, tabs, line ends and backslashes are octal in mountinfo (proc(5)). */
function unescapePath(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/**
 * Makes sure that overlay mounts work in a folder, by making one.
 *
 * @throws CodedError ERR_STORE_UNSUPPORTED
 */
export function probeOverlay(folder: string): void {
  if (/[,:\\\n]/.test(folder)) {
    throw unsupported(folder, 'its path has a comma, a colon, a backslash or a line end');
  }
  const probe = join(folder, 'probe');
  const [upperDirectory, workDirectory, target] = ['upper', 'work', 'merged'].map(name =>
    join(probe, name),
  ) as [string, string, string];
  try {
    for (const name of ['lower', 'upper', 'work', 'merged']) {
      mkdirSync(join(probe, name), {recursive: true});
    }
    mountOverlay({
      layersDirectory: probe,
      lowers: ['lower'],
      upperDirectory,
      workDirectory,
      target,
    });
  } catch (error) {
    throw unsupported(folder, messageOf(error));
  } finally {
    unmountOverlay(target);
    rmSync(probe, {recursive: true, force: true});
  }
}

function unsupported(folder: string, reason: string): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_STORE_UNSUPPORTED',
    `${folder} cannot hold layers of images: overlay file systems do not work in it: ${reason}`,
    {hint: 'set root to a folder on ext4, xfs or tmpfs, and run the daemon as root'},
  );
}
