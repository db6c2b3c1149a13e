/** What one round trip found out about a host, before anything is planned. */
export interface Facts {
  readonly hostname: string;
  readonly os: {readonly id: string; readonly idLike: readonly string[]; readonly version: string};
  readonly prettyName: string;
  readonly kernel: string;
  readonly arch: 'amd64' | 'arm64' | undefined; // undefined: another machine type
  readonly machineId: string;
  readonly bootId: string;
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly swapDevices: readonly string[];
  readonly cgroupVersion: 1 | 2;
  /** Seconds since 1970 on the host when the script ran. */
  readonly clockSeconds: number;
  readonly systemd: boolean;
  readonly packageManager: 'apt' | undefined;
  /** Commands of the remote side that are missing. */
  readonly missingCommands: readonly string[];
  /** Listening TCP ports below 32768, sorted. */
  readonly listeningPorts: readonly number[];
  /** IPv4 addresses of the host. */
  readonly addresses: readonly InterfaceAddress[];
  readonly freeBytes: Readonly<Record<string, number>>; // by path: /, /var/lib, where known
  /** Paths of cloud-init's templates, which it may write /etc/hosts from at every boot. */
  readonly hostsTemplates: readonly string[];
  /** Managers of packet filters that are in force: firewalld, ufw. */
  readonly firewalls: readonly string[];
  /** Addresses of the name servers that pods with the host's DNS settings get; also loopback. */
  readonly nameServers: readonly string[];
  readonly existing: Existing;
}

export interface InterfaceAddress {
  readonly address: string; // without prefix length
  readonly interface: string;
}

/** Traces of a cluster or a container runtime, ours or not. */
export interface Existing {
  readonly runtimeSockets: readonly string[]; // of containerd, CRI-O, Docker
  readonly kubeletConf: boolean; // /etc/kubernetes/kubelet.conf
  readonly adminConf: boolean;
  readonly pki: boolean; // /etc/kubernetes/pki is there and not empty
  /** Directories that our programs would fill and that hold something now. */
  readonly occupied: readonly string[];
  readonly manifests: readonly string[]; // file names under /etc/kubernetes/manifests
  readonly etcdData: boolean; // /var/lib/etcd holds something beside lost+found
  /** /var/lib/etcd holds lost+found, as a file system of its own does. */
  readonly etcdLostFound: boolean;
  /** Names of network configurations in /etc/cni/net.d that a runtime would read. */
  readonly networkFiles: readonly string[];
  /** Drop-ins of the kubelet's and the runtimes' units that say themselves what is started. */
  readonly startDropIns: readonly UnitFile[];
  /** What is in the runtime's image store; undefined when no runtime answers. */
  readonly images: readonly HostImage[] | undefined;
}

export interface UnitFile {
  readonly unit: string; // e.g. kubelet.service
  readonly path: string;
}

export interface HostImage {
  readonly reference: string; // with a tag
  /** Of manifests that the image is known by, `sha256:…`. */
  readonly digests: readonly string[];
}
