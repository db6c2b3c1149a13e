import test from 'ava';
import * as kinds from '#certificates/apis/resources';
import {
  aRequest,
  namespace,
  openRuledApi,
  refuses,
  type RuledApi,
} from '#test/certificates/a-ruled-api';

// Who asked for a certificate, and who may decide about it: what the API server does by our
// admission policies, without any controller.

const signal = AbortSignal.timeout(600_000);
let api: RuledApi;

test.before(async t => {
  t.timeout(600_000);
  api = await openRuledApi({signal});
});

test.after.always(() => api[Symbol.asyncDispose]());

test.serial('a request carries who asked, whatever it says itself', async t => {
  const jane = await api.account('jane');
  const lie = {username: 'admin', uid: '0', groups: ['system:masters'], extra: {scopes: ['all']}};
  const created = await jane.client.create(
    kinds.certificateRequests,
    aRequest('lie', lie),
    api.write,
  );
  t.is(created.spec.username, 'system:serviceaccount:default:jane');
  t.is(created.spec.uid, jane.uid);
  t.deepEqual(created.spec.groups, [
    'system:serviceaccounts',
    'system:serviceaccounts:default',
    'system:authenticated',
  ]);
  t.deepEqual(Object.keys(created.spec.extra ?? {}), [
    'authentication.kubernetes.io/credential-id',
  ]);
  const mine = await api.admin.create(kinds.certificateRequests, aRequest('mine', lie), api.write);
  t.is(mine.spec.username, 'admin');
  t.is(mine.spec.extra, undefined);
});

test.serial('a request never changes, nor what the controller wrote about it', async t => {
  const annotations = {'cert-manager.io/certificate-revision': '1', 'example.com/a': '1'};
  const request = aRequest('fixed');
  await api.admin.create(
    kinds.certificateRequests,
    {...request, metadata: {...request.metadata, annotations}},
    api.write,
  );
  const patch = (change: Readonly<Record<string, unknown>>): Promise<unknown> =>
    api.admin.patch(kinds.certificateRequests, {namespace, name: 'fixed'}, change, api.write);
  const annotate = (key: string, value: string | null): Promise<unknown> =>
    patch({metadata: {annotations: {[key]: value}}});
  await refuses(t, patch({spec: {isCA: true}}), {status: 422, says: 'spec'});
  await refuses(t, patch({spec: {username: 'admin2'}}), {status: 422, says: 'spec'});
  await refuses(t, patch({spec: null}), {status: 422, says: 'spec'});
  const fixed = {status: 403, says: 'annotations'};
  await refuses(t, annotate('cert-manager.io/certificate-revision', '2'), fixed);
  await refuses(t, annotate('cert-manager.io/certificate-revision', null), fixed);
  await refuses(t, annotate('cert-manager.io/certificate-name', 'a'), fixed);
  await refuses(t, annotate('acme.cert-manager.io/a', 'b'), fixed);
  await t.notThrowsAsync(annotate('example.com/a', '2'));
  await t.notThrowsAsync(annotate('venafi.cert-manager.io/pickup-id', '2'));
});

test.serial('only who may approve for the signer approves or denies, and once', async t => {
  const nobody = await api.account('nobody');
  const approver = await api.account('approver', ['issuers.cert-manager.io/default.ca']);
  await api.admin.create(kinds.certificateRequests, aRequest('asked'), api.write);
  await refuses(t, api.decide(nobody.client, 'asked', {types: ['Approved']}), {
    status: 403,
    says: 'approve',
  });
  await refuses(t, api.decide(nobody.client, 'asked', {types: ['Denied']}), {
    status: 403,
    says: 'approve',
  });
  await refuses(t, api.decide(approver.client, 'asked', {types: ['Approved', 'Denied']}), {
    status: 422,
    says: 'both',
  });
  await refuses(t, api.decide(approver.client, 'asked', {types: ['Approved'], status: 'False'}), {
    status: 422,
    says: 'True',
  });
  await t.notThrowsAsync(api.decide(nobody.client, 'asked', {types: ['Ready'], status: 'False'}));
  await t.notThrowsAsync(api.decide(approver.client, 'asked', {types: ['Approved']}));
  // Who may not approve may still api.write everything else about an approved request.
  await t.notThrowsAsync(api.decide(nobody.client, 'asked', {types: ['Approved', 'Ready']}));
  await refuses(t, api.decide(approver.client, 'asked', {types: []}), {
    status: 403,
    says: 'never change',
  });
  await refuses(t, api.decide(approver.client, 'asked', {types: ['Denied']}), {
    status: 403,
    says: 'never change',
  });
  await refuses(
    t,
    api.decide(approver.client, 'asked', {types: ['Approved'], status: 'True', reason: 'other'}),
    {
      status: 403,
      says: 'never change',
    },
  );
});

const signers: readonly {
  readonly issuerRef: {readonly name: string; readonly kind?: string; readonly group?: string};
  readonly signer: string;
  readonly may: boolean;
}[] = [
  {issuerRef: {name: 'ca'}, signer: 'issuers.cert-manager.io/*', may: true},
  {issuerRef: {name: 'ca', kind: ''}, signer: 'issuers.cert-manager.io/default.ca', may: true},
  {issuerRef: {name: 'ca'}, signer: 'issuers.cert-manager.io/other.ca', may: false},
  {issuerRef: {name: 'ca'}, signer: 'issuers.cert-manager.io/ca', may: false},
  {issuerRef: {name: 'ca'}, signer: 'clusterissuers.cert-manager.io/*', may: false},
  {
    issuerRef: {name: 'ca', kind: 'ClusterIssuer'},
    signer: 'clusterissuers.cert-manager.io/ca',
    may: true,
  },
  {
    issuerRef: {name: 'ca', kind: 'ClusterIssuer'},
    signer: 'clusterissuers.cert-manager.io/default.ca',
    may: false,
  },
  {
    issuerRef: {name: 'a', kind: 'StepIssuer', group: 'step.sm'},
    signer: 'stepissuers.step.sm/*',
    may: true,
  },
  {
    issuerRef: {name: 'a', kind: 'StepIssuer', group: 'step.sm'},
    signer: 'stepissuers.step.sm/default.a',
    may: true,
  },
  {
    issuerRef: {name: 'a', kind: 'Authority', group: 'a.example'},
    signer: 'authorities.a.example/a',
    may: true,
  },
  {
    issuerRef: {name: 'a', kind: 'Glass', group: 'a.example'},
    signer: 'glasses.a.example/*',
    may: true,
  },
  {
    issuerRef: {name: 'a', kind: 'StepIssuer', group: 'step.sm'},
    signer: 'issuers.cert-manager.io/*',
    may: false,
  },
];

for (const [index, {issuerRef, signer, may}] of signers.entries()) {
  const issuer = `${issuerRef.kind ?? 'Issuer'} ${issuerRef.name} of ${issuerRef.group ?? 'ours'}`;
  test.serial(
    `the right for ${signer} is ${may ? '' : 'not '}one for ${issuer} (${index})`,
    async t => {
      const {client} = await api.account(`signer-${index}`, [signer]);
      await api.admin.create(
        kinds.certificateRequests,
        aRequest(`signer-${index}`, {issuerRef}),
        api.write,
      );
      const decision = api.decide(client, `signer-${index}`, {types: ['Approved']});
      if (may) await t.notThrowsAsync(decision);
      else await refuses(t, decision, {status: 403, says: 'approve'});
    },
  );
}
