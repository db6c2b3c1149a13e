import {mkdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {digestOfBytes} from '#shared/oci/digest';
import {platformOf} from '#shared/oci/platform';
import {run} from '#shared/local-process';
import {unpackDebianPackages} from '#test/debian-packages';

/** Name of the image that {@link busyboxArchive} makes. */
export const BUSYBOX_IMAGE = 'example.com/test/busybox:1';

/** Commands that the tests use; all are one static program. */
const APPLETS = [
  'cat', 'date', 'dd', 'echo', 'env', 'false', 'grep', 'head', 'hostname', 'id', 'ip', 'kill',
  'ls', 'mkdir', 'mount', 'nc', 'ping', 'ps', 'readlink', 'sh', 'sleep', 'stat', 'tail', 'touch',
  'true', 'umount', 'wc', 'wget', 'yes',
]; // prettier-ignore

/**
 * Makes an image of Debian's static busybox, as `docker save` would write it.
 *
 * @param folder an empty place for it; the test removes it
 * @returns the path of the archive
 */
export async function busyboxArchive(folder: string, signal: AbortSignal): Promise<string> {
  await mkdir(folder, {recursive: true});
  const must = async (argv: readonly string[]): Promise<void> => {
    const {exitCode, stderr} = await run(argv, {signal, cwd: folder});
    if (exitCode !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  };
  await unpackDebianPackages(['busybox-static'], {root: join(folder, 'package'), signal});
  const root = join(folder, 'root');
  for (const name of ['bin', 'etc', 'proc', 'dev', 'sys', 'tmp', 'root', 'data']) {
    await mkdir(join(root, name), {recursive: true});
  }
  await must([
    'sh',
    '-c',
    'cp package/bin/busybox root/bin/ 2>/dev/null || cp package/usr/bin/busybox root/bin/',
  ]);
  await must(['chmod', '1777', 'root/tmp']);
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet));
  await writeFile(
    join(root, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/:/bin/sh\n',
  );
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nweb:x:1001:\nextra:x:2000:web\n');
  await must(['tar', '--owner=0', '--group=0', '-C', 'root', '-cf', 'layer.tar', '.']);
  await writeArchiveParts(folder);
  await must(['tar', '-cf', 'image.tar', 'manifest.json', 'config.json', 'layer.tar']);
  await rm(root, {recursive: true});
  return join(folder, 'image.tar');
}

async function writeArchiveParts(folder: string): Promise<void> {
  const layer = await readFile(join(folder, 'layer.tar'));
  const config = {
    os: 'linux',
    architecture: platformOf(process.arch).architecture,
    config: {
      Env: ['PATH=/bin', 'FROM_IMAGE=yes'],
      Cmd: ['sleep', '1000'],
      WorkingDir: '/',
      Volumes: {'/data': {}, '/srv/volume': {}}, // the second is in no layer
    },
    rootfs: {type: 'layers', diff_ids: [digestOfBytes(layer)]},
  };
  const manifest = [{Config: 'config.json', RepoTags: [BUSYBOX_IMAGE], Layers: ['layer.tar']}];
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
}
