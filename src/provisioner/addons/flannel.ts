import {digestOf} from '#shared/digest';
import type {KubernetesObject} from '#shared/kube/object';
import type {Cluster} from '../role/cluster.ts';
import {accountObjects} from './rbac.ts';

export const FLANNEL_NAMESPACE = 'kube-flannel';
const NAME = 'kube-flannel';
const LABELS = {'app.kubernetes.io/name': 'flannel'} as const;
/** TCP on the host's loopback only; the same number as vxlan's UDP port, so one to remember. */
const HEALTH_PORT = 8472;
/** flannel reads its network from here; the runtime reads the other from /etc/cni/net.d. */
const CONFIG_DIRECTORY = '/etc/kube-flannel';

/**
 * The flannel network add-on: vxlan between the hosts' internal addresses. Pure.
 *
 * Flags and configuration: flannel v0.28 `main.go` and `Documentation/configuration.md`. The CNI
 * plugin itself is put on the hosts by the provisioner, so there is no init container.
 */
export function flannelObjects(
  cluster: Cluster,
  {image}: {readonly image: string},
): readonly KubernetesObject[] {
  const data = {
    'cni-conf.json': `${JSON.stringify(cniConfiguration(), undefined, 2)}\n`,
    'net-conf.json': `${JSON.stringify(networkConfiguration(cluster), undefined, 2)}\n`,
  };
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: FLANNEL_NAMESPACE,
        labels: {...LABELS, 'pod-security.kubernetes.io/enforce': 'privileged'},
      },
    },
    ...accountObjects({
      name: 'flannel',
      namespace: FLANNEL_NAMESPACE,
      labels: LABELS,
      rules: [
        {apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch']},
        {apiGroups: [''], resources: ['nodes/status'], verbs: ['patch']},
      ],
    }),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {name: NAME, namespace: FLANNEL_NAMESPACE, labels: LABELS},
      data,
    },
    daemonSet(cluster, {image, configDigest: digestOf(data)}),
  ];
}

/** Version 0.3.1: the flannel plugin that can be built from modules (0.9.1) speaks up to 0.4.0. */
function cniConfiguration(): Readonly<Record<string, unknown>> {
  return {
    name: 'cbr0',
    cniVersion: '0.3.1',
    plugins: [
      {type: 'flannel', delegate: {hairpinMode: true, isDefaultGateway: true}},
      {type: 'portmap', capabilities: {portMappings: true}},
    ],
  };
}

/**
 * flannel speaks the same firewall language as kube-proxy, so a host has one of them: in nftables
 * mode flannel writes its two tables once instead of running iptables every five seconds.
 */
function networkConfiguration({network}: Cluster): Readonly<Record<string, unknown>> {
  return {
    Network: network.podCIDR,
    EnableNFTables: network.proxy.mode === 'nftables',
    Backend: {Type: 'vxlan'},
  };
}

/**
 * Installs the CNI configuration once flannel has written its subnet. Earlier, the node would be
 * Ready and its first pods would fail and be retried late. A configuration left from before a
 * reboot is taken away for the same reason: /run is empty then.
 */
export function installScript(paths: {
  readonly subnet: string;
  readonly source: string;
  readonly target: string;
}): string {
  const {subnet, source, target} = paths;
  // The runtime ignores names that do not end in .conf, .conflist or .json.
  return [
    `[ -e ${subnet} ] || rm -f ${target}`,
    `tries=0`,
    `until [ -e ${subnet} ]; do`,
    `  tries=$((tries + 1))`,
    `  [ $tries -lt ${INSTALL_TRIES_MAX} ] || exit 1`,
    `  sleep ${INSTALL_PAUSE_SECONDS}`,
    `done`,
    `cp ${source} ${target}.new && mv ${target}.new ${target}`,
  ].join('\n');
}

/** Two minutes: flannel itself gives up on an API that does not answer after 30 s. */
const INSTALL_PAUSE_SECONDS = 0.2;
const INSTALL_TRIES_MAX = 600;

