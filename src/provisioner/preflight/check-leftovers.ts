import {runtimes} from '../role/runtimes.ts';
import {type Finding, finding, isMember, type PreflightInput} from './finding.ts';

const NETWORK_DIRECTORY = '/etc/cni/net.d';
/** The network add-on's own (addons/flannel.ts); one that is left of another flannel it replaces. */
const OWN_NETWORK_FILE = '10-flannel.conflist';

/** What somebody left on the host that would be taken instead of what we make. */
export function checkLeftovers(input: PreflightInput): readonly Finding[] {
  return [...checkNetworkFiles(input), ...checkDropIns(input)];
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

/**
 * A drop-in is read after our unit, wherever it lies; with an ExecStart= of its own the program
 * starts without our arguments. Those that set something else are an administrator's good right.
 */
function checkDropIns({host, facts}: PreflightInput): readonly Finding[] {
  const units = ['kubelet.service', runtimes[host.runtime].unit];
  return facts.existing.startDropIns
    .filter(({unit}) => units.includes(unit))
    .map(({unit, path}) =>
      finding('UnitDropIn', host, {
        code: 'ERR_PREFLIGHT_UNIT_DROP_IN',
        message: `${path} would start ${unit} with a command that is not ours`,
        hint: `remove it, or the package that brings it, and run "systemctl daemon-reload && systemctl try-restart ${unit}" on ${host.name}`,
      }),
    );
}
