import type {KubernetesObject, ServiceObject} from '#shared/kube/object';
import type {Host} from '../role/cluster.ts';

/** Marks a namespace of a proof; what a killed one left is found by it. */
export const PROOF_LABEL = 'provision.dev/proof';
/** Of the ServiceAccount, the Service and every pod. */
export const PROOF_NAME = 'proof';
export const PROOF_CONTAINER = 'proof';
/** Where the pods listen; the Service's port is 80. */
export const PROOF_PORT = 8080;
const LABELS = {[PROOF_LABEL]: 'true'} as const;

export interface ProofPlace {
  readonly namespace: string;
  /** Reference of an image with busybox's sh, httpd and wget. */
  readonly image: string;
}

export function proofNamespace({namespace}: ProofPlace): KubernetesObject {
  return {apiVersion: 'v1', kind: 'Namespace', metadata: {name: namespace, labels: LABELS}};
}

/** What pods need before they can be created: made by us, not awaited from a controller. */
export function proofAccount({namespace}: ProofPlace): KubernetesObject {
  return {apiVersion: 'v1', kind: 'ServiceAccount', metadata: {name: PROOF_NAME, namespace}};
}

/** One Service for both checks: by name on its port, and on a port of every node. */
export function proofService({namespace}: ProofPlace): ServiceObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name: PROOF_NAME, namespace},
    spec: {
      type: 'NodePort',
      selector: LABELS,
      ports: [{port: 80, targetPort: PROOF_PORT, protocol: 'TCP'}],
    },
  };
}

/** A node's pod is numbered, not named after it: a node's name may be longer than a label. */
export function proofPodName(index: number): string {
  return `${PROOF_NAME}-${index}`;
}

/** First line of a proof pod's log, and what its server answers. */
export function proofGreeting(host: Host): string {
  return `proof on ${host.name}`;
}

/** A pod that the scheduler must put on this node, whatever its taints, serving one small page. */
export function proofPod(place: ProofPlace, host: Host, index: number): KubernetesObject {
  const {namespace, image} = place;
  const onThisNode = {key: 'metadata.name', operator: 'In', values: [host.name]};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name: proofPodName(index), namespace, labels: LABELS},
    spec: {
      serviceAccountName: PROOF_NAME,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 0,
      restartPolicy: 'Always',
      tolerations: [{operator: 'Exists'}],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{matchFields: [onThisNode]}],
          },
        },
      },
      containers: [
        {
          name: PROOF_CONTAINER,
          image,
          imagePullPolicy: 'IfNotPresent',
          // The greeting travels as $0, so no name is ever read as shell.
          command: ['sh', '-c', SERVE_SCRIPT, proofGreeting(host)],
          ports: [{containerPort: PROOF_PORT, protocol: 'TCP'}],
        },
      ],
    },
  };
}

const SERVE_SCRIPT = [
  'echo "$0"',
  'mkdir -p /tmp/www',
  'echo "$0" > /tmp/www/index.html',
  `exec httpd -f -p ${PROOF_PORT} -h /tmp/www`,
].join(' && ');
