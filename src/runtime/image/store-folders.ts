import {chmod, mkdir} from 'node:fs/promises';
import {join} from 'node:path';

/**
 * What lies where in the image store's folder:
 *
 *     journal       which images and layers exist
 *     lock          held by the daemon that uses the store
 *     configs/      <hex of the image's id>: configurations as transferred
 *     layers/       <short name>: the tree of a layer, a lower directory of overlay mounts
 *     staging/      layers on their way; garbage when the daemon starts
 *     trash/        what is on its way out
 *     rootfs/       <container id>/{record.json, upper, work, merged}
 *     empty/        the lower directory of an image without layers
 */
export interface StoreFolders {
  readonly root: string;
  readonly journal: string;
  readonly lock: string;
  readonly configs: string;
  readonly layers: string;
  readonly staging: string;
  readonly trash: string;
  readonly rootfs: string;
  readonly empty: string;
}

/** Makes what is missing. Only root may look inside: layers hold set-user-ID programs. */
export async function makeStoreFolders(root: string): Promise<StoreFolders> {
  const folders = {
    root,
    journal: join(root, 'journal'),
    lock: join(root, 'lock'),
    configs: join(root, 'configs'),
    layers: join(root, 'layers'),
    staging: join(root, 'staging'),
    trash: join(root, 'trash'),
    rootfs: join(root, 'rootfs'),
    empty: join(root, 'empty'),
  };
  const {configs, layers, staging, trash, rootfs, empty} = folders;
  for (const path of [rootfs, empty]) await mkdir(path, {recursive: true});
  for (const path of [configs, layers, staging, trash]) {
    await mkdir(path, {recursive: true, mode: 0o700});
  }
  // A container's init with a user namespace of its own has to get to its root file system.
  for (const path of [root, rootfs, empty]) await chmod(path, 0o711);
  return folders;
}
