import {existsSync} from 'node:fs';
import {copyFile, mkdir, readFile, statfs} from 'node:fs/promises';
import {CodedError} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import type {LabErrorCode} from '../errors.ts';
import type {OnLabEvent} from '../events.ts';
import {labCacheFolder, type LabFolders} from '../folders.ts';
import {type BaseImage, ensureBaseImage} from './base-image.ts';

const OVERLAYFS_MAGIC = 0x794c7630; // statfs(2), OVERLAYFS_SUPER_MAGIC

/**
 * The image that the lab runs on. It is chosen once and stays the same while the lab exists, so a
 * host that starts later has the same base as the others.
 */
export async function ensureLabImage(
  folders: LabFolders,
  options: {readonly signal: AbortSignal; readonly onEvent: OnLabEvent},
): Promise<BaseImage> {
  const known = await readLabImage(folders);
  if (known !== undefined) return known;
  const image = await ensureBaseImage(options);
  await refuseOverlay(labCacheFolder());
  await mkdir(folders.site, {recursive: true});
  await copyFile(image.repositoryKey, folders.repositoryKey);
  await writeFileAtomic(folders.imageFile, `${JSON.stringify(image, undefined, 2)}\n`);
  return image;
}

/** The image chosen before; undefined for a new lab, and when the cache has lost it. */
export async function readLabImage(folders: LabFolders): Promise<BaseImage | undefined> {
  const text = await readFile(folders.imageFile, 'utf8').catch(() => undefined); // a new lab
  if (text === undefined) return undefined;
  const image = JSON.parse(text) as BaseImage; // written above, by this program only
  return existsSync(image.base) ? image : undefined;
}

/** @throws CodedError `ERR_LAB_FILE_SYSTEM`: an overlay cannot lie on an overlay */
export async function refuseOverlay(folder: string): Promise<void> {
  const {type} = await statfs(folder);
  if (type !== OVERLAYFS_MAGIC) return;
  throw new CodedError<LabErrorCode>(
    'ERR_LAB_FILE_SYSTEM',
    `${folder} is on overlayfs (inside a container?), and hosts need ext4, xfs or btrfs there`,
    {hint: 'put the checkout and XDG_CACHE_HOME on a disk or volume, then try again'},
  );
}
