import test from 'ava';
import type {Challenge} from '#certificates/apis/challenge';
import {conditionIsTrue} from '#certificates/apis/conditions';
import {customResourceDefinitions} from '#certificates/apis/definitions';
import type {IssuerSpec} from '#certificates/apis/issuer';
import {ACME_API_VERSION, finalizers} from '#certificates/apis/names';
import type {Order, OrderStatus} from '#certificates/apis/order';
import * as kinds from '#certificates/apis/resources';
import type {ResourceType} from '#certificates/kube/resource';
import {
  aCertificate,
  conditionsOf,
  definitionType,
  namespace,
  openRuledApi,
  refuses,
  type RuledApi,
} from '#test/certificates/a-ruled-api';
import {
  acceptedCertificates,
  refusedCertificates,
} from '../../certificates/apis/judged-certificates.ts';
import {acceptedIssuers, refusedIssuers} from '../../certificates/apis/judged-issuers.ts';

// What only an API server can tell: that it takes our definitions, and what it refuses by them and
// by the policies. There is no controller here.

const signal = AbortSignal.timeout(600_000);
let api: RuledApi;

test.before(async t => {
  t.timeout(600_000);
  api = await openRuledApi({signal, before: storeOldCertificate});
});

test.after.always(() => api[Symbol.asyncDispose]());

for (const {metadata} of customResourceDefinitions()) {
  test.serial(`the API server takes ${metadata.name}, and serves it`, async t => {
    const names = await api.admin.get(definitionType, metadata, {signal});
    const conditions = conditionsOf(names);
    t.true(conditionIsTrue(conditions, 'Established'));
    t.true(conditionIsTrue(conditions, 'NamesAccepted'));
    t.false(conditions.some(({type}) => type === 'NonStructuralSchema'));
  });
}

test.serial('short names and categories find our kinds', async t => {
  const find = async (definition: string): Promise<unknown> => {
    const object = await api.admin.get(definitionType, {name: definition}, {signal});
    return (object?.['status'] as {acceptedNames?: unknown} | undefined)?.acceptedNames;
  };
  t.like(await find('certificates.cert-manager.io'), {
    shortNames: ['cert', 'certs'],
    categories: ['cert-manager'],
  });
  t.like(await find('certificaterequests.cert-manager.io'), {shortNames: ['cr', 'crs']});
  t.like(await find('issuers.cert-manager.io'), {shortNames: ['iss']});
  t.like(await find('clusterissuers.cert-manager.io'), {shortNames: ['ciss']});
  t.like(await find('orders.acme.cert-manager.io'), {
    categories: ['cert-manager', 'cert-manager-acme'],
  });
});

for (const {title, spec} of acceptedCertificates) {
  test.serial(`a Certificate with ${title} is taken`, async t => {
    await t.notThrowsAsync(api.dryRun(kinds.certificates, spec));
  });
}

for (const {title, spec, says, onlyHere} of refusedCertificates) {
  if (onlyHere) {
    test.serial(`a Certificate with ${title} is left to the controller`, async t => {
      await t.notThrowsAsync(api.dryRun(kinds.certificates, spec));
    });
  } else {
    test.serial(`a Certificate with ${title} is refused`, async t => {
      await refuses(t, api.dryRun(kinds.certificates, spec), {status: 422, says});
    });
  }
}

for (const {title, spec} of acceptedIssuers) {
  test.serial(`an issuer is taken: ${title}`, async t => {
    await t.notThrowsAsync(api.dryRun(kinds.issuers, spec));
    await t.notThrowsAsync(api.dryRun(kinds.clusterIssuers, spec));
  });
}

for (const {title, spec, says} of refusedIssuers) {
  test.serial(`an issuer is refused: ${title}`, async t => {
    await refuses(t, api.dryRun(kinds.issuers, spec), {status: 422, says});
    await refuses(t, api.dryRun(kinds.clusterIssuers, spec), {status: 422, says});
  });
}

test.serial('an object without spec is refused', async t => {
  const {certificates, certificateRequests, issuers, orders} = kinds;
  const types: readonly ResourceType[] = [certificates, certificateRequests, issuers, orders];
  for (const type of types) {
    await refuses(t, api.dryRun(type, undefined), {status: 422, says: 'spec'});
  }
});

test.serial('an issuer gets the defaults of its fields', async t => {
  const spec: IssuerSpec = {
    acme: {
      server: 'https://acme.example/directory',
      privateKeySecretRef: {name: 'account'},
      solvers: [
        {http01: {gatewayHTTPRoute: {parentRefs: [{name: 'web'}]}}},
        {http01: {ingress: {podTemplate: {spec: {imagePullSecrets: [{}]}}}}},
      ],
    },
  };
  const {acme} = (await api.dryRun(kinds.issuers, spec)).spec;
  t.is(acme?.renewalInformationSource, 'ARI');
  t.deepEqual(acme?.solvers?.[0]?.http01?.gatewayHTTPRoute?.parentRefs, [
    {name: 'web', group: 'gateway.networking.k8s.io', kind: 'Gateway'},
  ]);
  const podSpec = acme?.solvers?.[1]?.http01?.ingress?.podTemplate?.spec;
  t.deepEqual(podSpec?.imagePullSecrets, [{name: ''}]);
});

