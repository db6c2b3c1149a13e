import test, {type ExecutionContext} from 'ava';
import type {ExecResult, KubernetesApi, PodName} from '#shared/kube/kubernetes-api';
import type {KubernetesObject} from '#shared/kube/object';
import {failuresOf, formatProof, ProofFailedError} from '#provisioner/proof/proof-result';
import {prove, type ProofEvent} from '#provisioner/proof/prove';
import {readOnlyProof} from '#provisioner/proof/read-only-proof';
import {aCluster, aHost} from '#test/a-cluster';
import {createFakeKubernetes, refuse, type FakeKubernetes} from '#test/fake-kubernetes';
import {aNode, daemonSet, deployment} from './fixture.ts';

const signal = AbortSignal.timeout(30_000);
const cluster = aCluster();
const image = 'slipway.invalid/proof:1';
const inventory = cluster.hosts.map(({name}) => name);
const now = () => new Date();

interface LabOptions {
  readonly nodes?: readonly KubernetesObject[];
  readonly exec?: (pod: PodName, argv: readonly string[]) => ExecResult;
  readonly objects?: readonly KubernetesObject[];
  readonly intercept?: NonNullable<Parameters<typeof createFakeKubernetes>[0]>['intercept'];
}

/** A cluster whose controllers give Services a port and run pods as soon as they are stored. */
function aLab({nodes, exec, objects = [], intercept}: LabOptions = {}): FakeKubernetes {
  return createFakeKubernetes({
    objects: [
      ...(nodes ?? cluster.hosts.map(({name}) => aNode(name))),
      daemonSet,
      deployment,
      ...objects,
    ],
    admit(object) {
      if (object.kind === 'Service') {
        return {...object, spec: {clusterIP: '10.96.1.1', ports: [{port: 80, nodePort: 30_080}]}};
      }
      if (object.kind !== 'Pod') return object;
      const address = `10.244.0.${object.metadata.name.replace('proof-', '')}`;
      const containerStatuses = [{name: 'proof', ready: true, state: {running: {}}}];
      return {...object, status: {phase: 'Running', podIP: address, containerStatuses}};
    },
    exec: exec ?? answerAll,
    logs: ({name}) => `proof on h${Number(name.replace('proof-', '')) + 1}\n`,
    ...(intercept === undefined ? {} : {intercept}),
  });
}

/** What a pod prints when every request was answered. */
function answerAll(_: PodName, argv: readonly string[]): ExecResult {
  const asked = argv.at(-1)?.match(/^ask (\d+)/gm) ?? [];
  const lines = asked.map(line => `${line.slice('ask '.length)}\tok\tproof on h\n`);
  return {exitCode: 0, stdout: lines.join(''), stderr: ''};
}

function proofNamespaces(lab: FakeKubernetes): readonly string[] {
  return lab
    .objects()
    .filter(({kind}) => kind === 'Namespace')
    .map(({metadata}) => metadata.name);
}

test('prove() proves every node, tells what it does and removes its namespace', async t => {
  const lab = aLab();
  const events: ProofEvent[] = [];
  const result = await prove(lab.api, cluster, {
    signal,
    inventory,
    now,
    image,
    onEvent: e => void events.push(e),
  });
  t.deepEqual(failuresOf(result), []);
  t.deepEqual(proofNamespaces(lab), []);
  t.deepEqual(
    events.map(({kind}) => kind),
    ['created', 'pods-running', 'checked', 'checked', 'checked', 'removed'],
  );
  t.is(
    formatProof(result),
    `NODE  READY  VERSION  RUNTIME             POD         EXEC  LOGS  SERVICE  PODS  NODEPORTS
h1    ok     v1.36.3  containerd://2.1.9  10.244.0.0  ok    ok    1/1      2/2   3/3
h2    ok     v1.36.3  containerd://2.1.9  10.244.0.1  ok    ok    1/1      2/2   3/3
h3    ok     v1.36.3  containerd://2.1.9  10.244.0.2  ok    ok    1/1      2/2   3/3

WORKLOAD                            AVAILABLE
DaemonSet kube-system/kube-proxy    3/3
Deployment kube-system/cluster-dns  2/2
`,
  );
});

test('prove() fails with the cell that failed, and still removes its namespace', async t => {
  const lab = aLab({
    exec: (pod, argv) =>
      pod.name === 'proof-1'
        ? {exitCode: 0, stdout: '0\tfailed\twget: bad address\n', stderr: ''}
        : answerAll(pod, argv),
  });
  const error = await t.throwsAsync(prove(lab.api, cluster, {signal, inventory, image, now}), {
    instanceOf: ProofFailedError,
    code: 'ERR_PROOF_FAILED',
  });
  const [service, pods] = failuresOf(error.result);
  t.is(service?.subject, 'h2 service');
  t.regex(service?.detail ?? '', /bad address/);
  t.is(pods?.subject, 'h2 pods');
  t.regex(pods?.detail ?? '', /h1 .*not tried/);
  t.deepEqual(proofNamespaces(lab), []);
});

test('a log that cannot be read is a failed cell', async t => {
  const lab = aLab({
    intercept: ({path}) => (path.includes('/log?') ? refuse(500, 'InternalError') : undefined),
  });
  const single = aCluster({hosts: [aHost('h1')]});
  const error = await t.throwsAsync(prove(lab.api, single, {signal, inventory, image, now}), {
    instanceOf: ProofFailedError,
  });
  t.deepEqual(
    failuresOf(error.result).map(({subject}) => subject),
    ['h1 logs'],
  );
});

