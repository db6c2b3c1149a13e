import test from 'ava';
import {CodedError} from '#shared/errors';
import {connectKubernetes} from '#shared/kube/connect';
import {ApiRefusedError, kubeErrors, parseRefusal} from '#shared/kube/errors';
import {parseExecStatus} from '#shared/kube/exec';
import {namespaceKind, nodeKind, podKind, type KubernetesObject} from '#shared/kube/object';
import {classifyFailure, isTransientRefusal} from '#shared/kube/request';
import {formatPath, parseResourceList} from '#shared/kube/resources';
import {parseKubeconfig} from '#shared/kube/transport';
import {parseEvent} from '#shared/kube/watch';
import {createFakeKubernetes, json, refuse, text} from '#test/fake-kubernetes';

const signal = AbortSignal.timeout(30_000);
const node: KubernetesObject = {apiVersion: 'v1', kind: 'Node', metadata: {name: 'h1'}};
const configMap: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {name: 'c', namespace: 'n'},
  data: {key: 'value'},
};

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: admin@lab
contexts: [{name: admin@lab, context: {cluster: lab, user: admin}}]
clusters: [{name: lab, cluster: {server: 'https://api.lab:6443', certificate-authority-data: Zm9v}}]
users: [{name: admin, user: {token: t0ken}}]
`;

test('get() resolves to the object, and to undefined when there is none', async t => {
  const {api} = createFakeKubernetes({objects: [node]});
  t.is((await api.get({...nodeKind, name: 'h1'}, {signal}))?.metadata.name, 'h1');
  t.is(await api.get({...nodeKind, name: 'h2'}, {signal}), undefined);
});

test('a kind that the API does not have is refused, also by get()', async t => {
  const {api} = createFakeKubernetes();
  const reference = {apiVersion: 'v1', kind: 'Gadget', name: 'x'};
  await t.throwsAsync(api.get(reference, {signal}), {code: 'ERR_API_REFUSED'});
});

test('a group version is discovered once for many calls', async t => {
  const {api, requests} = createFakeKubernetes();
  await Promise.all([api.list(nodeKind, {signal}), api.list(podKind, {signal})]);
  await api.list(namespaceKind, {signal});
  t.is(requests.filter(request => request === 'GET /api/v1').length, 1);
});

test('list() gives items their apiVersion and kind, which lists leave out', async t => {
  const {api} = createFakeKubernetes({
    intercept: ({path}) =>
      path === '/api/v1/nodes'
        ? json(200, {metadata: {resourceVersion: '7'}, items: [{metadata: {name: 'h1'}}]})
        : undefined,
  });
  const [only] = await api.list(nodeKind, {signal});
  t.like(only, {apiVersion: 'v1', kind: 'Node', metadata: {name: 'h1'}});
});

test('list() takes a null list for an empty one', async t => {
  const {api} = createFakeKubernetes({
    intercept: ({path}) =>
      path === '/api/v1/nodes'
        ? json(200, {metadata: {resourceVersion: '7'}, items: null})
        : undefined,
  });
  t.deepEqual(await api.list(nodeKind, {signal}), []);
});

test('apply() tells created, unchanged and changed apart', async t => {
  const {api} = createFakeKubernetes();
  const changes = [];
  for (const object of [configMap, configMap, {...configMap, data: {key: 'other'}}]) {
    changes.push((await api.apply(object, {signal})).change);
  }
  t.deepEqual(changes, ['created', 'unchanged', 'changed']);
});

test('apply() takes a status written meanwhile for no change', async t => {
  const {api} = createFakeKubernetes({
    objects: [configMap],
    admit: object => ({...object, status: {at: object.metadata.resourceVersion}}),
  });
  t.is((await api.apply(configMap, {signal})).change, 'unchanged');
});

test('apply() as a dry run keeps nothing and says what it would do', async t => {
  const {api, objects, requests} = createFakeKubernetes();
  t.is((await api.apply(configMap, {signal, dryRun: true})).change, 'created');
  t.deepEqual(objects(), []);
  t.true(requests.at(-1)?.endsWith('?fieldManager=provision&force=true&dryRun=All'));
});

test('delete() says whether there was something to delete', async t => {
  const {api} = createFakeKubernetes({objects: [node]});
  t.true(await api.delete({...nodeKind, name: 'h1'}, {signal}));
  t.false(await api.delete({...nodeKind, name: 'h1'}, {signal}));
});

test('waitFor() decides on the whole state again after each change', async t => {
  const fake = createFakeKubernetes({objects: [node]});
  const seen: number[] = [];
  const waiting = fake.api.waitFor(
    nodeKind,
    nodes => {
      seen.push(nodes.length);
      if (nodes.length === 1)
        setImmediate(() => {
          fake.put({...node, metadata: {name: 'h2'}});
        });
      return nodes.length === 2 ? nodes.map(({metadata}) => metadata.name) : undefined;
    },
    {signal, timeoutMs: 10_000, description: 'two nodes'},
  );
  t.deepEqual(await waiting, ['h1', 'h2']);
  t.deepEqual(seen, [1, 2]);
});

test('waitFor() lists anew when the watch says that its version is too old', async t => {
  let watches = 0;
  const {api, put} = createFakeKubernetes({
    objects: [node],
    intercept: ({path}) => {
      if (!path.includes('watch=true')) return undefined;
      watches += 1;
      put({...node, metadata: {name: 'h2'}});
      return text(200, '{"type":"ERROR","object":{"kind":"Status","code":410}}\n');
    },
  });
  const two = (nodes: readonly KubernetesObject[]): true | undefined =>
    nodes.length === 2 ? true : undefined;
  t.true(await api.waitFor(nodeKind, two, {signal, timeoutMs: 10_000, description: 'two nodes'}));
  t.is(watches, 1);
});

test('waitFor() gives up at its deadline with ERR_API_TIMEOUT', async t => {
  const {api} = createFakeKubernetes({objects: [node]});
  const waiting = api.waitFor(nodeKind, () => undefined, {
    signal,
    timeoutMs: 20,
    description: 'what never comes',
  });
  await t.throwsAsync(waiting, {code: 'ERR_API_TIMEOUT', message: /what never comes/});
});

test("waitFor() ends with the caller's own reason when aborted", async t => {
  const {api} = createFakeKubernetes({objects: [node]});
  const stop = new AbortController();
  const waiting = api.waitFor(nodeKind, () => undefined, {
    signal: stop.signal,
    timeoutMs: 10_000,
    description: 'nothing',
  });
  const reason = new Error('interrupted');
  setImmediate(() => {
    stop.abort(reason);
  });
  t.is(await t.throwsAsync(waiting), reason);
});

test('a request is repeated while the API starts', async t => {
  let attempts = 0;
  const {api} = createFakeKubernetes({
    objects: [node],
    retryTimeoutMs: 10_000,
    intercept: () => {
      attempts += 1;
      if (attempts === 1) throw failedFetch('ECONNREFUSED');
      return attempts === 2 ? refuse(503, 'ServiceUnavailable') : undefined;
    },
  });
  t.is((await api.list(nodeKind, {signal})).length, 1);
});

test('a refusal that does not pass by itself is not repeated', async t => {
  const {api, requests} = createFakeKubernetes({
    retryTimeoutMs: 10_000,
    intercept: () => refuse(403, 'Forbidden', 'nodes is forbidden'),
  });
  const error = await t.throwsAsync(api.list(nodeKind, {signal}), {instanceOf: ApiRefusedError});
  t.like(error, {code: 'ERR_API_REFUSED', status: 403, reason: 'Forbidden'});
  t.is(requests.length, 1);
});

test('an API that nobody answers for is ERR_API_UNREACHABLE', async t => {
  const {api} = createFakeKubernetes({
    intercept: () => {
      throw failedFetch('ECONNREFUSED');
    },
  });
  await t.throwsAsync(api.list(nodeKind, {signal}), {code: 'ERR_API_UNREACHABLE'});
  t.false(await api.isReady({signal}));
});

test('a server of another authority is ERR_API_UNTRUSTED, at once', async t => {
  const {api, requests} = createFakeKubernetes({
    retryTimeoutMs: 10_000,
    intercept: () => {
      throw failedFetch('SELF_SIGNED_CERT_IN_CHAIN');
    },
  });
  await t.throwsAsync(api.list(nodeKind, {signal}), {code: 'ERR_API_UNTRUSTED'});
  await t.throwsAsync(api.isReady({signal}), {code: 'ERR_API_UNTRUSTED'});
  t.is(requests.length, 2);
});

test('an answer that is not JSON is ERR_API_RESPONSE_INVALID', async t => {
  const {api} = createFakeKubernetes({intercept: () => text(200, '<html>')});
  await t.throwsAsync(api.list(nodeKind, {signal}), {code: 'ERR_API_RESPONSE_INVALID'});
});

test('isReady() is false while /readyz says 500', async t => {
  const {api} = createFakeKubernetes({intercept: () => text(500, '[-]etcd failed')});
  t.false(await api.isReady({signal}));
});

test('an aborted signal ends a request with its reason', async t => {
  const {api} = createFakeKubernetes();
  const reason = new Error('interrupted');
  t.is(await t.throwsAsync(api.list(nodeKind, {signal: AbortSignal.abort(reason)})), reason);
});

test('exec() returns exit code and output of a command that failed', async t => {
  const {api} = createFakeKubernetes({
    exec: (_, argv) => ({exitCode: 3, stdout: argv.join(' '), stderr: 'oh'}),
  });
  const result = await api.exec({namespace: 'n', name: 'p'}, ['sh', '-c', 'x y'], {signal});
  t.deepEqual(result, {exitCode: 3, stdout: 'sh -c x y', stderr: 'oh'});
});

test('exec() is aborted also when the pod says nothing', async t => {
  const {api} = createFakeKubernetes();
  const reason = new Error('interrupted');
  const stop = new AbortController();
  const running = api.exec({namespace: 'n', name: 'p'}, ['true'], {signal: stop.signal});
  setImmediate(() => {
    stop.abort(reason);
  });
  t.is(await t.throwsAsync(running), reason);
});

test('exec() over a stream that closes early is ERR_POD_EXEC', async t => {
  const fake = createFakeKubernetes();
  const {createKubernetesApi} = await import('#shared/kube/connect');
  const api = createKubernetesApi(
    {
      ...fake.transport,
      openChannels(path, handlers) {
        setImmediate(handlers.onClose);
        return fake.transport.openChannels(path, handlers);
      },
    },
    {retryTimeoutMs: 0},
  );
  await t.throwsAsync(api.exec({namespace: 'n', name: 'p'}, ['true'], {signal}), {
    code: 'ERR_POD_EXEC',
  });
});

test('parseExecStatus() tells an exit code from a command that never ran', t => {
  t.deepEqual(parseExecStatus('{"status":"Success"}'), {kind: 'exited', exitCode: 0});
  t.deepEqual(parseExecStatus('{"status":"Failure","message":"no such container"}'), {
    kind: 'failed',
    message: 'no such container',
  });
  t.is(parseExecStatus('garbage').kind, 'failed');
});

test('parseEvent() takes half a line for an error, so that the state is listed anew', t => {
  t.deepEqual(parseEvent('{"type":"ADDED","obj'), {type: 'ERROR', status: 0});
  t.deepEqual(parseEvent('{"type":"ADDED","object":7}'), {type: 'ERROR', status: 0});
});

test('parseRefusal() keeps the text of a body that is no Status', t => {
  const refusal = {status: 502, reason: '', message: 'Bad Gateway'};
  t.deepEqual(parseRefusal(502, 'Bad Gateway\n'), refusal);
});

test('only refusals that pass by themselves are transient', t => {
  const transient = (status: number, message = ''): boolean =>
    isTransientRefusal({status, reason: '', message});
  t.true(transient(429) && transient(503) && transient(500, 'etcdserver: leader changed'));
  t.false(transient(500, 'out of disk') || transient(401) || transient(404) || transient(409));
});

test('a connection that was refused is told from one that broke', t => {
  t.is(classifyFailure(failedFetch('ECONNREFUSED')).kind, 'refused');
  t.is(classifyFailure(failedFetch('ECONNRESET')).kind, 'broken');
  t.is(classifyFailure(failedFetch('ERR_TLS_CERT_ALTNAME_INVALID')).kind, 'untrusted');
});

test('formatPath() leaves the namespace out for kinds that have none', t => {
  const place = {namespace: 'a b', name: 'x'};
  t.is(
    formatPath('apps/v1', {plural: 'deployments', namespaced: true}, place),
    '/apis/apps/v1/namespaces/a%20b/deployments/x',
  );
  t.is(formatPath('v1', {plural: 'nodes', namespaced: false}, place), '/api/v1/nodes/x');
});

test('parseResourceList() skips subresources and refuses what is no list', t => {
  const resources = [
    {name: 'pods', kind: 'Pod', namespaced: true},
    {name: 'pods/log', kind: 'Pod', namespaced: true},
  ];
  t.is(parseResourceList({resources}, 'v1').get('Pod')?.plural, 'pods');
  t.throws(() => parseResourceList({}, 'v1'), {code: 'ERR_API_RESPONSE_INVALID'});
});

test('parseKubeconfig() puts another server in and keeps the authority', t => {
  const {json: kept, server} = parseKubeconfig({kubeconfig, server: 'https://127.0.0.1:4000/'});
  t.is(server, 'https://127.0.0.1:4000');
  t.true(kept.includes('"certificate-authority-data":"Zm9v"'));
  t.false(kept.includes('api.lab'));
});

const refusesKubeconfig = test.macro(async (t, change: (text: string) => string) => {
  const error = await t.throwsAsync(connectKubernetes({kubeconfig: change(kubeconfig), signal}), {
    instanceOf: CodedError,
    code: 'ERR_KUBECONFIG_INVALID',
  });
  t.false(error.message.includes('t0ken'));
});

test('a kubeconfig that is not YAML is refused', refusesKubeconfig, () => ': [');
test('an empty kubeconfig is refused', refusesKubeconfig, () => '');
test('a kubeconfig without its context is refused', refusesKubeconfig, source =>
  source.replace('current-context: admin@lab', 'current-context: other'),
);
test('a kubeconfig without authority is refused', refusesKubeconfig, source =>
  source.replace('certificate-authority-data', 'x'),
);
test('a kubeconfig that switches verification off is refused', refusesKubeconfig, source =>
  source.replace('Zm9v', 'Zm9v, insecure-skip-tls-verify: true'),
);
test('a kubeconfig with a plain-text server is refused', refusesKubeconfig, source =>
  source.replace('https://', 'http://'),
);

test('every code of the door leads to exit code 16', t => {
  t.deepEqual([...new Set(Object.values(kubeErrors))], [16]);
});

function failedFetch(code: string): Error {
  const cause = Object.assign(new Error(`it failed with ${code}`), {code});
  return new TypeError('fetch failed', {cause});
}
