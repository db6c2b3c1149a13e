import {contains, isLoopback, parseCidr, parseIpv4} from '../config/ipv4.ts';
import {type Finding, finding, isMember, type PreflightInput} from './finding.ts';

/** Between the host's own network and the one that the cluster lays over it. */
export function checkNetwork(input: PreflightInput): readonly Finding[] {
  return [...checkOverlap(input), ...checkFirewall(input), ...checkNameServers(input)];
}

/**
 * What the host reaches inside the cluster's networks it reaches no more: kube-proxy drops what is
 * sent to a Service address that no Service has, and flannel takes the pods'. A member has addresses
 * of the pod network itself, and the networks are settled.
 */
function checkOverlap({cluster, host, facts, state}: PreflightInput): readonly Finding[] {
  if (isMember(state)) return [];
  const known = [
    ...facts.addresses.map(({address, interface: name}) => ({address, what: name})),
    ...facts.nameServers.map(address => ({address, what: 'a name server'})),
  ];
  return (['podCIDR', 'serviceCIDR'] as const).flatMap(key => {
    const block = parseCidr(cluster.network[key]);
    const inside = known.filter(({address: text}) => {
      const address = parseIpv4(text);
      return block !== undefined && address !== undefined && contains(block, address);
    });
    if (inside.length === 0) return [];
    const list = inside.map(({address, what}) => `${address} (${what})`).join(', ');
    return [
      finding('NetworkOverlap', host, {
        code: 'ERR_PREFLIGHT_NETWORK_OVERLAP',
        message: `spec.network.${key} ${cluster.network[key]} holds ${list}`,
        hint: `choose a network that ${host.name} does not use; of an interface that an old cluster left: "ip link delete NAME"`,
      }),
    ];
  });
}

/** As they come, these drop what nodes and pods say to each other; nobody would name them later. */
function checkFirewall({cluster, host, facts, state}: PreflightInput): readonly Finding[] {
  if (isMember(state)) return [];
  const {endpoint, network} = cluster;
  const open = [
    ...(host.isControlPlane ? [`${endpoint.port}/tcp (API server)`] : []),
    '10250/tcp (kubelet)',
    '8472/udp (flannel, from the other nodes)',
    '30000-32767 (NodePorts)',
    `forwarding from and to ${network.podCIDR} (pods)`,
  ];
  return facts.firewalls.map(name =>
    finding('Firewall', host, {
      code: 'ERR_PREFLIGHT_FIREWALL',
      message: `${name} is active, and may drop what nodes and pods say to each other`,
      hint: `open ${open.join(', ')} on ${host.name} and add Firewall to spec.preflight.ignore, or stop ${name}`,
    }),
  );
}

/**
 * Cluster DNS may run on any node and forwards to the name servers of its host. A loopback address
 * among them is the pod itself there: CoreDNS stops on the loop, or loses queries in it.
 */
function checkNameServers(input: PreflightInput): readonly Finding[] {
  const {cluster, host, facts, forwardsNames} = input;
  const loopback = facts.nameServers.filter(isLoopback);
  if (!forwardsNames || loopback.length === 0) return [];
  // Then pods get another file than the one that was looked at.
  if (cluster.kubeletConfig['resolvConf'] !== undefined) return [];
  return [
    finding('NameServers', host, {
      code: 'ERR_PREFLIGHT_NAME_SERVERS',
      message: `${loopback.join(', ')} is a name server of the host, but in a pod of cluster DNS it is the pod itself`,
      hint: `name other servers only in /etc/resolv.conf of ${host.name}, or a file of such as resolvConf in spec.kubelet.config`,
    }),
  ];
}