interface DaemonSetOptions {
  readonly image: string;
  /** Changes with the configuration, so that a change of it restarts the pods. */
  readonly configDigest: string;
}

function daemonSet(cluster: Cluster, {image, configDigest}: DaemonSetOptions): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: {name: NAME, namespace: FLANNEL_NAMESPACE, labels: LABELS},
    spec: {
      selector: {matchLabels: LABELS},
      template: {
        metadata: {labels: LABELS, annotations: {'provision.dev/config': configDigest}},
        spec: {
          hostNetwork: true,
          priorityClassName: 'system-node-critical',
          serviceAccountName: 'flannel',
          nodeSelector: {'kubernetes.io/os': 'linux'},
          tolerations: [{operator: 'Exists'}],
          containers: [container(cluster, image)],
          volumes: volumes(cluster).map(({name, source}) => ({name, ...source})),
        },
      },
    },
  };
}

function container(cluster: Cluster, image: string): Readonly<Record<string, unknown>> {
  const script = installScript({
    subnet: '/run/flannel/subnet.env',
    source: `${CONFIG_DIRECTORY}/cni-conf.json`,
    target: '/etc/cni/net.d/10-flannel.conflist',
  });
  const readiness = {httpGet: {host: '127.0.0.1', path: '/readyz', port: HEALTH_PORT}};
  return {
    name: 'flannel',
    image,
    imagePullPolicy: 'IfNotPresent',
    command: ['/opt/bin/flanneld'],
    args: [
      '--ip-masq',
      '--kube-subnet-mgr',
      '--iface=$(HOST_IP)',
      '--healthz-ip=127.0.0.1',
      `--healthz-port=${HEALTH_PORT}`,
    ],
    env: environment(cluster),
    // A hook and not a process beside flanneld: that would end as its zombie.
    lifecycle: {postStart: {exec: {command: ['sh', '-c', script]}}},
    startupProbe: {...readiness, periodSeconds: 1, failureThreshold: 120},
    readinessProbe: {...readiness, periodSeconds: 10},
    resources: {requests: {cpu: '50m', memory: '50Mi'}},
    securityContext: {privileged: false, capabilities: {add: ['NET_ADMIN', 'NET_RAW']}},
    volumeMounts: volumes(cluster).map(({name, mountPath}) => ({name, mountPath})),
  };
}

/**
 * The API is reached at the cluster's endpoint: its Service address works only once kube-proxy has
 * programmed it, and flannel would wait 30 s for that and then restart. The pod shares the host's
 * network and gets a copy of its /etc/hosts, so the endpoint's name resolves.
 */
function environment({endpoint}: Cluster): readonly Readonly<Record<string, unknown>>[] {
  return [
    {name: 'NODE_NAME', valueFrom: {fieldRef: {fieldPath: 'spec.nodeName'}}},
    {name: 'HOST_IP', valueFrom: {fieldRef: {fieldPath: 'status.hostIP'}}},
    {name: 'KUBERNETES_SERVICE_HOST', value: endpoint.host},
    {name: 'KUBERNETES_SERVICE_PORT', value: `${endpoint.port}`},
  ];
}

interface Volume {
  readonly name: string;
  readonly mountPath: string;
  readonly source: Readonly<Record<string, unknown>>;
}

function volumes({network}: Cluster): readonly Volume[] {
  const hostPath = (name: string, path: string, type: string): Volume => ({
    name,
    mountPath: path,
    source: {hostPath: {path, type}},
  });
  return [
    hostPath('run', '/run/flannel', 'DirectoryOrCreate'),
    hostPath('cni', '/etc/cni/net.d', 'DirectoryOrCreate'),
    {name: 'config', mountPath: CONFIG_DIRECTORY, source: {configMap: {name: NAME}}},
    // Only iptables knows this lock; with an image of iptables-legacy it would matter.
    ...(network.proxy.mode === 'iptables'
      ? [hostPath('xtables-lock', '/run/xtables.lock', 'FileOrCreate')]
      : []),
  ];
}
