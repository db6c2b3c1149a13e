import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import {waitFor} from '#shared/wait-for';
import {formatYaml} from '#shared/yaml';
import {SITE_ADDRESS} from '../addresses.ts';
import type {BaseImage} from '../base/base-image.ts';
import {groupProcesses, killGroup, removeGroup} from '../cgroups.ts';
import type {LabErrorCode} from '../errors.ts';
import type {LabFolders} from '../folders.ts';
import {HOST_SCRIPTS} from '../host/lab-host.ts';
import {PACKAGES_PORT, REGISTRY_PORT, REGISTRY_URL} from '../inventory-files.ts';
import {machineCommand} from '../machine-command.ts';
import {labNames} from '../names.ts';
import {FILE_SERVER_PROGRAM} from './file-server.ts';

const ANSWER_TIMEOUT_MS = 20_000;
const ANSWER_INTERVAL_MS = 25;

export interface SiteOptions {
  readonly folders: LabFolders;
  readonly image: BaseImage;
  readonly signal: AbortSignal;
}

/** Starts the OCI registry unless it runs, and waits until it answers. */
export async function startRegistry({folders, image, signal}: SiteOptions): Promise<void> {
  const config = join(folders.site, 'registry.yaml');
  await mkdir(folders.registryStorage, {recursive: true});
  await writeFileAtomic(config, formatYaml(registryConfig(folders.registryStorage)));
  await startService(folders, {
    group: labNames.registryGroup,
    argv: [image.registryProgram, 'serve', config],
    url: `${REGISTRY_URL}/v2/`,
    signal,
  });
}

/** Starts the package repository's server unless it runs, and waits until it answers. */
export async function startPackages({folders, image, signal}: SiteOptions): Promise<void> {
  await startService(folders, {
    group: labNames.packagesGroup,
    argv: [
      process.execPath,
      FILE_SERVER_PROGRAM,
      image.packages,
      SITE_ADDRESS,
      String(PACKAGES_PORT),
    ],
    url: `http://${SITE_ADDRESS}:${PACKAGES_PORT}/debian/dists/trixie/InRelease`,
    signal,
  });
}

/** Ends one service of the site at once, as a crash does. */
export async function stopService(group: string, signal: AbortSignal): Promise<void> {
  await killGroup(group, signal);
  await removeGroup(group, signal);
}

export async function isServiceRunning(group: string): Promise<boolean> {
  return (await groupProcesses(group)).size > 0;
}

async function startService(
  folders: LabFolders,
  service: {
    readonly group: string;
    readonly argv: readonly string[];
    readonly url: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const {group, argv, url, signal} = service;
  if (await isServiceRunning(group)) return;
  const log = join(folders.site, `${group}.log`);
  await machineCommand(['setsid', '--fork', join(import.meta.dirname, 'service.sh'), ...argv], {
    signal,
    env: {LAB_SERVICE: group, LAB_LOG: log, LAB_SCRIPTS: HOST_SCRIPTS},
  });
  try {
    await waitFor(async waiting => ((await answers(url, waiting)) ? true : undefined), {
      signal,
      timeoutMs: ANSWER_TIMEOUT_MS,
      intervalMs: ANSWER_INTERVAL_MS,
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw new CodedError<LabErrorCode>(
      'ERR_LAB_SITE_FAILED',
      `${url} did not answer within ${ANSWER_TIMEOUT_MS / 1000} s of the start of ${group}`,
      {hint: `read ${log}; "provision lab down" and "up" start afresh`, cause},
    );
  }
}

async function answers(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(url, {method: 'HEAD', signal});
    return response.ok;
  } catch {
    signal.throwIfAborted();
    return false; // not listening yet
  }
}

function registryConfig(storage: string): Readonly<Record<string, unknown>> {
  return {
    version: 0.1,
    log: {level: 'warn', accesslog: {disabled: true}},
    storage: {filesystem: {rootdirectory: storage}, delete: {enabled: true}},
    http: {addr: `${SITE_ADDRESS}:${REGISTRY_PORT}`},
  };
}
