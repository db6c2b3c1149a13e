import {imageCatalogue} from '#artifacts/images/image-catalogue';
import {formatYamlDocuments} from '#shared/yaml';
import type {Kubectl} from './kubectl.ts';
import {eventually} from './the-lab.ts';

export interface Pod {
  readonly name: string;
  readonly node: string;
}

const IMAGE = imageCatalogue.proof.reference;
const READY_TIMEOUT_MS = 90_000;

/** A web server of four pods behind a Service with a NodePort, and a pod that eats memory. */
export async function deployWeb(kubectl: Kubectl): Promise<void> {
  await kubectl.run(['apply', '--filename', '-'], formatYamlDocuments(MANIFESTS));
  await kubectl.run(['rollout', 'status', 'deployment/web', `--timeout=${READY_TIMEOUT_MS}ms`]);
}

/** Running pods with a label, by name. */
export async function podsOf(kubectl: Kubectl, selector: string): Promise<readonly Pod[]> {
  const {items} = await kubectl.get<PodList>(['pods', '--selector', selector]);
  return items
    .filter(({status}) => status.phase === 'Running')
    .map(({metadata, spec}) => ({name: metadata.name, node: spec.nodeName}))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Waits until an exec in the pod answers: a status of Running may be an old one. */
export async function answersExec(kubectl: Kubectl, pod: string): Promise<void> {
  await eventually(
    async () => {
      const {exitCode} = await kubectl.try(['exec', pod, '--', 'true']);
      return exitCode === 0 ? true : undefined;
    },
    {timeoutMs: READY_TIMEOUT_MS},
  );
}

interface PodList {
  readonly items: readonly {
    readonly metadata: {readonly name: string};
    readonly spec: {readonly nodeName: string};
    readonly status: {readonly phase: string};
  }[];
}

const SERVER = 'mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 8080 -h /www';
const EATER = 'x=x; while :; do x=$x$x; done';

function deployment(
  name: string,
  {replicas, script, ...spec}: {replicas: number; script: string; [field: string]: unknown},
  resources = {},
): object {
  const labels = {app: name};
  const container = {name, image: IMAGE, command: ['sh', '-c', script], resources};
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {name, namespace: 'default'},
    spec: {
      replicas,
      selector: {matchLabels: labels},
      template: {
        metadata: {labels},
        spec: {terminationGracePeriodSeconds: 0, containers: [container], ...spec},
      },
    },
  };
}

const MANIFESTS: readonly object[] = [
  deployment('web', {
    replicas: 4,
    script: SERVER,
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'DoNotSchedule',
        nodeTaintsPolicy: 'Honor',
        labelSelector: {matchLabels: {app: 'web'}},
      },
    ],
  }),
  deployment('hungry', {replicas: 1, script: EATER}, {limits: {memory: '32Mi'}}),
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name: 'web', namespace: 'default'},
    spec: {
      type: 'NodePort',
      selector: {app: 'web'},
      ports: [{port: 80, targetPort: 8080}],
    },
  },
];

/** When the first container of a pod was last started, in milliseconds since 1970. */
export async function startedAt(kubectl: Kubectl, pod: string): Promise<number | undefined> {
  const path = 'jsonpath={.status.containerStatuses[0].state.running.startedAt}';
  const time = await kubectl.run(['get', 'pod', pod, '--output', path]);
  return time === '' ? undefined : Date.parse(time);
}
