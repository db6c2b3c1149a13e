import type {Host} from '../../src/provisioner/role/cluster.ts';
import {programResources} from '../../src/provisioner/role/program-resources.ts';
import type {Role, RoleInput} from '../../src/provisioner/role/role.ts';
import {type Resource, resourceId} from '../../src/provisioner/role/resource.ts';
import {PAUSE_IMAGE} from '../../src/provisioner/role/images.ts';

/** Where each program goes, by artifact name. */
const PROGRAMS: Readonly<Record<string, string>> = {
  containerd: '/usr/local/bin/containerd',
  'containerd-shim-runc-v2': '/usr/local/bin/containerd-shim-runc-v2',
  ctr: '/usr/local/bin/ctr',
};

const UNIT_FILE = '/etc/systemd/system/containerd.service';
const CONFIG_FILE = '/etc/containerd/config.toml';

const isForContainerd = ({runtime}: Host): boolean => runtime === 'containerd';

/** The programs of containerd itself. */
export const containerdArtifactsRole: Role = {
  name: 'containerd-artifacts',
  appliesTo: isForContainerd,
  artifacts: Object.keys(PROGRAMS),
  resources: input => programResources(PROGRAMS, input),
};

/** containerd as a unit, with its configuration; every registry mirrored by the site's. */
export const containerdRole: Role = {
  name: 'containerd',
  appliesTo: isForContainerd,
  resources(input) {
    const files = [configuration(input), unitFile(input)];
    return [
      {kind: 'directory', path: '/etc/cni/net.d', mode: 0o755},
      ...mirror(input),
      ...files,
      {
        kind: 'unit',
        name: 'containerd.service',
        enabled: true,
        running: 'yes',
        restartOn: [...files.map(resourceId), 'artifact:/usr/local/bin/containerd'],
      },
    ];
  },
};

function configuration({cluster, render}: RoleInput): Resource {
  const values = {
    pauseImage: PAUSE_IMAGE,
    restrictOomScoreAdj: String(cluster.runtime.restrictOomScoreAdj),
  };
  const content = render('containerd/config.toml', values);
  return {kind: 'file', path: CONFIG_FILE, content, mode: 0o644};
}

function unitFile({render}: RoleInput): Resource {
  const content = render('containerd/containerd.service', {});
  return {kind: 'file', path: UNIT_FILE, content, mode: 0o644};
}

/** containerd reads this directory at every pull: no restart. */
function mirror({cluster, render}: RoleInput): readonly Resource[] {
  if (cluster.registryUrl === undefined) return [];
  const content = render('containerd/hosts.toml', {registryUrl: cluster.registryUrl});
  return [
    {kind: 'file', path: '/etc/containerd/certs.d/_default/hosts.toml', content, mode: 0o644},
  ];
}
