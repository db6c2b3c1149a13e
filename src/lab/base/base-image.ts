import {randomBytes} from 'node:crypto';
import {existsSync} from 'node:fs';
import {mkdir, mkdtemp, readdir, readFile, rename, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {aptGet} from '#shared/apt';
import {machineDebianMirror} from '#shared/debian-mirror';
import {CodedError} from '#shared/errors';
import type {LabErrorCode} from '../errors.ts';
import {labStep, type OnLabEvent} from '../events.ts';
import {labCacheFolder} from '../folders.ts';
import {machineCommand, quoteOutput} from '../machine-command.ts';
import {buildRepository} from '../site/package-repository.ts';
import {bootstrapCommand, recipeDigest} from './recipe.ts';

/** What all labs of this machine share; read-only once it is in the cache. */
export interface BaseImage {
  /** Root file system that hosts overlay. */
  readonly base: string;
  /** Folder that the site serves: `debian/` is the package repository. */
  readonly packages: string;
  /** Armored public key of that repository. */
  readonly repositoryKey: string;
  /** The registry's program. */
  readonly registryProgram: string;
}

const BUILDING_PREFIX = '.building-';
const CUSTOMIZE_SCRIPT = join(import.meta.dirname, 'customize.sh');

/**
 * Returns the base from the cache, and builds it there first (about a minute) where it is missing.
 * The entry appears with one rename: an interrupted build leaves nothing that looks finished.
 * The caller holds the machine's lab lock.
 *
 * @throws CodedError `ERR_LAB_NO_PACKAGE_SOURCE`, `ERR_LAB_BASE_FAILED`
 */
export async function ensureBaseImage(options: {
  readonly signal: AbortSignal;
  readonly onEvent: OnLabEvent;
}): Promise<BaseImage> {
  const {signal, onEvent} = options;
  const cache = labCacheFolder();
  const digest = recipeDigest({
    customizeScript: await readFile(CUSTOMIZE_SCRIPT, 'utf8'),
    architecture: process.arch,
    machineRelease: await readFile('/etc/os-release', 'utf8').catch(() => ''),
  });
  const image = imageIn(join(cache, digest));
  if (existsSync(image.base)) return image;
  await mkdir(cache, {recursive: true});
  await removeAbandoned(cache);
  const building = join(cache, `${BUILDING_PREFIX}${randomBytes(4).toString('hex')}`);
  await mkdir(building);
  try {
    await labStep('root file system of the hosts', onEvent, () => bootstrap(building, signal));
    await labStep("the site's packages and registry", onEvent, async () => {
      await Promise.all([
        buildRepository({
          archives: join(building, 'archives'),
          target: join(building, 'packages', 'debian'),
          publicKeyFile: imageIn(building).repositoryKey,
          signal,
        }),
        fetchRegistry(building, signal),
      ]);
    });
    await rm(join(building, 'archives'), {recursive: true});
    await rename(building, join(cache, digest));
  } finally {
    await rm(building, {recursive: true, force: true});
  }
  return image;
}

function imageIn(folder: string): BaseImage {
  return {
    base: join(folder, 'base'),
    packages: join(folder, 'packages'),
    repositoryKey: join(folder, 'repository.asc'),
    registryProgram: join(folder, 'registry', 'usr', 'bin', 'docker-registry'),
  };
}

async function removeAbandoned(cache: string): Promise<void> {
  const names = await readdir(cache);
  for (const name of names.filter(name => name.startsWith(BUILDING_PREFIX))) {
    await rm(join(cache, name), {recursive: true, force: true});
  }
}

async function bootstrap(building: string, signal: AbortSignal): Promise<void> {
  const mirror = await machineDebianMirror(signal);
  if (mirror === undefined) {
    throw new CodedError<LabErrorCode>(
      'ERR_LAB_NO_PACKAGE_SOURCE',
      "none of the machine's apt sources is a Debian archive, which the hosts are made from",
      {hint: 'add a Debian archive (or mirror) to /etc/apt/sources.list.d, then try again'},
    );
  }
  const command = bootstrapCommand({
    base: join(building, 'base'),
    packages: join(building, 'archives'),
    customizeScript: CUSTOMIZE_SCRIPT,
    mirror,
  });
  await machineCommand(command, {
    signal,
    code: 'ERR_LAB_BASE_FAILED',
    hint: 'read the message above; often the package mirror could not be reached',
  });
}

/** The machine's own package, unpacked: installing it would start a service on the machine. */
async function fetchRegistry(building: string, signal: AbortSignal): Promise<void> {
  const download = await mkdtemp(join(tmpdir(), 'slipway-registry-'));
  try {
    const argv = ['--option', 'APT::Sandbox::User=root', 'download', 'docker-registry'];
    const {isDone, said} = await aptGet(argv, {signal, cwd: download});
    if (!isDone) {
      throw new CodedError<LabErrorCode>(
        'ERR_LAB_BASE_FAILED',
        `the registry's package docker-registry could not be downloaded: ${quoteOutput(said)}`,
        {hint: 'run "apt-get update && apt-get download docker-registry" by hand'},
      );
    }
    const [archive = ''] = await readdir(download);
    await machineCommand(
      ['dpkg-deb', '--extract', join(download, archive), join(building, 'registry')],
      {signal},
    );
  } finally {
    await rm(download, {recursive: true, force: true});
  }
}
