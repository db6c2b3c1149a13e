import type {PodNetworkIdentity} from './pod-network-identity.ts';

const INGRESS = 'kubernetes.io/ingress-bandwidth';
const EGRESS = 'kubernetes.io/egress-bandwidth';
const BURST_BITS = 2 ** 31 - 1; // what kubenet has always set: no burst limit of its own

/** Capability arguments by name; a plugin gets those that it declares (CNI CONVENTIONS). */
export function runtimeConfigOf(identity: PodNetworkIdentity): Readonly<Record<string, unknown>> {
  const {portMappings, annotations = {}, cgroupParent} = identity;
  const mapped = portMappings.filter(({hostPort}) => hostPort > 0);
  const bandwidth = {
    ...rate('ingress', annotations[INGRESS]),
    ...rate('egress', annotations[EGRESS]),
  };
  return {
    ...(mapped.length > 0 && {
      portMappings: mapped.map(({protocol, containerPort, hostPort, hostIp}) => ({
        hostPort,
        containerPort,
        protocol,
        hostIP: hostIp,
      })),
    }),
    ...(Object.keys(bandwidth).length > 0 && {bandwidth}),
    ...(cgroupParent !== undefined && {cgroupPath: cgroupParent}),
    'io.kubernetes.cri.pod-annotations': annotations,
  };
}

/** A Kubernetes quantity of bits per second, as the bandwidth plugin wants it. */
function rate(direction: 'ingress' | 'egress', quantity: string | undefined) {
  const bits = parseQuantity(quantity);
  if (bits === undefined) return {};
  return {[`${direction}Rate`]: bits, [`${direction}Burst`]: BURST_BITS};
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

function parseQuantity(text: string | undefined): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kMGTP]?i?)$/.exec(text ?? '');
  const unit = UNITS[match?.[2] ?? ''];
  if (match === null || unit === undefined) return undefined;
  const bits = Math.round(Number(match[1]) * unit);
  return bits >= 1000 && bits <= 1e15 ? bits : undefined; // Kubernetes' own bounds
}