test('prove() removes its namespace when it is interrupted, and rejects with the reason', async t => {
  const stop = new AbortController();
  const reason = new Error('interrupted');
  const lab = aLab({
    exec: () => {
      stop.abort(reason);
      return {exitCode: 0, stdout: '', stderr: ''};
    },
  });
  const proving = prove(lab.api, cluster, {signal: stop.signal, inventory, image, now});
  t.is(await t.throwsAsync(proving), reason);
  t.deepEqual(proofNamespaces(lab), []);
});

test('prove() removes its namespace when the API refuses a pod', async t => {
  const lab = aLab({
    intercept: ({method, path}) =>
      method === 'PATCH' && path.includes('/pods/proof-1')
        ? refuse(422, 'Invalid', 'spec.containers is wrong')
        : undefined,
  });
  await t.throwsAsync(prove(lab.api, cluster, {signal, inventory, image, now}), {
    code: 'ERR_API_REFUSED',
  });
  t.deepEqual(proofNamespaces(lab), []);
});

test('prove() removes what a killed proof left, but not other namespaces', async t => {
  const namespace = (name: string, labels = {}): KubernetesObject => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {name, labels},
  });
  const left = namespace('provision-proof-0000', {'provision.dev/proof': 'true'});
  const lab = aLab({objects: [left, namespace('mine')]});
  await prove(lab.api, cluster, {signal, inventory, image, now});
  t.deepEqual(proofNamespaces(lab), ['mine']);
});

test('readOnlyProof() changes nothing and makes one list of each kind', async t => {
  const lab = aLab();
  await readOnlyProof(lab.api, cluster, {signal, inventory});
  t.deepEqual(lab.requests.toSorted(), [
    'GET /api/v1',
    'GET /api/v1/nodes',
    'GET /apis/apps/v1',
    'GET /apis/apps/v1/daemonsets',
    'GET /apis/apps/v1/deployments',
  ]);
});

const finds = test.macro(
  async (t: ExecutionContext, nodes: readonly KubernetesObject[], subjects: readonly string[]) => {
    const error = await t.throwsAsync(
      readOnlyProof(aLab({nodes}).api, cluster, {signal, inventory}),
      {
        instanceOf: ProofFailedError,
      },
    );
    t.deepEqual(
      failuresOf(error.result).map(({subject}) => subject),
      subjects,
    );
  },
);
const [h1, h2, h3] = [aNode('h1'), aNode('h2'), aNode('h3')];
const nodeInfo = {kubeletVersion: 'v1.35.4', containerRuntimeVersion: 'cri-o://1.36.0'};

test('a host that is no node fails', finds, [h1, h2], ['h3 ready']);
test(
  'a node that is not Ready fails',
  finds,
  [h1, h2, aNode('h3', {conditions: [{type: 'Ready', status: 'Unknown'}]})],
  ['h3 ready'],
);
test(
  'a node of another kubelet and another runtime fails twice',
  finds,
  [h1, aNode('h2', {nodeInfo}), h3],
  ['h2 version', 'h2 runtime'],
);

const lost = aNode('h4', {conditions: [{type: 'Ready', status: 'Unknown'}]});
const onAll = (numberAvailable: number): KubernetesObject => ({
  ...daemonSet,
  status: {
    observedGeneration: 1,
    desiredNumberScheduled: 4,
    updatedNumberScheduled: numberAvailable,
    numberAvailable,
  },
});

test('a node whose host left the inventory is told with its remedy, and fails nothing', async t => {
  const nodes = [h1, h2, h3, lost];
  for (const proof of [
    (api: KubernetesApi) => prove(api, cluster, {signal, inventory, image, now}),
    (api: KubernetesApi) => readOnlyProof(api, cluster, {signal, inventory}),
  ]) {
    const result = await proof(aLab({nodes, objects: [onAll(3)]}).api);
    t.deepEqual(result.strangers, [{node: 'h4', ready: false}]);
    t.regex(formatProof(result), /^note: node h4 \(not Ready\) .*kubectl delete node h4$/m);
    t.regex(formatProof(result), /DaemonSet kube-system\/kube-proxy +3\/4/);
  }
});

test('a node that this run does not judge is no stranger, and its pods are not waited for', async t => {
  const limited = {...cluster, hosts: cluster.hosts.slice(0, 2)};
  const h3Down = aNode('h3', {conditions: [{type: 'Ready', status: 'False'}]});
  const status = {
    ...(daemonSet['status'] as object),
    numberAvailable: 2,
    updatedNumberScheduled: 2,
  };
  const lab = aLab({nodes: [h1, h2, h3Down], objects: [{...daemonSet, status}]});
  const result = await readOnlyProof(lab.api, limited, {signal, inventory});
  t.deepEqual(result.strangers, []);
});

test('a DaemonSet that lacks a pod on a node of ours fails, however many others are down', async t => {
  const proving = readOnlyProof(
    aLab({nodes: [h1, h2, h3, lost], objects: [onAll(2)]}).api,
    cluster,
    {
      signal,
      inventory,
    },
  );
  await t.throwsAsync(proving, {instanceOf: ProofFailedError});
});
