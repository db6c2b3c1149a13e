import {link, mkdir, open, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from '#shared/local-process';
import {defaultCacheDirectory} from '#artifacts/cache';
import type {ArtifactName} from '#artifacts/artifact';
import {openArtifactStore} from '#artifacts/store';
import {FOLDER} from './the-lab.ts';

const {signal} = new AbortController();

/**
 * A cache of its own in which one program has a wrong byte, with size and times as they were: the
 * bytes that leave this machine are then not those of the lock file, as after a fault of a disk.
 *
 * @returns the environment that makes `provision` use it
 */
export async function spoiledCache(name: ArtifactName): Promise<Readonly<Record<string, string>>> {
  const store = await openArtifactStore({source: 'packages', signal});
  const {path, sha256} = await store.artifact(name);
  const home = join(FOLDER, 'e2e-cache');
  await rm(home, {recursive: true, force: true});
  for (const folder of ['blobs', 'records']) {
    const [from, to] = [join(defaultCacheDirectory(), folder), join(home, 'slipway', folder)];
    await mkdir(to, {recursive: true});
    for (const file of await readdir(from)) await link(join(from, file), join(to, file));
  }
  const spoiled = join(home, 'slipway', 'blobs', sha256);
  await rm(spoiled);
  // cp and touch keep times to the nanosecond, which Node's own functions do not.
  await mustRun(['cp', '--preserve=all', path, spoiled]);
  const file = await open(spoiled, 'r+');
  await file.write(Buffer.from('spoiled'), 0, 7, 1024);
  await file.close();
  await mustRun(['touch', `--reference=${path}`, spoiled]);
  return {XDG_CACHE_HOME: home};
}

async function mustRun(argv: readonly string[]): Promise<void> {
  const {exitCode, stderr} = await run(argv, {signal});
  if (exitCode !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
}
