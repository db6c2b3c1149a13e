import {readdir, rmdir} from 'node:fs/promises';
import {join} from 'node:path';

const ROOT = '/sys/fs/cgroup';
const OURS = /^slipway(-conmon-.+)?$/;

/**
 * Removes what a daemon that was killed for good had no time to remove: its monitors' cgroups and
 * the default parent of pods. Only empty ones go; the kernel refuses the others.
 */
export async function removeEmptyCgroups(): Promise<void> {
  for (const hierarchy of await readdir(ROOT)) {
    const names = await readdir(join(ROOT, hierarchy)).catch(() => []);
    for (const name of names.filter(candidate => OURS.test(candidate))) {
      const path = join(ROOT, hierarchy, name);
      for (const child of await readdir(path, {withFileTypes: true}).catch(() => [])) {
        if (child.isDirectory()) await rmdir(join(path, child.name)).catch(() => undefined);
      }
      await rmdir(path).catch(() => undefined);
    }
  }
}
