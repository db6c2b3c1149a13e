// Who may approve and deny, and who asked (certificates.md §5.3, "approval" and "userinfo").
import test from 'ava';
import {waitFor} from '#shared/wait-for';
import type {CertificateRequest} from '#certificates/apis/certificate-request';
import {certificateRequests} from '#certificates/apis/resources';
import {generatePrivateKey} from '#certificates/x509/keys';
import {openControllerSite, type ControllerSite} from '#test/certificates/a-controller';
import {anActor, outcomeOf, type Rule} from '#test/certificates/actor';
import {aCsr} from '#test/certificates/issuing';

const signal = AbortSignal.timeout(600_000);
let site: ControllerSite;
let namespace: string;
let csr: string;
let count = 0;

test.before(async t => {
  t.timeout(120_000);
  site = await openControllerSite({signal});
  namespace = await site.namespace();
  csr = aCsr(await generatePrivateKey({kind: 'ECDSA', size: 256}));
  await policiesInForce();
});
test.after.always(async () => {
  await site[Symbol.asyncDispose]();
});

const READ_AND_WRITE: Rule = {
  apiGroups: ['cert-manager.io'],
  resources: ['certificaterequests', 'certificaterequests/status'],
  verbs: ['get', 'create', 'update'],
};

interface Row {
  readonly issuerRef: CertificateRequest['spec']['issuerRef'];
  /** Names of `signers` with the verb approve; `NAMESPACE` stands for the request's. */
  readonly granted: readonly string[];
}

const decides = (isAllowed: boolean) =>
  test.macro(async (t, type: 'Approved' | 'Denied', {issuerRef, granted}: Row) => {
    t.timeout(60_000);
    const resourceNames = granted.map(name => name.replace('NAMESPACE', namespace));
    await using actor = await anActor(site, {
      namespace,
      name: nextName(),
      rules: [READ_AND_WRITE, ...(granted.length === 0 ? [] : [approve(resourceNames)])],
    });
    const request = await aNewRequest(issuerRef);
    const outcome = await outcomeOf(
      () => actor.client.updateStatus(certificateRequests, withCondition(request, type), {signal}),
      signal,
    );
    if (isAllowed) return t.is(outcome, 'done');
    t.like(outcome, {status: 403});
    t.regex(outcome === 'done' ? '' : outcome.message, /needs the verb approve/);
  });
const allowed = decides(true);
const refused = decides(false);

const ours = {name: 'ca'};
const cluster = {name: 'ca', kind: 'ClusterIssuer'};
const foreign = {name: 'ca', kind: 'Issuer', group: 'example.io'};
const foreignCluster = {name: 'ca', kind: 'ClusterIssuer', group: 'example.io'};

for (const type of ['Approved', 'Denied'] as const) {
  test.serial(`${type} needs the verb approve`, refused, type, {issuerRef: ours, granted: []});
  test.serial(`${type} of an external issuer needs it as well`, refused, type, {
    issuerRef: foreign,
    granted: [],
  });
  test.serial(`${type} by all issuers of a group`, allowed, type, {
    issuerRef: foreign,
    granted: ['issuers.example.io/*'],
  });
  test.serial(`${type} by one issuer in its namespace`, allowed, type, {
    issuerRef: foreign,
    granted: ['issuers.example.io/NAMESPACE.ca'],
  });
  test.serial(`${type} by all issuers of the cluster`, allowed, type, {
    issuerRef: foreignCluster,
    granted: ['clusterissuers.example.io/*'],
  });
  test.serial(`${type} by one issuer of the cluster`, allowed, type, {
    issuerRef: foreignCluster,
    granted: ['clusterissuers.example.io/ca'],
  });
  test.serial(`${type} by our Issuer`, allowed, type, {
    issuerRef: ours,
    granted: ['issuers.cert-manager.io/NAMESPACE.ca'],
  });
  test.serial(`${type} by our ClusterIssuer`, allowed, type, {
    issuerRef: cluster,
    granted: ['clusterissuers.cert-manager.io/ca'],
  });
}
test.serial('the right for another resource is not enough', refused, 'Approved', {
  issuerRef: foreign,
  granted: ['foos.example.io/*', 'issuers.other.io/*'],
});
test.serial('the right for ClusterIssuers is not one for Issuers', refused, 'Approved', {
  issuerRef: ours,
  granted: ['clusterissuers.cert-manager.io/*'],
});
test.serial('the right for Issuers is not one for ClusterIssuers', refused, 'Denied', {
  issuerRef: cluster,
  granted: ['issuers.cert-manager.io/*'],
});
test.serial('the right for another issuer is not enough', refused, 'Approved', {
  issuerRef: ours,
  granted: ['issuers.cert-manager.io/NAMESPACE.other'],
});
test.serial('an Issuer is named with its namespace', refused, 'Approved', {
  issuerRef: ours,
  granted: ['issuers.cert-manager.io/ca', 'issuers.cert-manager.io/other.ca'],
});
test.serial('a namespace alone is no wildcard', refused, 'Approved', {
  issuerRef: ours,
  granted: ['issuers.cert-manager.io/NAMESPACE.*'],
});

