import {digestOf} from '#shared/digest';

/** Release that lab hosts run: systemd 257, the last Debian whose systemd boots on cgroup v1. */
export const LAB_SUITE = 'trixie';

/** A bare host: enough to boot, to be reached and to install packages, and nothing else. */
export const HOST_PACKAGES: readonly string[] = [
  'apt', 'ca-certificates', 'coreutils', 'dbus', 'gzip', 'hostname', 'iproute2', 'kmod',
  'libpam-systemd', 'mount', 'netbase', 'openssh-server', 'passwd', 'procps', 'sudo', 'systemd',
  'systemd-sysv', 'tar', 'util-linux',
]; // prettier-ignore

/** What a Kubernetes node needs beyond that, and the site's package repository therefore has. */
export const SITE_PACKAGES: readonly string[] = [
  'conntrack', 'ethtool', 'iptables', 'nftables', 'socat',
  'libcap2', 'libglib2.0-0t64', 'libseccomp2', 'libyajl2',
]; // prettier-ignore

export interface RecipeInput {
  /** Text of base/customize.sh. */
  readonly customizeScript: string;
  readonly architecture: string;
  /** The machine's own release: the registry program comes from it and uses its libraries. */
  readonly machineRelease: string;
}

/** Names the cache entry: another recipe is another entry, an old one is never changed. */
export function recipeDigest(input: RecipeInput): string {
  return digestOf({
    ...input,
    suite: LAB_SUITE,
    hosts: HOST_PACKAGES,
    site: SITE_PACKAGES,
    layout: 1,
  });
}

/** Arguments of mmdebstrap that make the tree `base` and download the site's packages. */
export function bootstrapCommand(options: {
  readonly base: string;
  readonly packages: string;
  readonly customizeScript: string;
  readonly mirror: string;
}): readonly string[] {
  const {base, packages, customizeScript, mirror} = options;
  const hook = [customizeScript, '"$1"', shellQuote(packages), ...SITE_PACKAGES].join(' ');
  return [
    // A mount namespace of its own: when this is killed, no mount is left inside the tree.
    ...['unshare', '--mount', '--propagation', 'private'],
    ...['mmdebstrap', '--mode=root', '--variant=minbase', '--components=main'],
    ...['--format=directory', `--include=${HOST_PACKAGES.join(',')}`],
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-include=/usr/share/doc/*/copyright',
    `--customize-hook=${hook}`,
    ...[LAB_SUITE, base, mirror],
  ];
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
