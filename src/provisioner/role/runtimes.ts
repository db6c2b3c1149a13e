import type {RuntimeName} from './cluster.ts';

export interface RuntimeFacts {
  /** As kubeadm and the kubelet name it. */
  readonly socket: `unix://${string}`;
  readonly unit: string;
}

/** Where each container runtime is to be found on a host. */
export const runtimes: Readonly<Record<RuntimeName, RuntimeFacts>> = {
  slipway: {socket: 'unix:///run/slipway/cri.sock', unit: 'slipway-cri.service'},
  containerd: {socket: 'unix:///run/containerd/containerd.sock', unit: 'containerd.service'},
};
