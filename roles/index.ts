import type {Role} from '../src/provisioner/role/role.ts';
import {containerdArtifactsRole, containerdRole} from './containerd/role.ts';
import {kubernetesArtifactsRole, kubernetesNodeRole} from './kubernetes-node/role.ts';
import {ociArtifactsRole} from './oci/role.ts';
import {osRole} from './os/role.ts';
import {
  slipwayCriArtifactsRole,
  slipwayCriPackagesRole,
  slipwayCriRole,
} from './slipway-cri/role.ts';

/** Which roles make which phase of a host. The order is for reading: the engine runs a graph. */
export const rolesByPhase: Readonly<Record<string, readonly Role[]>> = {
  os: [osRole, slipwayCriPackagesRole],
  'runtime-artifacts': [ociArtifactsRole, slipwayCriArtifactsRole, containerdArtifactsRole],
  runtime: [slipwayCriRole, containerdRole],
  'kubernetes-artifacts': [kubernetesArtifactsRole],
  kubelet: [kubernetesNodeRole],
};
