import {rootCertificates} from 'node:tls';
import test from 'ava';
import {openApiClient, type ApiClient} from '#certificates/kube/client';
import {systemClock} from '#certificates/kube/clock';
import {createEventRecorder} from '#certificates/kube/events';
import {kubeconfigCredentials} from '#certificates/kube/kubeconfig';
import {leadWhile, type LeaseObject} from '#certificates/kube/lease';
import type {ResourceType} from '#certificates/kube/resource';
import {createLog} from '#shared/log';
import type {KubernetesObject} from '#shared/kube/object';
import {waitFor} from '#shared/wait-for';
import {startApiServer, type ApiServer} from '#test/api-server';
import {MovableClock} from '#test/certificates/movable-clock';
import {isWrite} from '#test/certificates/faulty-proxy';
import {
  aConfigMap,
  aKubeSite,
  configMaps,
  namespaces,
  valuesOf,
} from '#test/certificates/kube-site';
import type {KubeSite} from '#test/certificates/kube-site';

const signal = AbortSignal.timeout(600_000);
const lines: string[] = [];
const log = createLog({level: 'debug', write: line => lines.push(line)});

const leases: ResourceType<LeaseObject> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};
const events: ResourceType<KubernetesObject & {readonly count?: number}> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};

let server: ApiServer;
/** Straight to the API server: the hand of somebody else. */
let direct: ApiClient;

test.before(async t => {
  t.timeout(600_000);
  server = await startApiServer({signal});
  direct = openApiClient({credentials: kubeconfigCredentials(server.kubeconfig)});
});

