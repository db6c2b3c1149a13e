import {z} from 'zod';
import {text} from './scalars.ts';
import {strictObject, type RefusedKey} from './strict-object.ts';

/** Go's notation, which the kubelet reads, e.g. `1m30s`; zero may stand without a unit. */
const duration = text(
  '^(?:0|(?:[0-9]+(?:\\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+)$',
  'a duration such as 1m30s',
);

// With 0 the kubelet does not listen.
const HEALTHZ_PORT = 'expected a port from 1 to 65535, where kubeadm waits for the kubelet';

/** Of a node's /24 without network, broadcast and bridge; pods that end hold theirs for a while. */
const PODS_MAX = 250;
const MAX_PODS = `expected at most ${PODS_MAX}, since a node has a /24 for the addresses of its pods`;

/**
 * Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1, Kubernetes 1.36) that the
 * provisioner has no say in, with their outer types. The kubelet only logs a field that it does
 * not know, so a mistyped one would silently have no effect.
 */
const fields = {
  ...each(z.boolean(), [
    'enableServer',
    'serverTLSBootstrap',
    'enableDebuggingHandlers',
    'enableContentionProfiling',
    'cgroupsPerQOS',
    'singleProcessOOMKill',
    'cpuCFSQuota',
    'serializeImagePulls',
    'mergeDefaultEvictionSettings',
    'enableControllerAttachDetach',
    'protectKernelDefaults',
    'makeIPTablesUtilChains',
    'failSwapOn',
    'kernelMemcgNotification',
    'enableSystemLogHandler',
    'enableSystemLogQuery',
    'enableProfilingHandler',
    'enableDebugFlagsHandler',
    'seccompDefault',
    'localStorageCapacityIsolation',
    'failCgroupV1',
  ]),
  ...each(z.int(), [
    'port',
    'readOnlyPort',
    'registryPullQPS',
    'registryBurst',
    'eventRecordQPS',
    'eventBurst',
    'oomScoreAdj',
    'nodeLeaseDurationSeconds',
    'imageGCHighThresholdPercent',
    'imageGCLowThresholdPercent',
    'podPidsLimit',
    'nodeStatusMaxImages',
    'maxOpenFiles',
    'kubeAPIQPS',
    'kubeAPIBurst',
    'maxParallelImagePulls',
    'evictionMaxPodGracePeriod',
    'podsPerCore',
    'iptablesMasqueradeBit',
    'iptablesDropBit',
    'containerLogMaxFiles',
    'containerLogMaxWorkers',
  ]),
  ...each(z.int({error: HEALTHZ_PORT}).min(1, HEALTHZ_PORT).max(65_535, HEALTHZ_PORT), [
    'healthzPort',
  ]),
  ...each(z.int().max(PODS_MAX, MAX_PODS), ['maxPods']),
  ...each(z.number(), ['memoryThrottlingFactor']),
  ...each(duration, [
    'syncFrequency',
    'fileCheckFrequency',
    'httpCheckFrequency',
    'streamingConnectionIdleTimeout',
    'nodeStatusUpdateFrequency',
    'nodeStatusReportFrequency',
    'imageMinimumGCAge',
    'imageMaximumGCAge',
    'volumeStatsAggPeriod',
    'cpuManagerReconcilePeriod',
    'runtimeRequestTimeout',
    'cpuCFSQuotaPeriod',
    'evictionPressureTransitionPeriod',
    'containerLogMonitorInterval',
    'shutdownGracePeriod',
    'shutdownGracePeriodCriticalPods',
  ]),
  ...each(z.string(), [
    'podLogsDir',
    'address',
    'tlsCertFile',
    'tlsPrivateKeyFile',
    'tlsMinVersion',
    'imagePullCredentialsVerificationPolicy',
    'healthzBindAddress',
    'kubeletCgroups',
    'systemCgroups',
    'cgroupRoot',
    'cpuManagerPolicy',
    'memoryManagerPolicy',
    'topologyManagerPolicy',
    'topologyManagerScope',
    'hairpinMode',
    'resolvConf',
    'contentType',
    'containerLogMaxSize',
    'configMapAndSecretChangeDetectionStrategy',
    'reservedSystemCPUs',
    'showHiddenMetricsForVersion',
    'systemReservedCgroup',
    'kubeReservedCgroup',
    'volumePluginDir',
    'memoryReservationPolicy',
  ]),
  ...each(z.array(z.string()), [
    'tlsCipherSuites',
    'preloadedImagesVerificationAllowlist',
    'enforceNodeAllocatable',
    'allowedUnsafeSysctls',
  ]),
  ...each(z.array(z.unknown()), [
    'tlsCurvePreferences',
    'shutdownGracePeriodByPodPriority',
    'reservedMemory',
  ]),
  ...each(z.record(z.string(), z.string()), [
    'cpuManagerPolicyOptions',
    'topologyManagerPolicyOptions',
    'qosReserved',
    'evictionHard',
    'evictionSoft',
    'evictionSoftGracePeriod',
    'evictionMinimumReclaim',
    'systemReserved',
    'kubeReserved',
  ]),
  ...each(z.record(z.string(), z.boolean()), ['featureGates']),
  ...each(z.record(z.string(), z.unknown()), [
    'memorySwap',
    'logging',
    'crashLoopBackOff',
    'tracing',
    'userNamespaces',
  ]),
};

const ownedBecause = {
  apiVersion: 'it follows from the Kubernetes version',
  kind: 'it is always KubeletConfiguration',
  clusterDNS: 'it is the tenth address of spec.network.serviceCIDR',
  clusterDomain: 'set spec.network.dnsDomain instead',
  cgroupDriver: 'kubelet and runtime must agree on it',
  containerRuntimeEndpoint: 'set spec.runtime.name instead',
  imageServiceEndpoint: 'set spec.runtime.name instead',
  staticPodPath: 'kubeadm keeps the control plane there',
  staticPodURL: 'kubeadm keeps static pods in a directory',
  staticPodURLHeader: 'kubeadm keeps static pods in a directory',
  authentication: 'kubeadm decides who may talk to the kubelet',
  authorization: 'kubeadm decides who may talk to the kubelet',
  rotateCertificates: 'the join depends on it',
  registerNode: 'the join depends on it',
  registerWithTaints: 'set "taints" of the host instead',
  podCIDR: 'every node gets its part of spec.network.podCIDR',
  providerID: 'it belongs to cloud providers',
  runOnce: 'the kubelet must keep running',
} as const;

/** `spec.kubelet.config`: fields of KubeletConfiguration, except those the provisioner sets. */
export const kubeletConfig = strictObject(
  fields,
  Object.fromEntries(Object.entries(ownedBecause).map(([key, why]) => [key, reserved(why)])),
);

function reserved(hint: string): RefusedKey {
  return {code: 'ERR_CONFIG_KEY_RESERVED', message: 'the provisioner sets this field', hint};
}

function each(schema: z.ZodType, names: readonly string[]): Readonly<Record<string, z.ZodType>> {
  return Object.fromEntries(names.map(name => [name, schema.optional()]));
}
