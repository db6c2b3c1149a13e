import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {imageCatalogue} from '#artifacts/images/image-catalogue';
import {pushImages} from '#artifacts/images/push';
import {type ArtifactStore, openArtifactStore} from '#artifacts/store';
import {waitFor} from '#shared/wait-for';
import {unpackRegistry} from '#test/debian-registry';
import {runtimePrograms} from '#test/runtime-programs';
import {preparePullImage, pushPullImage} from './pull-image.ts';

/** What both peers run on: the same runc, the same plugins, the same images. */
export interface PeerPrograms {
  readonly containerd: string;
  readonly shim: string;
  readonly runc: string;
  readonly conmon: string;
  readonly slipwayExec: string;
  readonly cniDirectory: string;
  /** Entry of our daemon's bundle. */
  readonly daemon: string;
  /** `host:port`, the same in each peer's network namespace. */
  readonly registryHost: string;
  readonly registryCommand: readonly string[];
  readonly pauseReference: string;
  readonly podImage: string;
  readonly pullImage: string;
  readonly pullBytes: number;
}

const REGISTRY_PORT = 5999;
const REGISTRY_HOST = `127.0.0.1:${REGISTRY_PORT}`;
const STARTED_MS = 20_000;

/** Gets everything from the artifact store into `folder`, and fills a registry with the images. */
export async function preparePrograms(
  {folder, cacheFolder, daemon}: {folder: string; cacheFolder: string; daemon: string},
  signal: AbortSignal,
): Promise<PeerPrograms> {
  const store = await openArtifactStore({source: 'packages', signal});
  const {runc, conmon, slipwayExec, cniBinDirectory} = await runtimePrograms(folder, signal);
  const registryCommand = await prepareRegistry(folder);
  const pullBytes = await fillRegistry({store, cacheFolder, registryCommand}, signal);
  const named = (reference: string) => `${REGISTRY_HOST}/${reference.replace(/^[^/]+\//, '')}`;
  return {
    containerd: (await store.artifact('containerd')).path,
    shim: (await store.artifact('containerd-shim-runc-v2')).path,
    runc,
    conmon,
    slipwayExec,
    cniDirectory: cniBinDirectory,
    daemon,
    registryHost: REGISTRY_HOST,
    registryCommand,
    pauseReference: named(imageCatalogue.pause.reference),
    podImage: named(imageCatalogue.proof.reference),
    pullImage: `${REGISTRY_HOST}/bench/pull:latest`,
    pullBytes,
  };
}

async function prepareRegistry(folder: string): Promise<readonly string[]> {
  const home = join(folder, 'registry');
  await mkdir(home, {recursive: true});
  const program = await unpackRegistry(home);
  const file = join(home, 'registry.yml');
  const text = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${join(home, 'data')}}}
http: {addr: ${REGISTRY_HOST}}
`;
  await writeFile(file, text);
  return [program, 'serve', file];
}

async function fillRegistry(
  {
    store,
    cacheFolder,
    registryCommand,
  }: {store: ArtifactStore; cacheFolder: string; registryCommand: readonly string[]},
  signal: AbortSignal,
): Promise<number> {
  const [program = '', ...args] = registryCommand;
  const registry = spawn(program, args, {stdio: 'ignore'});
  const ended = once(registry, 'exit');
  const registryUrl = `http://${REGISTRY_HOST}`;
  try {
    const answers = async () =>
      (await fetch(`${registryUrl}/v2/`).catch(() => undefined))?.ok ? true : undefined;
    await waitFor(answers, {signal, timeoutMs: STARTED_MS, intervalMs: 20});
    const references = [imageCatalogue.pause.reference, imageCatalogue.proof.reference];
    await pushImages({registryUrl, store, references, compression: 'gzip', signal});
    const layers = await preparePullImage(cacheFolder);
    return await pushPullImage({folder: cacheFolder, registryUrl, signal}, layers);
  } finally {
    registry.kill();
    await ended;
  }
}
