import type {Host} from '../../src/provisioner/role/cluster.ts';
import type {Facts} from '../../src/provisioner/role/facts.ts';
import {PAUSE_IMAGE} from '../../src/provisioner/role/images.ts';
import {programResources} from '../../src/provisioner/role/program-resources.ts';
import {type Resource, resourceId} from '../../src/provisioner/role/resource.ts';
import type {Role, RoleInput} from '../../src/provisioner/role/role.ts';

/** Programs of a distribution and Node, by artifact name. */
const PROGRAMS: Readonly<Record<string, string>> = {
  node: '/opt/slipway/bin/node',
  conmon: '/opt/slipway/bin/conmon',
  catatonit: '/opt/slipway/bin/catatonit',
  'slipway-exec': '/opt/slipway/bin/slipway-exec',
  crun: '/opt/slipway/bin/crun',
};

/** The daemon itself: what Node loads. Its parts find each other by these names. */
const BUNDLE: Readonly<Record<string, string>> = {
  'slipway-cri': '/opt/slipway/lib/slipway-cri.mjs',
  'slipway-cri-unpack-worker': '/opt/slipway/lib/unpack-worker.mjs',
  'slipway-cri-koffi': '/opt/slipway/lib/koffi.node',
};

const DIRECTORIES = ['/opt/slipway', '/opt/slipway/bin', '/opt/slipway/lib', '/etc/slipway'];
const LAUNCHER = '/usr/local/bin/slipway-cri';
const UNIT_FILE = '/etc/systemd/system/slipway-cri.service';
const CONFIG_FILE = '/etc/slipway/cri.toml';
const REGISTRIES_FILE = '/etc/slipway/registries.conf';

/** Libraries of conmon (GLib) and crun beside those that every systemd host has. */
const LIBRARIES = ['libcap2', 'libseccomp2', 'libyajl2'];

/** Where they were sent by hand, nobody could fetch again what the kubelet has collected. */
const SENT_IMAGES = ['registry.k8s.io/*', 'ghcr.io/flannel-io/*', 'slipway.invalid/*'];

const isForSlipway = ({runtime}: Host): boolean => runtime === 'slipway';

/** The shared libraries that programs of the daemon need. */
export const slipwayCriPackagesRole: Role = {
  name: 'slipway-cri-packages',
  appliesTo: isForSlipway,
  resources: ({facts}) =>
    [glibPackage(facts), ...LIBRARIES].map(name => ({kind: 'package' as const, name})),
};

/** The daemon, the Node that runs it, and the programs that it starts. */
export const slipwayCriArtifactsRole: Role = {
  name: 'slipway-cri-artifacts',
  appliesTo: isForSlipway,
  artifacts: [...Object.keys(PROGRAMS), ...Object.keys(BUNDLE)],
  resources: input => [
    ...DIRECTORIES.map(path => ({kind: 'directory' as const, path, mode: 0o755})),
    ...programResources(PROGRAMS, input),
    ...programResources(BUNDLE, input, 0o644),
    {
      kind: 'file',
      path: LAUNCHER,
      content: input.render('slipway-cri/slipway-cri', {}),
      mode: 0o755,
    },
  ],
};

/**
 * The daemon as a unit, with its configuration. Whatever changes of it restarts the daemon only:
 * containers belong to their monitors, and go on.
 */
export const slipwayCriRole: Role = {
  name: 'slipway-cri',
  appliesTo: isForSlipway,
  resources(input) {
    const files = [configuration(input), ...registries(input), unitFile(input)];
    const read = ['node', 'slipway-exec'].map(name => PROGRAMS[name] ?? ''); // when it starts
    const loaded = [...read, ...Object.values(BUNDLE)];
    return [
      {kind: 'directory', path: '/etc/cni/net.d', mode: 0o755},
      ...files,
      {
        kind: 'unit',
        name: 'slipway-cri.service',
        enabled: true,
        running: 'yes',
        restartOn: [
          ...files.map(resourceId),
          `file:${LAUNCHER}`,
          ...loaded.map(path => `artifact:${path}`),
        ],
      },
    ];
  },
};

/** Debian renamed it with the 64-bit time_t transition: trixie and Ubuntu 24.04 have the new one. */
function glibPackage({os: {id, version}}: Facts): string {
  const first = {debian: 13, ubuntu: 24}[id] ?? 0;
  return version !== '' && Number.parseInt(version, 10) < first
    ? 'libglib2.0-0'
    : 'libglib2.0-0t64';
}

function configuration({cluster, render}: RoleInput): Resource {
  const content = render('slipway-cri/cri.toml', {
    pinnedImages: [PAUSE_IMAGE, ...(cluster.registryUrl === undefined ? SENT_IMAGES : [])],
    registriesFile: cluster.registryUrl === undefined ? '' : REGISTRIES_FILE,
  });
  return {kind: 'file', path: CONFIG_FILE, content, mode: 0o644};
}

function unitFile({render}: RoleInput): Resource {
  const content = render('slipway-cri/slipway-cri.service', {
    launcher: LAUNCHER,
    configFile: CONFIG_FILE,
  });
  return {kind: 'file', path: UNIT_FILE, content, mode: 0o644};
}

/** A file of our own: /etc/containers/registries.conf belongs to the host's administrator. */
function registries({cluster, render}: RoleInput): readonly Resource[] {
  if (cluster.registryUrl === undefined) return [];
  const {protocol, host} = new URL(cluster.registryUrl);
  const content = render('slipway-cri/registries.conf', {
    location: host,
    insecure: String(protocol === 'http:'),
  });
  return [{kind: 'file', path: REGISTRIES_FILE, content, mode: 0o644}];
}
