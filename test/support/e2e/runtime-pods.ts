import {imageCatalogue} from '#artifacts/images/image-catalogue';

const IMAGE = imageCatalogue.proof.reference;

function pod(name: string, script: string, container = {}, spec = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name, namespace: 'runtime'},
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{name: 'main', image: IMAGE, command: ['sh', '-c', script], ...container}],
      ...spec,
    },
  };
}

const FOREVER = 'while :; do sleep 3600 & wait; done';

/** In the namespace `runtime`, each for one test. */
export const RUNTIME_PODS: readonly object[] = [
  pod(
    'hungry',
    'head -c 200m /dev/zero | tail',
    {resources: {limits: {memory: '32Mi'}}},
    {restartPolicy: 'Never'},
  ),
  pod('crashing', 'exit 7'),
  pod('probed', FOREVER, {
    readinessProbe: {exec: {command: ['true']}, periodSeconds: 1},
    livenessProbe: {
      exec: {command: ['sleep', '30']},
      timeoutSeconds: 1,
      periodSeconds: 2,
      failureThreshold: 1000,
    },
  }),
  pod('steady', FOREVER, {
    resources: {requests: {memory: '64Mi', cpu: '10m'}, limits: {memory: '64Mi', cpu: '100m'}},
    resizePolicy: [
      {resourceName: 'cpu', restartPolicy: 'NotRequired'},
      {resourceName: 'memory', restartPolicy: 'NotRequired'},
    ],
  }),
  pod('listening', 'while read -r line; do echo "heard $line"; done', {stdin: true}),
];

const FILLER = 'x'.repeat(200);
/** Writes 8 MB of numbered lines in a few seconds. */
export const TALKER = pod(
  'talking',
  `i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo "line $i ${FILLER}"; [ $((i % 1000)) = 0 ] && sleep 0.4; done; ${FOREVER}`,
);

/** A Deployment that is scaled up and down. */
export const CROWD = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {name: 'crowd', namespace: 'runtime'},
  spec: {
    replicas: 0,
    selector: {matchLabels: {app: 'crowd'}},
    template: {
      metadata: {labels: {app: 'crowd'}},
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{name: 'main', image: IMAGE, command: ['sh', '-c', FOREVER]}],
      },
    },
  },
};
