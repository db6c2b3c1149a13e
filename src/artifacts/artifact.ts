/** Programs that hosts or images are made of. `cni-plugins` are listed one by one. */
export type ArtifactName =
  | 'kubeadm'
  | 'kubelet'
  | 'kubectl'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kube-proxy'
  | 'etcd'
  | 'etcdctl'
  | 'etcdutl'
  | 'coredns'
  | 'flanneld'
  | 'containerd'
  | 'containerd-shim-runc-v2'
  | 'ctr'
  | 'runc'
  | 'conmon'
  | 'catatonit'
  | 'slipway-exec'
  | 'crun'
  | 'node'
  | 'slipway-cri'
  | 'slipway-cri-unpack-worker'
  | 'slipway-cri-koffi'
  | 'slipway-certs'
  | 'slipway-certs-manifests'
  | 'cni-bridge'
  | 'cni-flannel'
  | 'cni-host-local'
  | 'cni-loopback'
  | 'cni-portmap'
  | 'pause';

/** A verified file in the cache. */
export interface Artifact {
  readonly name: ArtifactName;
  readonly version: string;
  readonly arch: Arch;
  /** Lower-case hex of the file's content. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly path: string;
}

export type Arch = 'amd64' | 'arm64';

/** An image as hosts ask for it, whatever registry mirrors it. */
export interface ImageReferenceAndDigest {
  /** e.g. `registry.k8s.io/kube-apiserver:v1.36.3` */
  readonly reference: string;
  /** Manifest digest, `sha256:…`. */
  readonly digest: string;
}
