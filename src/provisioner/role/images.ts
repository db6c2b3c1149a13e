/** The sandbox image that the runtime pins; kubeadm 1.36's `PauseVersion`. */
export const PAUSE_IMAGE = 'registry.k8s.io/pause:3.10.2';
