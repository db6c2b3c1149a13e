import {mkdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {pause, systemClock} from '#certificates/kube/clock';
import {inClusterCredentials, tokenReader} from '#certificates/kube/credentials';
import {kubeconfigCredentials} from '#certificates/kube/kubeconfig';
import type {ResourceType} from '#certificates/kube/resource';
import {MovableClock} from '#test/certificates/movable-clock';
import {createScriptedApi, refusal} from '#test/certificates/scripted-api';
import {temporaryFolder} from '#test/temporary-folder';

const signal = AbortSignal.timeout(30_000);
const environment = {KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443'};
const certificates: ResourceType = {
  group: 'cert-manager.io',
  version: 'v1',
  kind: 'Certificate',
  plural: 'certificates',
  namespaced: true,
};
const name = {namespace: 'shop', name: 'web'};
const object = {
  apiVersion: 'x',
  kind: 'y',
  metadata: {...name, resourceVersion: '7'},
  status: {a: 1},
};

test('each call is the request that the API expects', async t => {
  const {client, requests} = createScriptedApi(() => ({json: object}));
  await client.get(certificates, name, {signal});
  await client.create(certificates, object, {signal, fieldManager: 'me', dryRun: true});
  await client.updateStatus(certificates, object, {signal});
  await client.update(certificates, object, {signal, subresource: 'approval'});
  await client.apply(certificates, object, {signal, fieldManager: 'me'});
  await client.apply(certificates, object, {signal, fieldManager: 'me', force: false});
  await client.patch(certificates, name, {a: null}, {signal});
  await client.delete(certificates, name, {signal, uid: 'u'});
  const base = '/apis/cert-manager.io/v1/namespaces/shop/certificates';
  t.deepEqual(
    requests.map(({verb, path}) => `${verb} ${path}`),
    [
      `get ${base}/web`,
      `create ${base}?fieldManager=me&dryRun=All`,
      `update ${base}/web/status`,
      `update ${base}/web/approval`,
      `apply ${base}/web?fieldManager=me&force=true`,
      `apply ${base}/web?fieldManager=me&force=false`,
      `patch ${base}/web`,
      `delete ${base}/web`,
    ],
  );
  t.like(requests[2]?.body, {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    status: {a: 1},
  });
  t.like(requests[7]?.body, {preconditions: {uid: 'u'}, propagationPolicy: 'Background'});
});

test('an object that is missing is undefined, a kind that is missing is a refusal', async t => {
  const missing = createScriptedApi(() => refusal(404, 'NotFound'));
  t.is(await missing.client.get(certificates, name, {signal}), undefined);
  t.false(await missing.client.delete(certificates, name, {signal}));
  const unserved = createScriptedApi(() => ({status: 404, json: '404 page not found'}));
  const refused = {code: 'ERR_API_REFUSED'};
  await t.throwsAsync(unserved.client.get(certificates, name, {signal}), refused);
  await t.throwsAsync(unserved.client.delete(certificates, name, {signal}), refused);
});

test('an object that was made again under its name is not deleted, any other conflict is told', async t => {
  const message = 'Precondition failed: UID in precondition: u, UID in object meta: v';
  const other = createScriptedApi(() => refusal(409, 'Conflict', message));
  t.false(await other.client.delete(certificates, name, {signal, uid: 'u'}));
  const busy = createScriptedApi(() => refusal(409, 'Conflict', 'try again'));
  const refused = {code: 'ERR_API_REFUSED'};
  await t.throwsAsync(busy.client.delete(certificates, name, {signal, uid: 'u'}), refused);
});

test('an answer that is no object or no list is refused', async t => {
  const {client} = createScriptedApi(() => ({json: {hello: 'world'}}));
  const invalid = {code: 'ERR_API_RESPONSE_INVALID'};
  await t.throwsAsync(client.get(certificates, name, {signal}), invalid);
  await t.throwsAsync(client.list(certificates, {signal}), invalid);
});

test('no message holds what was sent', async t => {
  const {client} = createScriptedApi(() => new Error('connection reset'));
  const secret = {...object, data: {'tls.key': 'very-secret'}};
  const error = await t.throwsAsync(client.create(certificates, secret, {signal}));
  t.false(JSON.stringify([error, error.message, String(error.cause)]).includes('very-secret'));
});

test('a list that expires again and again is asked for as a whole at last', async t => {
  const {client, requests} = createScriptedApi(({path}) => {
    if (path.includes('continue=')) return refusal(410, 'Expired');
    const next = path.includes('limit=') ? 'next' : '';
    return {json: {metadata: {resourceVersion: '5', continue: next}, items: [object]}};
  });
  t.is((await client.list(certificates, {signal})).length, 1);
  t.is(requests.filter(({path}) => path.includes('limit=500')).length, 6);
  t.false(requests.at(-1)?.path.includes('limit='));
});

test('the service account of a pod is read, and its token again as it is rotated', async t => {
  await using folder = await temporaryFolder();
  const directory = folder.path;
  writeFileSync(join(directory, 'ca.crt'), 'CA');
  writeFileSync(join(directory, 'token'), 'first\n');
  let nowMs = 0;
  const credentials = inClusterCredentials({environment, directory, nowMs: () => nowMs});
  t.is(credentials.server, 'https://10.96.0.1:443');
  t.is(credentials.certificateAuthority, 'CA');
  t.is(credentials.token(), 'first');
  writeFileSync(join(directory, 'token'), 'second\n');
  t.is(credentials.token(), 'first');
  nowMs = 30_000;
  t.is(credentials.token(), 'second');
  rmSync(join(directory, 'token'));
  nowMs = 60_000;
  t.is(credentials.token(), 'second', 'while it is being replaced, the old one is good');
});

test('an IPv6 address of the API is written in brackets', async t => {
  await using folder = await temporaryFolder();
  const directory = folder.path;
  writeFileSync(join(directory, 'ca.crt'), 'CA');
  writeFileSync(join(directory, 'token'), 'token');
  const ipv6 = {...environment, KUBERNETES_SERVICE_HOST: 'fd00::1'};
  t.is(inClusterCredentials({environment: ipv6, directory}).server, 'https://[fd00::1]:443');
});

test('outside a pod, and with a service account that is not whole, there are no credentials', async t => {
  await using folder = await temporaryFolder();
  const directory = folder.path;
  const invalid = {code: 'ERR_CREDENTIALS_INVALID'};
  t.throws(() => inClusterCredentials({environment: {}, directory}), invalid);
  t.throws(() => inClusterCredentials({environment, directory}), invalid);
  writeFileSync(join(directory, 'ca.crt'), 'CA');
  mkdirSync(join(directory, 'token'));
  t.throws(() => inClusterCredentials({environment, directory}), invalid);
  t.throws(() =>
    tokenReader(
      () => {
        throw new Error('missing');
      },
      () => 0,
    ),
  );
});

const aKubeconfig = (user: object, cluster: object = {}): string =>
  JSON.stringify({
    'current-context': 'c',
    contexts: [{name: 'c', context: {cluster: 'k', user: 'u'}}],
    clusters: [
      {
        name: 'k',
        cluster: {
          server: 'https://api.test:6443/',
          'certificate-authority-data': Buffer.from('CA').toString('base64'),
          ...cluster,
        },
      },
    ],
    users: [{name: 'u', user}],
  });

test('a kubeconfig gives a token, a token file, or a client certificate as data or as files', async t => {
  await using folder = await temporaryFolder();
  const directory = folder.path;
  for (const file of ['token', 'crt', 'key', 'ca']) writeFileSync(join(directory, file), file);
  const path = join(directory, 'config');
  const read = (user: object, cluster: object = {}) =>
    kubeconfigCredentials(aKubeconfig(user, cluster), {path});
  const withToken = read({token: 'abc'});
  t.is(withToken.server, 'https://api.test:6443');
  t.is(withToken.certificateAuthority, 'CA');
  t.is(withToken.token(), 'abc');
  t.is(read({tokenFile: 'token'}).token(), 'token');
  const files = read(
    {'client-certificate': 'crt', 'client-key': join(directory, 'key')},
    {'certificate-authority-data': '', 'certificate-authority': 'ca'},
  );
  t.deepEqual(files.client, {cert: 'crt', key: 'key'});
  t.is(files.certificateAuthority, 'ca');
  t.is(files.token(), undefined);
});

for (const [what, user, cluster] of [
  ['no way to say who we are', {}, {}],
  ['a program', {exec: {command: 'login'}}, {}],
  ['a password', {username: 'a', password: 'b'}, {}],
  ['a certificate without its key', {'client-certificate-data': 'QQ=='}, {}],
  ['a file that is missing', {tokenFile: '/nonexistent/token'}, {}],
] as const) {
  test(`a kubeconfig with ${what} is refused`, t => {
    const invalid = {code: 'ERR_CREDENTIALS_INVALID'};
    t.throws(() => kubeconfigCredentials(aKubeconfig(user, cluster)), invalid);
  });
}

test('a kubeconfig that switches verification off is refused', t => {
  const text = aKubeconfig({token: 'a'}, {'insecure-skip-tls-verify': true});
  t.throws(() => kubeconfigCredentials(text), {code: 'ERR_KUBECONFIG_INVALID'});
});

test('the machine’s clock fires at an instant, soon when it has passed, and not when taken back', async t => {
  const fired: string[] = [];
  const soon = new Promise<void>(resolve => {
    systemClock.at(new Date(0), () => {
      fired.push('past');
    });
    systemClock.at(new Date(Date.now() + 20), () => {
      fired.push('soon');
      resolve();
    });
  });
  systemClock.at(new Date(Date.now() + 1), () => fired.push('taken back'))[Symbol.dispose]();
  const far = systemClock.at(new Date(Date.now() + 400 * 86_400_000), () => fired.push('far'));
  await soon;
  far[Symbol.dispose]();
  t.deepEqual(fired, ['past', 'soon']);
});

test('a pause ends with its time or with its signal, and leaves no timer', async t => {
  const clock = new MovableClock({frozen: true});
  const reason = new Error('enough');
  const ending = new AbortController();
  const first = pause(clock, 1_000, {signal: ending.signal});
  clock.advance(1_000);
  await first;
  const second = pause(clock, 1_000, {signal: ending.signal});
  ending.abort(reason);
  t.is(await t.throwsAsync(second), reason);
  t.is(await t.throwsAsync(pause(clock, 1_000, {signal: ending.signal})), reason);
  t.is(clock.pending, 0);
});

test('a clock that a test moves fires each timer at its own instant, also those that come meanwhile', t => {
  const clock = new MovableClock({start: new Date(0), frozen: true});
  const seen: string[] = [];
  const note = (text: string) => () => seen.push(`${text}@${clock.now().getTime()}`);
  clock.at(new Date(300), note('c'));
  clock.at(new Date(100), () => {
    note('a')();
    clock.at(new Date(200), note('b'));
  });
  clock.at(new Date(150), note('taken back'))[Symbol.dispose]();
  clock.advance(250);
  t.deepEqual(seen, ['a@100', 'b@200']);
  clock.set(new Date(1_000));
  t.deepEqual(seen, ['a@100', 'b@200', 'c@300']);
  t.is(clock.now().getTime(), 1_000);
});

test('a clock that is not frozen goes on as real time passes', async t => {
  const clock = new MovableClock({start: new Date(0)});
  await new Promise<void>(resolve => clock.at(new Date(10), resolve));
  t.true(clock.now().getTime() >= 10);
  clock.advance(86_400_000);
  t.true(clock.now().getTime() >= 86_400_010);
});