test.after.always(async () => {
  await direct[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const aSite = (name: string): Promise<KubeSite> => aKubeSite(name, {server, direct, log, signal});

async function until(condition: () => boolean, timeoutMs = 20_000): Promise<void> {
  const probe = (): Promise<true | undefined> => Promise.resolve(condition() || undefined);
  await waitFor(probe, {signal, timeoutMs, intervalMs: 10});
}

test.serial('an object is created, replaced, applied, patched and deleted', async t => {
  await using site = await aSite('objects');
  const {client, namespace} = site;
  const name = {namespace, name: 'one'};
  t.is(await client.get(configMaps, name, {signal}), undefined);
  const object = aConfigMap(namespace, 'one', 'a');
  await client.create(configMaps, object, {signal, dryRun: true});
  t.is(await client.get(configMaps, name, {signal}), undefined);
  const made = await client.create(configMaps, object, {signal, fieldManager: 'tester'});
  const exists = {code: 'ERR_API_REFUSED', message: /AlreadyExists/};
  await t.throwsAsync(client.create(configMaps, object, {signal}), exists);

  const replaced = await client.update(configMaps, {...made, data: {value: 'b'}}, {signal});
  t.is(replaced.data?.['value'], 'b');
  const stale = client.update(configMaps, {...made, data: {value: 'c'}}, {signal});
  t.like(await t.throwsAsync(stale), {code: 'ERR_API_REFUSED', status: 409, reason: 'Conflict'});

  const theirs = aConfigMap(namespace, 'one', 'd');
  const polite = {signal, fieldManager: 'other', force: false};
  t.like(await t.throwsAsync(client.apply(configMaps, theirs, polite)), {status: 409});
  const applied = await client.apply(configMaps, theirs, {signal, fieldManager: 'other'});
  t.is(applied.data?.['value'], 'd');
  const patched = await client.patch(configMaps, name, {data: {more: 'e'}}, {signal});
  t.deepEqual(patched.data, {value: 'd', more: 'e'});

  t.false(await client.delete(configMaps, name, {signal, uid: 'of-another'}));
  t.true(await client.delete(configMaps, name, {signal, uid: made.metadata.uid ?? ''}));
  t.false(await client.delete(configMaps, name, {signal}));
});

test.serial('a kind that is not served is a refusal, not an object that is missing', async t => {
  const unknown = {...configMaps, group: 'nobody.example', plural: 'things'};
  const asked = direct.get(unknown, {namespace: 'default', name: 'x'}, {signal});
  t.like(await t.throwsAsync(asked), {code: 'ERR_API_REFUSED', status: 404});
});

test.serial('a server that the kubeconfig does not vouch for gets no token', async t => {
  await using site = await aSite('untrusted');
  const credentials = kubeconfigCredentials(server.kubeconfigWith({server: site.proxy.server}));
  const certificateAuthority = rootCertificates[0] ?? '';
  await using client = openApiClient({credentials: {...credentials, certificateAuthority}});
  await t.throwsAsync(client.list(namespaces, {signal}), {code: 'ERR_API_UNTRUSTED'});
  t.deepEqual(site.proxy.requests, []);
});

test.serial('a collection comes page by page, all of one instant', async t => {
  await using site = await aSite('pages');
  for (let index = 0; index < 7; index += 1) await site.put(`c${index}`, 'x');
  const seen: string[] = [];
  const pages: {count: number; first: boolean}[] = [];
  const options = {signal, namespace: site.namespace, limit: 3};
  for await (const page of site.client.pages(configMaps, options)) {
    pages.push({count: page.items.length, first: page.first});
    seen.push(...page.items.map(({metadata}) => metadata.name));
    t.true(page.items.every(({kind, apiVersion}) => kind === 'ConfigMap' && apiVersion === 'v1'));
  }
  t.deepEqual(pages, [
    {count: 3, first: true},
    {count: 3, first: false},
    {count: 1, first: false},
  ]);
  t.is(new Set(seen).size, 7);
  t.is((await site.client.list(configMaps, options)).length, 7);
});

test.serial('a list that the API forgets between two pages begins anew', async t => {
  await using site = await aSite('expired');
  for (let index = 0; index < 4; index += 1) await site.put(`c${index}`, 'x');
  site.proxy.fault({kind: 'answer', status: 410}, {match: ({path}) => path.includes('continue=')});
  const list: string[] = [];
  for await (const page of site.client.pages(configMaps, {
    signal,
    namespace: site.namespace,
    limit: 2,
  })) {
    if (page.first) list.length = 0;
    list.push(...page.items.map(({metadata}) => metadata.name));
  }
  t.deepEqual(list, ['c0', 'c1', 'c2', 'c3']);
  const unlimited = site.proxy.requests.filter(
    ({verb, path}) => verb === 'list' && !path.includes('limit='),
  );
  t.is(unlimited.length, 1);
});

test.serial('a view follows what is created, changed and deleted', async t => {
  await using site = await aSite('view');
  await site.put('a', '1');
  const view = await site.reflect();
  t.deepEqual(valuesOf(view), ['a=1']);
  await site.put('b', '1');
  await site.put('a', '2');
  await until(() => valuesOf(view).join() === 'a=2,b=1');
  await site.remove('a');
  await until(() => valuesOf(view).join() === 'b=1');
  t.is(site.proxy.counts()['list configmaps'], 1);
});

test.serial('a view of metadata gets no data', async t => {
  await using site = await aSite('metadata');
  await site.put('a', 'secret');
  const view = await site.reflect({metadataOnly: true});
  await site.put('b', 'secret');
  await until(() => view.size === 2);
  t.deepEqual(valuesOf(view), ['a=no data', 'b=no data']);
});

test.serial('a watch that breaks goes on where it was, without a list', async t => {
  await using site = await aSite('broken');
  const view = await site.reflect();
  await site.put('a', '1');
  await until(() => view.size === 1);
  for (const value of ['2', '3', '4']) {
    t.true(site.proxy.breakWatches() > 0);
    await site.put('a', value);
    await until(() => valuesOf(view).join() === `a=${value}`);
  }
  t.is(site.proxy.counts()['list configmaps'], 1);
});

test.serial('a watch that is silent and not ended is opened again', async t => {
  await using site = await aSite('silent');
  const view = await site.reflect({idleMs: 500});
  await until(() => site.proxy.silenceWatches() > 0);
  await site.put('a', '1');
  await until(() => view.size === 1);
  t.is(site.proxy.counts()['list configmaps'], 1);
});

for (const kind of ['answer', 'error-event'] as const) {
  test.serial(
    `a watch that is too old (410 as ${kind}) is a list, and misses no deletion`,
    async t => {
      await using site = await aSite(`gone-${kind}`);
      await site.put('a', '1');
      await site.put('b', '1');
      const view = await site.reflect();
      await until(() => (site.proxy.counts()['watch configmaps'] ?? 0) > 0);
      const rule = site.proxy.fault(
        {kind, status: 410},
        {match: ({verb}) => verb === 'watch', times: 2},
      );
      // Its request has come; that the proxy has its answer, and can break it, may take longer.
      await until(() => site.proxy.breakWatches() > 0);
      await site.remove('a');
      await site.put('b', '2');
      await until(() => valuesOf(view).join() === 'b=2' && rule.hits === 2);
      await site.put('c', '1'); // through a watch that works again
      await until(() => view.size === 2);
      t.true((site.proxy.counts()['list configmaps'] ?? 0) >= 3);
    },
  );
}

test.serial('an API that was gone for three watches in a row is followed again', async t => {
  await using site = await aSite('outage');
  await site.put('a', '1');
  const view = await site.reflect();
  await until(() => (site.proxy.counts()['watch configmaps'] ?? 0) > 0);
  lines.length = 0;
  site.proxy.cut();
  await until(() => lines.some(line => line.includes('failuresInRow=3')));
  await site.remove('a');
  await site.put('b', '1');
  t.deepEqual(valuesOf(view), ['a=1'], 'what is not known is kept');
  site.proxy.heal();
  await until(() => valuesOf(view).join() === 'b=1');
  await until(() => lines.some(line => line.includes('watch works again')));
  t.true(lines.some(line => line.startsWith('warn') && line.includes('ERR_API_UNREACHABLE')));
});

test.serial(
  '429 and 503 are repeated, and a lost answer is not taken for a failure of a write that is safe to repeat',
  async t => {
    await using site = await aSite('retries');
    const {client, namespace, proxy} = site;
    proxy.fault({kind: 'answer', status: 429, retryAfterSeconds: 1}, {times: 1});
    proxy.fault({kind: 'answer', status: 503}, {times: 1});
    const object = aConfigMap(namespace, 'one', 'a');
    await client.apply(configMaps, object, {signal, fieldManager: 'test'});
    t.is(proxy.counts()['apply configmaps'], 3);
    proxy.forgetRequests();
    proxy.fault({kind: 'drop-response'}, {times: 1});
    const next = aConfigMap(namespace, 'one', 'b');
    t.is(
      (await client.apply(configMaps, next, {signal, fieldManager: 'test'})).data?.['value'],
      'b',
    );
    t.is(proxy.counts()['apply configmaps'], 2);
  },
);

test.serial('a create whose answer is lost is not sent twice', async t => {
  await using site = await aSite('create');
  const {client, namespace, proxy} = site;
  proxy.fault({kind: 'drop-response'}, {times: 1});
  const created = client.create(configMaps, aConfigMap(namespace, 'one', 'a'), {signal});
  await t.throwsAsync(created, {code: 'ERR_API_UNREACHABLE'});
  t.is(proxy.counts()['create configmaps'], 1);
  t.truthy(await client.get(configMaps, {namespace, name: 'one'}, {signal}));
});

test.serial('writes can be cut off after any of them, and reads go on', async t => {
  await using site = await aSite('writes');
  const {client, namespace, proxy} = site;
  proxy.fault({kind: 'drop-request'}, {match: isWrite, after: 1});
  await client.create(configMaps, aConfigMap(namespace, 'one', 'a'), {signal});
  const second = client.create(configMaps, aConfigMap(namespace, 'two', 'a'), {signal});
  await t.throwsAsync(second, {code: 'ERR_API_UNREACHABLE'});
  t.is((await client.list(configMaps, {signal, namespace})).length, 1);
});

test.serial('a request that nobody answers ends', async t => {
  await using site = await aSite('hanging');
  const credentials = kubeconfigCredentials(server.kubeconfigWith({server: site.proxy.server}));
  await using client = openApiClient({credentials, requestTimeoutMs: 300});
  site.proxy.fault({kind: 'hang'});
  const created = client.create(configMaps, aConfigMap(site.namespace, 'a', 'b'), {signal});
  await t.throwsAsync(created, {code: 'ERR_API_UNREACHABLE'});
  const reason = new Error('enough');
  const aborting = AbortSignal.abort(reason);
  t.is(await t.throwsAsync(client.list(namespaces, {signal: aborting})), reason);
});

test.serial('events are told once and then counted', async t => {
  await using site = await aSite('events');
  const clock = new MovableClock();
  const recorder = createEventRecorder({
    client: site.client,
    component: 'cert-manager-test',
    clock,
    log,
  });
  const subject = await direct.create(configMaps, aConfigMap(site.namespace, 'a', 'b'), {signal});
  const event = {type: 'Warning', reason: 'Odd', message: 'this is odd'} as const;
  recorder.record({...subject, kind: 'ConfigMap', apiVersion: 'v1'}, event);
  await recorder.flush();
  clock.advance(60_000);
  recorder.record({...subject, kind: 'ConfigMap', apiVersion: 'v1'}, event);
  await recorder.flush();
  const [found, ...others] = await direct.list(events, {signal, namespace: site.namespace});
  t.deepEqual(others, []);
  t.like(found, {count: 2, reason: 'Odd', source: {component: 'cert-manager-test'}});
});

test.serial('leadership is handed over at once, and lost when the API is gone', async t => {
  await using site = await aSite('lease');
  const lease = {namespace: site.namespace, name: 'cert-manager-controller'};
  // A call may take a third of `renewMs`: as long as an API server may be busy.
  const times = {leaseMs: 8_000, renewMs: 5_000, retryMs: 200};
  const leaders: string[] = [];
  const candidate = (identity: string, client: ApiClient, until_: AbortSignal): Promise<void> =>
    leadWhile({
      client,
      lease,
      identity,
      ...times,
      clock: systemClock,
      log,
      signal: until_,
      lead: async leading => {
        leaders.push(`${identity} leads`);
        await new Promise(resolve => {
          leading.addEventListener('abort', resolve);
        });
        leaders.push(`${identity} stops`);
      },
    });
  const [first, second] = [new AbortController(), new AbortController()];
  const one = candidate('one', direct, first.signal);
  await until(() => leaders.length === 1);
  const two = candidate('two', site.client, second.signal);
  await until(() => (site.proxy.counts()['get leases'] ?? 0) >= 2);
  first.abort();
  await one;
  await until(() => leaders.length === 3);
  t.deepEqual(leaders, ['one leads', 'one stops', 'two leads']);
  t.like(await direct.get(leases, lease, {signal}), {
    spec: {holderIdentity: 'two', leaseTransitions: 1},
  });

  const third = new AbortController();
  const three = candidate('three', direct, third.signal);
  site.proxy.cut();
  await until(() => leaders.length === 5);
  t.deepEqual(leaders.slice(3), ['two stops', 'three leads'], 'never two at once');
  site.proxy.heal();
  second.abort();
  third.abort();
  await Promise.all([two, three]);
  t.like(await direct.get(leases, lease, {signal}), {spec: {holderIdentity: ''}});
});
