import type {KubernetesObject} from '#shared/kube/object';

export interface DeploymentOptions {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector: Readonly<Record<string, string>>;
  readonly image: string;
  readonly version: string;
  readonly replicas: number;
  readonly ports: {readonly metrics: number; readonly health: number};
  /** Flags of the program, which is the image's entry point. */
  readonly arguments: readonly string[];
}

/** The user of the image: nobody's, and not root. */
const USER = 65532;

/**
 * The controller's pod: no user of the host, no capability, nothing to write to. It runs where the
 * control plane runs, since what issues its certificates should not wait for a worker.
 */
export function deployment(options: DeploymentOptions): KubernetesObject {
  const {name, namespace, labels, selector, replicas} = options;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {name, namespace, labels},
    spec: {
      replicas,
      revisionHistoryLimit: 2,
      selector: {matchLabels: selector},
      template: {
        metadata: {
          labels: {...labels, 'app.kubernetes.io/version': options.version},
          annotations: {
            'prometheus.io/scrape': 'true',
            'prometheus.io/path': '/metrics',
            'prometheus.io/port': String(options.ports.metrics),
          },
        },
        spec: podSpec(options),
      },
    },
  };
}

function podSpec(options: DeploymentOptions): Readonly<Record<string, unknown>> {
  return {
    serviceAccountName: options.name,
    automountServiceAccountToken: true,
    enableServiceLinks: false,
    priorityClassName: 'system-cluster-critical',
    terminationGracePeriodSeconds: 30, // reconciliations get 5 s, the Lease 5 s
    nodeSelector: {'kubernetes.io/os': 'linux'},
    tolerations: [
      {key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule'},
    ],
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER,
      runAsGroup: USER,
      seccompProfile: {type: 'RuntimeDefault'},
    },
    containers: [container(options)],
  };
}

function container(options: DeploymentOptions): Readonly<Record<string, unknown>> {
  const {metrics, health} = options.ports;
  const probe = (path: string): Readonly<Record<string, unknown>> => ({
    httpGet: {path, port: 'health'},
    timeoutSeconds: 5,
  });
  return {
    name: 'controller',
    image: options.image,
    imagePullPolicy: 'IfNotPresent',
    args: options.arguments,
    env: [{name: 'POD_NAME', valueFrom: {fieldRef: {fieldPath: 'metadata.name'}}}],
    ports: [
      {name: 'metrics', containerPort: metrics, protocol: 'TCP'},
      {name: 'health', containerPort: health, protocol: 'TCP'},
    ],
    resources: {
      requests: {cpu: '50m', memory: '128Mi'},
      limits: {memory: '512Mi'}, // 10,000 Certificates need 300 MB
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: {drop: ['ALL']},
    },
    startupProbe: {...probe('/readyz'), periodSeconds: 1, failureThreshold: 60},
    readinessProbe: {...probe('/readyz'), periodSeconds: 5, failureThreshold: 3},
    livenessProbe: {...probe('/livez'), periodSeconds: 10, failureThreshold: 6},
  };
}
