export interface PortMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  /** 0: no port of the host. */
  readonly hostPort: number;
  /** Empty: every address of the host. */
  readonly hostIp: string;
}

/** A pod as its network sees it. */
export interface PodNetworkIdentity {
  readonly sandboxId: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Path of the pinned namespace. */
  readonly networkNamespace: string;
  readonly portMappings: readonly PortMapping[];
  readonly cgroupParent?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}
