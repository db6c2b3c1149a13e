import type {Secret} from '#shared/secret';

/** The desired cluster: an immutable value made by `config/`, with every default applied. */
export interface Cluster {
  readonly name: string;
  /** Directory of cluster.yaml; journal, lock file and kubeconfig live beside it. */
  readonly directory: string;
  readonly kubernetesVersion: string; // e.g. "1.36.3"
  readonly hosts: readonly Host[]; // sorted by name; at least one
  readonly endpoint: {readonly host: string; readonly port: number};
  readonly certSANs: readonly string[];
  readonly network: Network;
  readonly runtime: Runtime;
  /** Fields merged into KubeletConfiguration (kubelet.config.k8s.io/v1beta1) of every host. */
  readonly kubeletConfig: Readonly<Record<string, unknown>>;
  readonly os: OsSettings;
  readonly artifactsSource: ArtifactsSource;
  /** Registry that hosts pull every image from, e.g. `http://10.0.0.2:5000`. */
  readonly registryUrl: string | undefined;
  readonly certificates: CertificateSettings;
  readonly preflight: {
    /** kubeadm's names of checks, e.g. `SystemVerification`; also handed to kubeadm. */
    readonly ignore: readonly string[];
    readonly memoryMinimumBytes: number;
  };
}

export type ArtifactsSource = 'release' | 'packages' | 'bundle';

export interface Network {
  readonly podCIDR: string;
  readonly serviceCIDR: string;
  readonly dnsDomain: string;
  /** The Service address of cluster DNS: the tenth of serviceCIDR. */
  readonly dnsAddress: string;
  readonly cni: {readonly name: 'flannel'};
  readonly proxy: {
    readonly mode: 'nftables' | 'iptables';
    /** KubeProxyConfiguration.conntrack: 0 leaves the kernel's values alone. */
    readonly conntrack: {readonly maxPerCore: number; readonly min: number};
  };
}

export type RuntimeName = 'slipway' | 'containerd';

/** Settings of the container runtimes of all hosts; which one a host has, it says itself. */
export interface Runtime {
  /** For containerd on machines without CAP_SYS_RESOURCE: never ask for a lower oom_score_adj than our own. */
  readonly restrictOomScoreAdj: boolean;
}

export interface OsSettings {
  /** Extra kernel settings by key, written beside our own. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** An apt repository to install packages from, for sites without another. */
  readonly packageRepository: PackageRepository | undefined;
}

export interface PackageRepository {
  readonly url: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** The repository's public key, ASCII-armoured, read from the path given in cluster.yaml. */
  readonly publicKey: string;
}

export interface CertificateSettings {
  /** Whether the certificate controller is installed. */
  readonly enabled: boolean;
  /** In the order of cluster.yaml; none where it is not. */
  readonly issuers: readonly IssuerSettings[];
}

export interface IssuerSettings {
  readonly name: string;
  /** Of an Issuer; undefined for a ClusterIssuer. */
  readonly namespace: string | undefined;
  readonly source: IssuerSource;
}

/** What an issuer signs with. */
export type IssuerSource =
  | {readonly kind: 'self-signed'; readonly crlDistributionPoints: readonly string[]}
  /** A CA that the controller makes; its key never leaves the cluster. */
  | {readonly kind: 'generated-ca'; readonly commonName: string; readonly duration: string}
  /** A Secret of somebody else. */
  | {readonly kind: 'ca-secret'; readonly secretName: string}
  /** Undefined for commands that do not need them: see `LoadOptions.secrets`. */
  | {readonly kind: 'ca-key-pair'; readonly keyPair: CaKeyPair | undefined};

export interface CaKeyPair {
  /** PEM, the CA's own certificate first. */
  readonly certificate: string;
  readonly privateKey: Secret; // PEM
}

export interface Host {
  readonly name: string;
  readonly address: string; // how the operator reaches it
  readonly internalAddress: string; // how hosts reach each other; the node's InternalIP
  readonly port: number;
  readonly user: string;
  readonly privateKeyPaths: readonly string[];
  readonly hostKeys: readonly string[];
  readonly groups: readonly string[]; // kube_control_plane, kube_node, and any others
  readonly isControlPlane: boolean;
  readonly isWorker: boolean;
  /** What runs its containers. */
  readonly runtime: RuntimeName;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
}

export interface Taint {
  readonly key: string;
  readonly value: string;
  readonly effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}
