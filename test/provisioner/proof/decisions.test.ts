import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {
  judgeDaemonSets,
  judgeDeployments,
  judgeNodes,
  systemNamespaces,
} from '#provisioner/proof/cluster-state';
import {judgePods, targetsOf} from '#provisioner/proof/proof-pods';
import {formatProof, mergeNodeProofs, requireProven} from '#provisioner/proof/proof-result';
import {
  judgeRequests,
  neighboursOf,
  requestScript,
  type Target,
} from '#provisioner/proof/proof-script';
import {CLUSTER_DNS_NAME} from '#provisioner/addons/cluster-dns';
import {aCluster} from '#test/a-cluster';
import {writePrograms} from '#test/program-file';
import {aNode, daemonSet, deployment} from './fixture.ts';

const cluster = aCluster();
const namespaces = systemNamespaces(cluster);

test('nodes that the inventory does not know are left alone', t => {
  const names = judgeNodes(
    cluster,
    ['h1', 'h2', 'h3', 'other'].map(name => aNode(name)),
  ).map(({node}) => node);
  t.deepEqual(names, ['h1', 'h2', 'h3']);
});

test('a workload is available only in its present version', t => {
  const status = {...(daemonSet['status'] as object), updatedNumberScheduled: 2};
  const none = {othersDown: 0, namespaces};
  const states = [
    judgeDaemonSets([daemonSet], none),
    judgeDaemonSets([{...daemonSet, status}], none),
    judgeDaemonSets([{...daemonSet, status: {}}], none),
    judgeDeployments([{...deployment, status: {observedGeneration: 1, availableReplicas: 2}}], {
      namespaces,
    }),
    judgeDeployments([{...deployment, status: {observedGeneration: 2, updatedReplicas: 2}}], {
      namespaces,
    }),
  ].map(([workload]) => workload?.cell.state);
  t.deepEqual(states, ['ok', 'failed', 'failed', 'failed', 'failed']);
});

test('pods that keep apart are as many as there are nodes for them', t => {
  const status = {observedGeneration: 2, updatedReplicas: 1, availableReplicas: 1};
  const metadata = {...deployment.metadata, name: CLUSTER_DNS_NAME};
  const stateOf = (nodes: number) =>
    judgeDeployments([{...deployment, metadata, spec: {replicas: 2}, status}], {
      namespaces,
      nodes,
    })[0]?.cell.state;
  t.deepEqual([stateOf(1), stateOf(2), stateOf(0)], ['ok', 'failed', 'ok']);
});

test("workloads of the users' own namespaces do not count", t => {
  const metadata = {...deployment.metadata, namespace: 'default'};
  t.deepEqual(judgeDeployments([{...deployment, metadata, status: {}}], {namespaces}), []);
});

test('a pod that does not run says why', t => {
  const [pod] = judgePods(cluster.hosts, [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {name: 'proof-0'},
      status: {
        phase: 'Pending',
        containerStatuses: [
          {name: 'proof', ready: false, state: {waiting: {reason: 'ErrImagePull', message: 'no'}}},
        ],
      },
    },
  ]);
  t.like(pod?.cell, {state: 'failed', detail: 'the pod is Pending: ErrImagePull: no'});
});

test('every node asks every other, and its own port, in a small cluster', t => {
  const pods = cluster.hosts.map((host, index) => ({
    host,
    podName: `proof-${index}`,
    address: `10.244.${index}.2`,
    cell: {state: 'ok', detail: ''} as const,
  }));
  const urls = targetsOf(pods, 1, {nodePort: 30_080}).map(({url}) => url);
  t.deepEqual(urls, [
    'http://proof/',
    'http://10.244.2.2:8080/',
    'http://10.244.0.2:8080/',
    'http://10.89.0.12:30080/',
    'http://10.89.0.13:30080/',
    'http://10.89.0.11:30080/',
  ]);
});

