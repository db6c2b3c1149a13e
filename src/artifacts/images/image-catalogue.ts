import {CodedError} from '#shared/errors';
import {
  KUBERNETES_VERSION,
  PAUSE_VERSION,
  PROOF_VERSION,
  SLIPWAY_VERSION,
  componentOf,
} from '../catalogue.ts';
import type {FileName} from '../recipe.ts';
import type {ArtifactsErrorCode} from '../errors.ts';

/** What an image is made of, as data. */
export interface ImageSpecification {
  /** As hosts ask for it, whatever registry mirrors it. */
  readonly reference: string;
  /** Tar files of the catalogue that come first, each a layer of its own, shared between images. */
  readonly baseLayers: readonly FileName[];
  /** Path in the image → program of the catalogue. */
  readonly programs: Readonly<Record<string, FileName>>;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly user?: string;
  /** Variables beside PATH. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** References by what needs them. */
export interface ClusterImages {
  /** What hosts of the control plane pull before kubeadm is started. */
  readonly controlPlane: readonly string[];
  /** What every host runs: pause, kube-proxy, the network add-on, the proof's pods. */
  readonly worker: readonly string[];
  /** With what is started in the finished cluster: the certificate controller. */
  readonly all: readonly string[];
  readonly byRole: Readonly<Record<ImageRole, string>>;
}

export type ImageRole =
  | 'apiserver'
  | 'controllerManager'
  | 'scheduler'
  | 'proxy'
  | 'etcd'
  | 'coredns'
  | 'pause'
  | 'flannel'
  | 'proof'
  | 'certificates';

const kube = (name: FileName): string => `registry.k8s.io/${name}:${KUBERNETES_VERSION}`;
const bin = (name: FileName): Readonly<Record<string, FileName>> => ({
  [`usr/local/bin/${name}`]: name,
});

/**
 * Every image that we make. A reference carries the version that is inside: CoreDNS and etcd are
 * those of the catalogue, so kubeadm's configuration has to name them where its default differs.
 */
export const imageCatalogue: Readonly<Record<ImageRole, ImageSpecification>> = {
  apiserver: {
    reference: kube('kube-apiserver'),
    baseLayers: [],
    programs: bin('kube-apiserver'),
  },
  controllerManager: {
    reference: kube('kube-controller-manager'),
    baseLayers: [],
    programs: bin('kube-controller-manager'),
  },
  scheduler: {
    reference: kube('kube-scheduler'),
    baseLayers: [],
    programs: bin('kube-scheduler'),
  },
  proxy: {
    reference: kube('kube-proxy'),
    baseLayers: ['network-layer'],
    programs: bin('kube-proxy'),
  },
  etcd: {
    // kubeadm's tag is etcd's version and a build number of the image: ours is the first of it.
    reference: `registry.k8s.io/etcd:${componentOf('etcd').version.slice(1)}-0`,
    baseLayers: [],
    programs: {...bin('etcd'), ...bin('etcdctl'), ...bin('etcdutl')},
  },
  coredns: {
    reference: `registry.k8s.io/coredns/coredns:${componentOf('coredns').version}`,
    baseLayers: [],
    programs: {coredns: 'coredns'},
    entrypoint: ['/coredns'],
  },
  pause: {
    reference: `registry.k8s.io/pause:${PAUSE_VERSION}`,
    baseLayers: [],
    programs: {pause: 'pause'},
    entrypoint: ['/pause'],
    user: '65535:65535',
  },
  flannel: {
    reference: `ghcr.io/flannel-io/flannel:${componentOf('flanneld').version}`,
    baseLayers: ['network-layer', 'shell-layer'],
    programs: {'opt/bin/flanneld': 'flanneld', 'opt/cni/bin/flannel': 'cni-flannel'},
    entrypoint: ['/opt/bin/flanneld'],
  },
  proof: {
    reference: `slipway.invalid/proof:${PROOF_VERSION}`,
    baseLayers: ['shell-layer'],
    programs: {},
    command: ['/bin/sh'],
  },
  certificates: {
    reference: `slipway.invalid/slipway-certs:${SLIPWAY_VERSION}`,
    baseLayers: ['node-layer'],
    programs: {...bin('node'), 'opt/slipway/slipway-certs.mjs': 'slipway-certs'},
    // What the flags and variables save: docs/certificates.md, "Memory".
    entrypoint: [
      '/usr/local/bin/node',
      '--max-semi-space-size=4',
      '--optimize-for-size',
      '/opt/slipway/slipway-certs.mjs',
    ],
    environment: {UV_THREADPOOL_SIZE: '4'},
    user: '65532:65532',
  },
};

/**
 * The images of a cluster of this Kubernetes version.
 *
 * @throws CodedError ERR_ARTIFACT_VERSION_UNKNOWN when the catalogue has another
 */
export function imagesFor({kubernetesVersion}: {kubernetesVersion: string}): ClusterImages {
  if (kubernetesVersion !== KUBERNETES_VERSION) {
    throw new CodedError<ArtifactsErrorCode>(
      'ERR_ARTIFACT_VERSION_UNKNOWN',
      `the catalogue has no Kubernetes ${kubernetesVersion}, only ${KUBERNETES_VERSION}`,
      {hint: `set spec.kubernetes.version to ${KUBERNETES_VERSION}`},
    );
  }
  const byRole = Object.fromEntries(
    Object.entries(imageCatalogue).map(([role, {reference}]) => [role, reference]),
  ) as Record<ImageRole, string>; // the same keys
  const {apiserver, controllerManager, scheduler, proxy, etcd} = byRole;
  const {coredns, pause, flannel, proof, certificates} = byRole;
  const worker = [pause, proxy, flannel, coredns, proof];
  const controlPlane = [apiserver, controllerManager, scheduler, etcd, ...worker];
  return {byRole, worker, controlPlane, all: [...controlPlane, certificates]};
}

/**
 * What these references are made of; all of the catalogue without any.
 *
 * @throws CodedError ERR_ARTIFACT_VERSION_UNKNOWN for an image that we do not make
 */
export function selectImages(
  references: readonly string[] | undefined,
): readonly ImageSpecification[] {
  const all = Object.values(imageCatalogue);
  return (references ?? all.map(({reference}) => reference)).map(wanted => {
    const found = all.find(({reference}) => reference === wanted);
    if (found !== undefined) return found;
    throw new CodedError<ArtifactsErrorCode>(
      'ERR_ARTIFACT_VERSION_UNKNOWN',
      `the catalogue has no image ${wanted}`,
      {hint: `choose of: ${all.map(({reference}) => reference).join(', ')}`},
    );
  });
}
