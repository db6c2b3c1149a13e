import {sha256Hex} from '#shared/digest';
import type {PackageResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {ResourceKind} from './kind.ts';

/** Packages of apt; all of a phase are installed by one call (see `apply-script.ts`). */
export const packageKind: ResourceKind<PackageResource> = {
  digest: ({name}) => sha256Hex(name),

  diff({name}, {probe}) {
    if (probe.packages.has(name)) return undefined;
    return {id: `package:${name}`, action: 'create', summary: 'install'};
  },

  apply: ({name}) => installPackages([name]),

  // What came with it goes with it; another package resource may have taken some along already.
  remove: (name, {installed = [name]}) =>
    [
      `present=$(for name in ${quote(installed)}; do ! packages_now | grep -qxF "$name" || echo "$name"; done)`,
      `[ -z "$present" ] || DEBIAN_FRONTEND=noninteractive apt-get -qq purge -y $present </dev/null >/dev/null`,
    ].join('\n'),
};

const LOCK_WAIT_SECONDS = 120; // another apt may be at work, e.g. unattended-upgrades

/** Installs packages and prints `installed <name>` for every package that came with them. */
export function installPackages(names: readonly string[]): string {
  const apt = `DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=${LOCK_WAIT_SECONDS} -o Dpkg::Use-Pty=0`;
  return [
    'before=$(packages_now)',
    // Lists are fetched only when the present ones do not know the packages.
    `${apt} install --no-install-recommends -y ${quote(names)} </dev/null >/dev/null 2>&1 || {`,
    `  ${apt} update </dev/null >&2`,
    `  ${apt} install --no-install-recommends -y ${quote(names)} </dev/null >&2`,
    '}',
    'for name in $(packages_now); do case "',
    '$before',
    '" in *"',
    '$name',
    '"*) ;; *) printf "installed\\t%s\\n" "$name" ;; esac; done',
  ].join('\n');
}
