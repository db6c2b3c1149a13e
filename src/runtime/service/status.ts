import {CgroupDriver, type StatusRequest} from '../cri/gen/cri-v1_pb.ts';
import type {Dependencies} from './dependencies.ts';

/** What a kubelet compares: the name it shows in `kubectl get nodes`, the API that we speak. */
const RUNTIME_NAME = 'slipway';
/** The kubelet's own, meaningless since v1beta1; every runtime answers it. */
const KUBELET_API_VERSION = '0.1.0';
const RUNTIME_API_VERSION = 'v1';

/** CRI v1 Version. */
export function version({version: runtimeVersion}: Dependencies) {
  return Promise.resolve({
    version: KUBELET_API_VERSION,
    runtimeName: RUNTIME_NAME,
    runtimeVersion,
    runtimeApiVersion: RUNTIME_API_VERSION,
  });
}

/** CRI v1 Status: who can ask is served, so the runtime is ready; the network may not be. */
export function status({verbose}: StatusRequest, deps: Dependencies) {
  const network = deps.network.readiness();
  return Promise.resolve({
    status: {
      conditions: [
        {type: 'RuntimeReady', status: true},
        network.ready
          ? {type: 'NetworkReady', status: true}
          : {
              type: 'NetworkReady',
              status: false,
              reason: network.reason,
              message: network.message,
            },
      ],
    },
    info: verbose ? {config: JSON.stringify(deps.config, bigintAsText)} : {},
    // The default handler twice: a pod without a RuntimeClass asks for the one without a name.
    runtimeHandlers: ['', ...deps.runtimes.names].map(name => ({
      name,
      features: {
        recursiveReadOnlyMounts: deps.host(name).recursiveReadOnly,
        userNamespaces: false,
      },
    })),
    features: {supplementalGroupsPolicy: true},
  });
}

/** CRI v1 RuntimeConfig: from it the kubelet learns who makes cgroups. */
export function runtimeConfig({config}: Dependencies) {
  const cgroupDriver =
    config.cgroupManager === 'systemd' ? CgroupDriver.SYSTEMD : CgroupDriver.CGROUPFS;
  return Promise.resolve({linux: {cgroupDriver}});
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
