import {type Finding, finding, isMember, type PreflightInput} from './finding.ts';

const NETWORK_DIRECTORY = '/etc/cni/net.d';
/** The network add-on's own (addons/flannel.ts); one that is left of another flannel it replaces. */
const OWN_NETWORK_FILE = '10-flannel.conflist';

/** What somebody left on the host that would be taken instead of what we make. */
export function checkLeftovers(input: PreflightInput): readonly Finding[] {
  return checkNetworkFiles(input);
}

/**
 * Runtimes take the first configuration by name, or the only one: a node would be Ready before
 * flannel runs, and pods would be on a network that no other node knows. `kubeadm reset` leaves
 * these files.
 */
function checkNetworkFiles({host, facts, state}: PreflightInput): readonly Finding[] {
  const names = facts.existing.networkFiles.filter(name => name !== OWN_NETWORK_FILE);
  if (names.length === 0 || isMember(state)) return [];
  const paths = names.map(name => `${NETWORK_DIRECTORY}/${name}`).join(', ');
  return [
    finding('NetworkConfiguration', host, {
      code: 'ERR_PREFLIGHT_NETWORK_CONFIGURATION',
      message: `pods would be put on a network that we did not make: ${paths}`,
      hint: `move the files out of ${NETWORK_DIRECTORY} on ${host.name}, then run the same command again`,
    }),
  ];
}
