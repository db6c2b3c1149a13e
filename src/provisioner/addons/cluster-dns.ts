import {digestOf} from '#shared/digest';
import type {KubernetesObject} from '#shared/kube/object';
import type {Cluster} from '../role/cluster.ts';
import {accountObjects} from './rbac.ts';
import {tolerationsOf} from './tolerations.ts';

/** Not kubeadm's name, nor its label `k8s-app`: `kubeadm upgrade` must not take it for its own. */
export const CLUSTER_DNS_NAME = 'cluster-dns';
const NAMESPACE = 'kube-system';
const LABELS = {'app.kubernetes.io/name': CLUSTER_DNS_NAME} as const;
/** One may go with its host, and names still resolve. */
const REPLICAS_MAX = 2;

export interface ClusterDnsOptions {
  readonly image: string;
  /**
   * Whether names outside the cluster are forwarded to the hosts' name servers. CoreDNS does not
   * start with an empty /etc/resolv.conf and stops on a loop, so this must be false for hosts
   * without a name server that is not loopback.
   */
  readonly upstream: boolean;
}

/**
 * Cluster DNS: CoreDNS behind the tenth Service address. Pure.
 *
 * Plugins: CoreDNS 1.14 manual, `kubernetes`, `cache`, `forward`, `loop`, `ready`, `health`.
 */
export function clusterDnsObjects(
  cluster: Cluster,
  {image, upstream}: ClusterDnsOptions,
): readonly KubernetesObject[] {
  const metadata = {name: CLUSTER_DNS_NAME, namespace: NAMESPACE, labels: LABELS};
  const data = {Corefile: corefile(cluster.network.dnsDomain, upstream)};
  return [
    ...accountObjects({
      name: CLUSTER_DNS_NAME,
      namespace: NAMESPACE,
      labels: LABELS,
      rules: [
        {apiGroups: [''], resources: ['services', 'namespaces'], verbs: ['list', 'watch']},
        {
          apiGroups: ['discovery.k8s.io'],
          resources: ['endpointslices'],
          verbs: ['list', 'watch'],
        },
      ],
    }),
    {apiVersion: 'v1', kind: 'ConfigMap', metadata, data},
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        clusterIP: cluster.network.dnsAddress,
        selector: LABELS,
        ports: [
          {name: 'dns', port: 53, protocol: 'UDP', targetPort: 53},
          {name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53},
          {name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 9153},
        ],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: Math.min(REPLICAS_MAX, cluster.hosts.length),
        // Pods keep apart (below), so a new one needs the place of an old one.
        strategy: {type: 'RollingUpdate', rollingUpdate: {maxUnavailable: 1, maxSurge: 0}},
        selector: {matchLabels: LABELS},
        template: {
          metadata: {labels: LABELS, annotations: {'provision.dev/config': digestOf(data)}},
          spec: podSpec(cluster, image),
        },
      },
    },
  ];
}

/** Answers for the cluster's own domain are not cached: CoreDNS has them in memory anyway. */
export function corefile(dnsDomain: string, upstream: boolean): string {
  const lines = [
    '.:53 {',
    '    errors',
    '    health',
    '    ready',
    `    kubernetes ${dnsDomain} in-addr.arpa ip6.arpa {`,
    '        pods insecure',
    ...(upstream ? ['        fallthrough in-addr.arpa ip6.arpa'] : []),
    '        ttl 30',
    '    }',
    '    prometheus :9153',
    '    cache 30 {',
    `        disable success ${dnsDomain}`,
    `        disable denial ${dnsDomain}`,
    '    }',
    ...(upstream
      ? ['    forward . /etc/resolv.conf {', '        max_concurrent 1000', '    }', '    loop']
      : []),
    '    loadbalance',
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

function podSpec({hosts}: Cluster, image: string): Readonly<Record<string, unknown>> {
  const ready = {httpGet: {path: '/ready', port: 8181}};
  return {
    priorityClassName: 'system-cluster-critical',
    serviceAccountName: CLUSTER_DNS_NAME,
    dnsPolicy: 'Default', // the hosts' own name servers, for forwarding
    nodeSelector: {'kubernetes.io/os': 'linux'},
    tolerations: [
      {key: 'CriticalAddonsOnly', operator: 'Exists'},
      {key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule'},
      ...tolerationsOf(hosts),
    ],
    // Required: merely preferred, both land on the control plane, which is there first, and stay.
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          {labelSelector: {matchLabels: LABELS}, topologyKey: 'kubernetes.io/hostname'},
        ],
      },
    },
    containers: [
      {
        name: 'coredns',
        image,
        imagePullPolicy: 'IfNotPresent',
        args: ['-conf', '/etc/coredns/Corefile'],
        ports: [
          {name: 'dns', containerPort: 53, protocol: 'UDP'},
          {name: 'dns-tcp', containerPort: 53, protocol: 'TCP'},
          {name: 'metrics', containerPort: 9153, protocol: 'TCP'},
        ],
        startupProbe: {...ready, periodSeconds: 1, failureThreshold: 120},
        readinessProbe: {...ready, periodSeconds: 10},
        livenessProbe: {
          httpGet: {path: '/health', port: 8080},
          periodSeconds: 10,
          timeoutSeconds: 5,
          failureThreshold: 5,
        },
        resources: {requests: {cpu: '50m', memory: '70Mi'}, limits: {memory: '170Mi'}},
        securityContext: {
          runAsUser: 0, // our image has no file capability, so only root gets the one below
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: {add: ['NET_BIND_SERVICE'], drop: ['ALL']},
        },
        volumeMounts: [{name: 'config', mountPath: '/etc/coredns', readOnly: true}],
      },
    ],
    volumes: [{name: 'config', configMap: {name: CLUSTER_DNS_NAME}}],
  };
}