test.serial('a decision is one, True, and for ever', async t => {
  const write = async (request: CertificateRequest) =>
    outcomeOf(() => site.client.updateStatus(certificateRequests, request, {signal}), signal);
  const request = await aNewRequest(ours);
  const conditions = [condition('Approved', 'False')];
  t.like(await write({...request, status: {conditions}}), {status: 422});
  const both = [condition('Approved'), condition('Denied')];
  t.like(await write({...request, status: {conditions: both}}), {status: 422});
  const approved = await site.client.updateStatus(
    certificateRequests,
    withCondition(request, 'Approved'),
    {signal},
  );
  t.like(await write({...approved, status: {conditions: []}}), {status: 403});
  t.like(await write({...approved, status: {conditions: [condition('Denied')]}}), {status: 403});
  const other = {...condition('Approved'), reason: 'Other'};
  t.like(await write({...approved, status: {conditions: [other]}}), {status: 403});
});

test.serial('a request says who made it, whatever it says itself, and never changes', async t => {
  t.timeout(60_000);
  await using actor = await anActor(site, {
    namespace,
    name: nextName(),
    rules: [READ_AND_WRITE],
  });
  const spoofed = {username: 'root', uid: '0', groups: ['system:masters'], extra: {a: ['b']}};
  const made = await outcomeValue(() =>
    actor.client.create(certificateRequests, aRequestOf(ours, spoofed), {signal}),
  );
  t.is(made.spec.username, actor.userName);
  t.deepEqual(made.spec.groups?.toSorted(), [
    'system:authenticated',
    'system:serviceaccounts',
    `system:serviceaccounts:${namespace}`,
  ]);
  t.regex(made.spec.uid ?? '', /^[0-9a-f-]{36}$/);
  t.false('a' in (made.spec.extra ?? {}));
  for (const change of [{username: 'root'}, {groups: ['x']}, {request: ''}, {isCA: true}]) {
    const changed = {...made, spec: {...made.spec, ...change}};
    const outcome = await outcomeOf(
      () => actor.client.update(certificateRequests, changed, {signal}),
      signal,
    );
    t.like(outcome, {code: 'ERR_API_REFUSED'}, JSON.stringify(change));
  }
});

/** A policy takes effect a second or so after it was made, and nothing in it says so. */
async function policiesInForce(): Promise<void> {
  const request = await aNewRequest(ours);
  const status = {conditions: [condition('Approved', 'False')]};
  await waitFor(
    async () => {
      const write = () =>
        site.client.updateStatus(certificateRequests, {...request, status}, {signal});
      if ((await outcomeOf(write, signal)) === 'done') return undefined;
      const dry = {signal, dryRun: true};
      const spoofed = aRequestOf(ours, {username: 'root'});
      const {spec} = await site.client.create(certificateRequests, spoofed, dry);
      return spec.username === 'root' ? undefined : true;
    },
    {signal, timeoutMs: 30_000},
  );
}

async function outcomeValue<T>(attempt: () => Promise<T>): Promise<T> {
  let value: T | undefined;
  await outcomeOf(async () => {
    value = await attempt();
  }, signal);
  if (value === undefined) throw new Error('refused');
  return value;
}

function approve(resourceNames: readonly string[]): Rule {
  return {
    apiGroups: ['cert-manager.io'],
    resources: ['signers'],
    verbs: ['approve'],
    resourceNames,
  };
}

function nextName(): string {
  count += 1;
  return `n${count}`;
}

function aRequestOf(
  issuerRef: Row['issuerRef'],
  spec: Partial<CertificateRequest['spec']> = {},
): CertificateRequest {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {name: nextName(), namespace},
    spec: {request: csr, issuerRef, ...spec},
  };
}

function aNewRequest(issuerRef: Row['issuerRef']): Promise<CertificateRequest> {
  return site.client.create(certificateRequests, aRequestOf(issuerRef), {signal});
}

function withCondition(
  request: CertificateRequest,
  type: 'Approved' | 'Denied',
): CertificateRequest {
  return {...request, status: {conditions: [condition(type)]}};
}

function condition(type: string, status: 'True' | 'False' = 'True') {
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  return {type, status, reason: 'Test', message: 'by a test', lastTransitionTime} as const;
}
