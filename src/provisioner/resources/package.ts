import {sha256Hex} from '#shared/digest';
import type {HostState} from '../host-state/host-state.ts';
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

  apply: ({name}, {state}) => installPackages([name], state),

  remove: (name, record) => removePackages([{name, ...record}]),
};

/**
 * Removes packages of ours and what came along with them, in one call, so that those that need each
 * other go together. What another package needs stays: dpkg refuses where apt would take that
 * package along.
 */
export function removePackages(
  packages: readonly {readonly name: string; readonly installed?: readonly string[] | undefined}[],
): string {
  const known = packages.flatMap(({name, installed = []}) => [name, ...installed]);
  // Unknown after a run that died: then what came since and nobody asked apt for by name.
  const isUnknown = packages.some(({installed}) => installed === undefined);
  const names = `${quote([...new Set(known)])}${isUnknown ? ' $(came_along)' : ''}`;
  return [
    'present=',
    `for each in ${names}; do ! is_installed "$each" || present="$present $each"; done`,
    '[ -z "$present" ] || purge $present',
  ].join('\n');
}

/**
 * Installs packages and prints `installed <name>` for every package that came with them. The list
 * from before is kept on the host: after a run that died it still tells what came along. What
 * somebody has asked apt for by name meanwhile did not.
 *
 * @param names what is missing; empty when only the list of a run that died is to be read
 */
export function installPackages(names: readonly string[], {pending}: HostState): string {
  const resumed = pending.some(id => id.startsWith('package:'));
  return [
    resumed ? '[ -f "$packages_before" ] || note_packages' : 'note_packages',
    ...(names.length === 0 ? [] : install(quote(names))),
    `came_along | sed 's/^/installed\\t/'`,
  ].join('\n');
}

/** Lists are fetched only when the present ones do not know the packages. */
const install = (names: string): readonly string[] => [
  `apt_get install --no-install-recommends -y ${names} 2>/dev/null || {`,
  '  apt_get update',
  `  apt_get install --no-install-recommends -y ${names}`,
  '}',
];
