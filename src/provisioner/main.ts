import {readFile} from 'node:fs/promises';
import {homedir, hostname, userInfo} from 'node:os';
import {join} from 'node:path';
import {rolesByPhase} from '#roles';
import type {ArtifactProgress, OnProgress} from '#artifacts/progress';
import {imagesFor} from '#artifacts/images/image-catalogue';
import {LOCK_FILE_NAME} from '#artifacts/lock-file';
import {machineArch} from '#artifacts/sources/packages';
import {assembleArchive} from '#artifacts/images/archive';
import {findImages} from '#artifacts/images/push';
import {type ArtifactStore, openArtifactStore} from '#artifacts/store';
import type {ActionOptions, Artifacts, Environment} from './actions/environment.ts';
import {parseControllerRelease} from './certificates/controller-release.ts';
import type {Emit} from './engine/events.ts';
import type {Cluster} from './role/cluster.ts';
import {loadTemplates} from './template/templates.ts';
import {createSshConnect} from './transport/ssh.ts';

export interface EnvironmentOptions {
  readonly cluster: Cluster;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly options: ActionOptions;
  readonly acceptNewHostKeys: boolean;
  readonly run: string;
}

const TEMPLATES = new URL('../../templates', import.meta.url).pathname;

/** The composition root of the provisioner: the only place that chooses implementations. */
export async function createEnvironment(options: EnvironmentOptions): Promise<Environment> {
  const {cluster, emit, signal} = options;
  const stateDirectory = join(cluster.directory, '.provision', cluster.name);
  let artifacts: Promise<Artifacts> | undefined;
  return {
    cluster,
    emit,
    signal,
    options: options.options,
    rolesByPhase,
    render: await loadTemplates(TEMPLATES),
    clock: {now: () => new Date(), monotonicMs: () => performance.now()},
    owner: `run ${options.run} of ${userInfo().username}@${hostname()}, pid ${process.pid}`,
    knownHostsPaths: [join(homedir(), '.ssh', 'known_hosts')],
    connect: createSshConnect({
      agentSocketPath: process.env['SSH_AUTH_SOCK'],
      pinnedHostKeysPath: join(stateDirectory, 'known_hosts'),
      acceptNewHostKeys: options.acceptNewHostKeys,
    }),
    artifactsArch: machineArch(),
    artifacts: () => (artifacts ??= openArtifacts(cluster, {emit, signal})),
  };
}

/** The artifacts of a cluster, locked by the file beside cluster.yaml. */
export async function openStore(
  cluster: Cluster,
  {signal, onProgress}: {readonly signal: AbortSignal; readonly onProgress: OnProgress},
): Promise<ArtifactStore> {
  return await openArtifactStore({
    source: cluster.artifactsSource,
    lockFilePath: join(cluster.directory, LOCK_FILE_NAME),
    signal,
    onProgress,
  });
}

async function openArtifacts(
  cluster: Cluster,
  {emit, signal}: {readonly emit: Emit; readonly signal: AbortSignal},
): Promise<Artifacts> {
  const onProgress = ({component, state, seconds}: ArtifactProgress) => {
    if (state === 'cached') return;
    emit({type: 'task-progress', phase: 'artifacts', text: `${component}: ${state}`});
    if (state !== 'done') return;
    emit({type: 'message', text: `artifact ${component} made in ${seconds.toFixed(0)} s`});
  };
  const store = await openStore(cluster, {signal, onProgress});
  const {byRole} = imagesFor({kubernetesVersion: `v${cluster.kubernetesVersion}`});
  const {apiserver, controllerManager, scheduler, etcd, pause, proxy, flannel} = byRole;
  return {
    artifact: name => store.artifact(name),
    images: {
      controlPlane: [apiserver, controllerManager, scheduler, etcd],
      everyNode: [pause, proxy, flannel],
      addons: [byRole.coredns, byRole.proof],
      flannel,
      coredns: byRole.coredns,
      proof: byRole.proof,
      certificates: byRole.certificates,
    },
    controllerRelease: async () => {
      const [program, manifests] = await Promise.all([
        store.artifact('slipway-certs'),
        store.artifact('slipway-certs-manifests'),
      ]);
      return parseControllerRelease(await readFile(manifests.path, 'utf8'), program.sha256);
    },
    lockOwnImage: async reference => {
      await assembleArchive({store, references: [reference], signal});
    },
    findImages: async references => {
      const {registryUrl} = cluster;
      if (registryUrl === undefined) throw new TypeError('no registry to look into');
      return await findImages({registryUrl, references, signal});
    },
    lockedDigests: reference => store.lock.imageDigests(reference, store.arch),
    lockImages: async digests => {
      for (const [reference, digest] of digests) {
        await store.lock.admitImage({reference, arch: store.arch, digest});
      }
    },
    imageArchive: references => assembleArchive({store, references, signal}),
  };
}