test.serial('Certificates are found by their issuer', async t => {
  for (const name of ['one', 'two']) {
    const spec = {secretName: name, issuerRef: {name: `ca-${name}`}, dnsNames: ['example.com']};
    await api.admin.create(kinds.certificates, aCertificate(name, spec), api.write);
  }
  const fieldSelector = 'spec.issuerRef.name=ca-two';
  const found = await api.admin.list(kinds.certificates, {signal, namespace, fieldSelector});
  t.deepEqual(
    found.map(({metadata}) => metadata.name),
    ['two'],
  );
});

test.serial(
  'a Certificate from before the rules keeps its labels and its finalizers editable',
  async t => {
    const name = {namespace, name: 'old'};
    const labelled = await api.admin.patch(
      kinds.certificates,
      name,
      {metadata: {labels: {a: 'b'}}},
      api.write,
    );
    t.deepEqual(labelled.metadata.labels, {a: 'b'});
    const released = await api.admin.patch(
      kinds.certificates,
      name,
      {metadata: {finalizers: []}},
      api.write,
    );
    t.is(released.metadata['finalizers'], undefined);
    const status = {status: {revision: 1}};
    await t.notThrowsAsync(
      api.admin.patch(kinds.certificates, name, status, {...api.write, subresource: 'status'}),
    );
    const change = api.admin.patch(kinds.certificates, name, {spec: {isCA: true}}, api.write);
    await refuses(t, change, {status: 422, says: 'ipAddresses'});
  },
);

test.serial('a namespace with the label of cert-manager is not asked', async t => {
  const name = 'unchecked';
  await api.admin.create(
    kinds.namespaces,
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {name, labels: {'cert-manager.io/disable-validation': 'true'}},
    },
    api.write,
  );
  const spec = {secretName: 'a', issuerRef: {name: 'a'}, ipAddresses: ['none']};
  await refuses(t, api.dryRun(kinds.certificates, spec), {status: 422, says: 'ipAddresses'});
  // The policy's view of namespaces follows a moment later.
  await t.notThrowsAsync(api.eventually(() => api.dryRun(kinds.certificates, spec, name)));
});

test.serial('what the ACME server has said about an Order stays', async t => {
  const spec = {request: 'YQ==', issuerRef: {name: 'acme'}};
  const name = {namespace, name: 'order'};
  const metadata = name;
  await api.admin.create(
    kinds.orders,
    {apiVersion: ACME_API_VERSION, kind: 'Order', metadata, spec} satisfies Order,
    api.write,
  );
  const update = (status: OrderStatus): Promise<unknown> =>
    api.admin.patch(kinds.orders, name, {status}, {...api.write, subresource: 'status'});
  const challenges = [{type: 'http-01', token: 'a', url: 'https://acme.example/c'}];
  await update({url: 'https://acme.example/1', authorizations: [{url: 'u1'}, {url: 'u2'}]});
  await update({
    authorizations: [{url: 'u1', identifier: 'a', challenges}, {url: 'u2'}],
    finalizeURL: 'f',
  });
  await update({
    authorizations: [
      {url: 'u1', identifier: 'a', challenges, wildcard: true, initialState: 'pending'},
      {url: 'u2'},
    ],
  });
  await update({state: 'valid', certificate: 'YQ=='});
  const request = api.admin.patch(kinds.orders, name, {spec: {request: 'Yg=='}}, api.write);
  await refuses(t, request, {status: 422, says: 'request'});
  await refuses(t, update({url: 'https://acme.example/2'}), {status: 422, says: 'url'});
  await refuses(t, update({finalizeURL: ''}), {status: 422, says: 'finalizeURL'});
  await refuses(t, update({certificate: 'Yg=='}), {status: 422, says: 'certificate'});
  const kept = {status: 403, says: 'authorizations'};
  await refuses(t, update({authorizations: [{url: 'u1'}]}), kept);
  await refuses(t, update({authorizations: [{url: 'u1', identifier: 'b'}, {url: 'u2'}]}), kept);
  await refuses(t, update({authorizations: []}), kept);
});

test.serial('a Challenge never changes, but its status and its finalizers do', async t => {
  const metadata = {namespace, name: 'challenge'};
  const challenge: Challenge = {
    apiVersion: ACME_API_VERSION,
    kind: 'Challenge',
    metadata,
    spec: {
      authorizationURL: 'https://acme.example/a',
      dnsName: 'example.com',
      issuerRef: {name: 'acme'},
      key: 'key',
      solver: {http01: {ingress: {}}},
      token: 'token',
      type: 'HTTP-01',
      url: 'https://acme.example/c',
    },
  };
  await api.admin.create(kinds.challenges, challenge, api.write);
  const change = api.admin.patch(kinds.challenges, metadata, {spec: {key: 'other'}}, api.write);
  await refuses(t, change, {status: 422, says: 'spec'});
  const held = {metadata: {finalizers: [finalizers.challenge]}};
  await t.notThrowsAsync(api.admin.patch(kinds.challenges, metadata, held, api.write));
  const status = {status: {processing: true}};
  await t.notThrowsAsync(
    api.admin.patch(kinds.challenges, metadata, status, {...api.write, subresource: 'status'}),
  );
});

/** One that the rules would refuse, from before they were there. */
async function storeOldCertificate({admin, write, eventually}: RuledApi): Promise<void> {
  const spec = {secretName: 'OLD', issuerRef: {name: ''}, ipAddresses: ['none']};
  const old = aCertificate('old', spec);
  const metadata = {...old.metadata, finalizers: ['example.com/keep']};
  await eventually(() => admin.create(kinds.certificates, {...old, metadata}, write));
}
