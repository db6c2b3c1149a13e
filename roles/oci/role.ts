import {programResources} from '../../src/provisioner/role/program-resources.ts';
import type {Role} from '../../src/provisioner/role/role.ts';

/** Where each program goes, by artifact name. */
const PROGRAMS: Readonly<Record<string, string>> = {
  runc: '/usr/local/bin/runc',
  'cni-bridge': '/opt/cni/bin/bridge',
  'cni-flannel': '/opt/cni/bin/flannel',
  'cni-host-local': '/opt/cni/bin/host-local',
  'cni-loopback': '/opt/cni/bin/loopback',
  'cni-portmap': '/opt/cni/bin/portmap',
};

/** What every container runtime starts: the OCI runtime and the CNI plugins. */
export const ociArtifactsRole: Role = {
  name: 'oci-artifacts',
  artifacts: Object.keys(PROGRAMS),
  resources: input => programResources(PROGRAMS, input),
};
