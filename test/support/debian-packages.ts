import {mkdir, mkdtemp, readdir, rename, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {aptGet} from '#shared/apt';
import {run} from '#shared/local-process';
import {defaultCacheDirectory} from '#artifacts/cache';

/** The outside is asked once for each package, and not in every run of the tests. */
const DOWNLOADS = join(defaultCacheDirectory(), 'test-packages');

/**
 * Unpacks packages of this machine's Debian into `root`, without installing them: no service is
 * started, nothing is overwritten.
 *
 * @throws Error with apt's own words
 */
export async function unpackDebianPackages(
  packages: readonly string[],
  {root, signal}: {readonly root: string; readonly signal: AbortSignal},
): Promise<void> {
  await mkdir(root, {recursive: true});
  for (const name of packages) {
    const file = await downloaded(name, signal);
    await must(['dpkg-deb', '--extract', file, root], {signal});
  }
}

async function downloaded(name: string, signal: AbortSignal): Promise<string> {
  const folder = join(DOWNLOADS, name);
  const found = await packageIn(folder);
  if (found !== undefined) return found;
  await mkdir(DOWNLOADS, {recursive: true});
  const own = await mkdtemp(join(DOWNLOADS, `.${name}-`));
  try {
    const {isDone, said} = await aptGet(['download', name], {signal, cwd: own});
    if (!isDone) throw new Error(`apt-get download ${name}: ${said}`);
    await rename(own, folder).catch(() => undefined); // another test was first
  } finally {
    await rm(own, {recursive: true, force: true});
  }
  const file = await packageIn(folder);
  if (file === undefined) throw new Error(`${folder} has no package after its download`);
  return file;
}

async function packageIn(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => []); // not downloaded yet
  const name = names.find(each => each.endsWith('.deb'));
  return name === undefined ? undefined : join(folder, name);
}

async function must(
  argv: readonly string[],
  options: {readonly signal: AbortSignal; readonly cwd?: string},
): Promise<void> {
  const {exitCode, stdout, stderr} = await run(argv, options);
  if (exitCode !== 0) throw new Error(`${argv.join(' ')}: ${stdout}${stderr}`);
}