test('in a large cluster requests grow with the nodes, and every node is asked', t => {
  const nodes = Array.from({length: 200}, (_, index) => index);
  const asked = nodes.flatMap(index => neighboursOf(nodes, index));
  t.is(asked.length, 600);
  t.is(new Set(asked).size, 200);
  t.false(nodes.some(index => neighboursOf(nodes, index).includes(index)));
});

const targets: readonly Target[] = [
  {check: 'service', name: 'proof', url: 'http://proof/', expected: undefined},
  {check: 'pods', name: 'h2', url: "http://10.0.0.2/it's", expected: 'proof on h2'},
  {check: 'nodeports', name: 'h1', url: 'http://10.0.0.1/', expected: undefined},
];

test('the script asks all targets and retries until they answer as expected', t => {
  const stdout = runScript(t, requestScript(targets), [
    'eval url=\\$$#', // the last argument
    'case $url in',
    '  *proof*) echo "proof on h9";;',
    '  *it*) n=$(cat $0.n 2>/dev/null || echo 1); echo $((n + 1)) > $0.n; echo "proof on h$n"; [ $n = 1 ] || : > $0.done;;',
    // The clock below goes on with every look: nobody gives up before the one above was asked twice.
    '  *) until [ -e $0.done ]; do /bin/sleep 0.01; done; echo "wget: timed	out" >&2; exit 1;;',
    'esac',
  ]);
  t.deepEqual(stdout.split('\n').filter(Boolean).toSorted(), [
    '0\tok\tproof on h9',
    '1\tok\tproof on h2',
    '2\tfailed\twget: timed out',
  ]);
  const cells = judgeRequests(targets, stdout);
  t.deepEqual(cells.service, {state: 'ok', detail: '1/1'});
  t.deepEqual(cells.pods, {state: 'ok', detail: '1/1'});
  t.like(cells.nodeports, {state: 'failed', detail: 'h1 (http://10.0.0.1/): wget: timed out'});
});

test('requests without an answer count as failed, and no targets as ok', t => {
  t.is(judgeRequests(targets, '').pods.state, 'failed');
  t.is(judgeRequests([], '').pods.state, 'ok');
});

test('rows of one node become one row, in the order of names', t => {
  const cell = {state: 'ok', detail: 'x'} as const;
  const rows = mergeNodeProofs([
    [{node: 'h2', cells: {ready: cell}}],
    [
      {node: 'h2', cells: {pod: cell}},
      {node: 'h1', cells: {pod: cell}},
    ],
  ]);
  t.deepEqual(rows, [
    {node: 'h1', cells: {pod: cell}},
    {node: 'h2', cells: {ready: cell, pod: cell}},
  ]);
});

test('a table with a failure shows it and says it in words', t => {
  const result = {
    nodes: [{node: 'h1', cells: {ready: {state: 'failed', detail: 'no kubelet'} as const}}],
    workloads: [],
    issuers: [],
    strangers: [],
  };
  t.regex(formatProof(result), /h1 +FAILED/);
  t.regex(formatProof(result), /failed: h1 ready: no kubelet/);
  t.throws(() => requireProven(result), {code: 'ERR_PROOF_FAILED'});
});

/** Runs a script of busybox's words in /bin/sh, with our own wget and with time that flies. */
function runScript(t: ExecutionContext, script: string, wget: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'proof-script-'));
  t.teardown(() => {
    rmSync(directory, {recursive: true});
  });
  const commands = {
    wget: wget.join('\n'),
    date: 'n=$(cat $0.n 2>/dev/null || echo 0); echo $((n + 1)) > $0.n; echo $((n * 4))',
    sleep: 'exit 0',
  };
  const scripts = Object.entries(commands).map(
    ([name, body]) => [name, `#!/bin/sh\n${body}\n`] as const,
  );
  writePrograms(directory, Object.fromEntries(scripts));
  const {stdout, stderr} = spawnSync('/bin/sh', ['-c', script], {
    env: {PATH: `${directory}:/usr/bin:/bin`},
    encoding: 'utf8',
    timeout: 60_000, // a request that is never repeated
  });
  t.is(stderr, '');
  return stdout;
}
