import test from 'ava';
import {planCertificates} from '#provisioner/certificates/certificate-plan';
import {tryIssuers} from '#provisioner/certificates/try-issuers';
import {emptyHostState} from '#provisioner/host-state/host-state';
import {HostRecord} from '#provisioner/host-state/host-record';
import {applyIssuers} from '#provisioner/phases/apply-issuers';
import {applyCertificateApis} from '#provisioner/phases/certificate-apis';
import {
  removeCertificateController,
  runCertificateController,
} from '#provisioner/phases/certificate-controller';
import type {ClusterSession} from '#provisioner/phases/session';
import {ProblemsError} from '#provisioner/problems-error';
import type {IssuerSettings} from '#provisioner/role/cluster';
import type {KubernetesObject} from '#shared/kube/object';
import {Secret} from '#shared/secret';
import {aKeyPair} from '#test/a-ca';
import {aControllerRelease, CONTROLLER_IMAGE} from '#test/a-controller-release';
import {createFakeKubernetes, type FakeOptions} from '#test/fake-kubernetes';
import {FakeConnection} from '#test/fake-connection';

const {signal} = new AbortController();
const context = {signal, progress: () => undefined};
const ca = aKeyPair({commonName: 'company'});
const leaf = aKeyPair({isCa: false, dnsName: 'throw-away.provision.invalid', issuer: ca});
const base64 = (text: string) => Buffer.from(text).toString('base64');

const company: IssuerSettings = {
  name: 'company',
  namespace: undefined,
  source: {
    kind: 'ca-key-pair',
    keyPair: {certificate: ca.certificate, privateKey: new Secret(ca.privateKey)},
  },
};
const own: IssuerSettings = {
  name: 'own',
  namespace: 'web',
  source: {kind: 'self-signed', crlDistributionPoints: []},
};

/** What the controllers of a cluster would write into what is applied. */
function controllers(object: KubernetesObject): KubernetesObject {
  const yes = (type: string) => ({conditions: [{type, status: 'True', message: 'fine'}]});
  switch (object.kind) {
    case 'CustomResourceDefinition':
      return {...object, status: yes('Established')};
    case 'Issuer':
    case 'ClusterIssuer':
      return {...object, status: yes('Ready')};
    case 'Deployment':
      return {...object, status: {observedGeneration: 1, updatedReplicas: 1, availableReplicas: 1}};
    default:
      return object;
  }
}

const lease: KubernetesObject = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: {name: 'cert-manager-controller', namespace: 'cert-manager'},
  spec: {holderIdentity: 'pod-1'},
};

function aRun(issuers: readonly IssuerSettings[], options: FakeOptions = {}) {
  const kubernetes = createFakeKubernetes({admit: controllers, objects: [lease], ...options});
  const connection = new FakeConnection();
  const record = new HostRecord(connection, emptyHostState('lab'));
  const session = {
    api: () => Promise.resolve(kubernetes.api),
    first: {record},
  } as unknown as ClusterSession;
  const plan = (wanted: readonly IssuerSettings[] = issuers, enabled = true) =>
    planCertificates({
      settings: {enabled, issuers: wanted},
      state: record.state,
      release: aControllerRelease(),
      image: CONTROLLER_IMAGE,
      tolerations: [],
    });
  const names = () => kubernetes.objects().map(({kind, metadata}) => `${kind}/${metadata.name}`);
  const statuses = () =>
    Object.entries(record.state.actions).map(([name, {status}]) => `${name} ${status}`);
  return {kubernetes, connection, record, session, plan, names, statuses};
}

type Run = ReturnType<typeof aRun>;

async function converge({session, plan}: Run): Promise<void> {
  const {apis, controller, issuers, removedIssuers: removed} = plan();
  if (apis !== undefined) await applyCertificateApis(session, apis, context);
  if (controller !== undefined) await runCertificateController(session, controller, context);
  await applyIssuers(session, {issuers, removed}, context);
}

test('kinds, controller and issuers are applied and recorded; then there is nothing to do', async t => {
  const run = aRun([company, own]);
  await converge(run);
  t.deepEqual(run.statuses().sort(), [
    'certificates:apis done',
    'certificates:controller done',
    'issuer:ClusterIssuer/company done',
    'issuer:Issuer/web/own done',
  ]);
  t.deepEqual(run.plan().lines, []);
  const secret = run.kubernetes.objects().find(({kind}) => kind === 'Secret');
  t.like(secret, {
    metadata: {name: 'company-ca', namespace: 'cert-manager'},
    data: {'tls.crt': base64(ca.certificate), 'tls.key': base64(ca.privateKey)},
  });
});

test('the private key of a CA is sent to the API alone: not to the host, not into a path', async t => {
  const run = aRun([company]);
  await converge(run);
  const body = ca.privateKey.split('\n')[1] ?? '';
  const told = JSON.stringify([run.connection.runs.map(({script}) => script), run.kubernetes.requests]); // prettier-ignore
  const decoded = run.connection.runs.flatMap(
    ({script}) =>
    [...script.matchAll(/[A-Za-z0-9+/=]{40,}/g)].map(([text]) => Buffer.from(text, 'base64').toString()), // prettier-ignore
  );
  t.false(told.includes(body) || told.includes(base64(ca.privateKey)));
  t.false(decoded.join('').includes(body));
});

const ISSUED = {'cert-manager.io/certificate-name': 'company-ca'};

test("a Secret of somebody else's is not overwritten", async t => {
  const theirs: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    // As cert-manager writes it for a Certificate of theirs.
    metadata: {name: 'company-ca', namespace: 'cert-manager', annotations: ISSUED},
    data: {'tls.key': 'theirs'},
  };
  const run = aRun([company, own], {objects: [lease, theirs]});
  await t.throwsAsync(converge(run), {code: 'ERR_ISSUER_SECRET_FOREIGN'});
  t.is(run.kubernetes.objects().find(({kind}) => kind === 'Secret')?.['data'], theirs['data']);
  t.false(
    run.statuses().some(status => status.includes('company')),
    'nothing of it is ours',
  );
  t.true(run.statuses().includes('issuer:Issuer/web/own done'), 'the others are made');
});

const secretsOf = ({kubernetes}: Run) =>
  kubernetes.objects().filter(({kind}) => kind === 'Secret').map(({metadata}) => metadata.name); // prettier-ignore

const byName = (secretName: string): IssuerSettings => ({
  ...company,
  source: {kind: 'ca-secret', secretName},
});

test('a Secret that an issuer is told to use stays, whoever made it and whatever was recorded', async t => {
  const ours = aRun([company]);
  await converge(ours);
  t.deepEqual(secretsOf(ours), ['company-ca']);
  const {issuers} = ours.plan([byName('company-ca')]);
  t.deepEqual(issuers.flatMap(({obsolete}) => obsolete), []); // prettier-ignore
  await applyIssuers(ours.session, {issuers, removed: []}, context);
  t.deepEqual(secretsOf(ours), ['company-ca']);
  // It is the operator's from here on.
  const {removedIssuers: removed} = ours.plan([]);
  await applyIssuers(ours.session, {issuers: [], removed}, context);
  t.deepEqual(secretsOf(ours), ['company-ca']);
});

test('a Secret that was recorded as ours and is not any more stays', async t => {
  const run = aRun([company]);
  await converge(run);
  const secret = run.kubernetes.objects().find(({kind}) => kind === 'Secret');
  if (secret === undefined) return t.fail();
  const theirs = {...secret, metadata: {...secret.metadata, labels: {}, annotations: ISSUED}};
  const other = aRun([company], {objects: [lease, theirs]});
  await other.record.update(() => run.record.state);
  const {removedIssuers: removed} = other.plan([]);
  await applyIssuers(other.session, {issuers: [], removed}, context);
  t.deepEqual(secretsOf(other), ['company-ca']);
});

test('the key of a CA that we had generated goes with its Certificate', async t => {
  const run = aRun([{...company, source: {kind: 'generated-ca', commonName: 'x', duration: '1h'}}]);
  await converge(run);
  const name = 'company-root';
  const annotations = {'cert-manager.io/certificate-name': name};
  const metadata = {name, namespace: 'cert-manager', annotations};
  await run.kubernetes.api.apply({apiVersion: 'v1', kind: 'Secret', metadata}, {signal});
  t.deepEqual(secretsOf(run), [name]);
  const {removedIssuers: removed} = run.plan([]);
  await applyIssuers(run.session, {issuers: [], removed}, context);
  t.deepEqual(secretsOf(run), []);
});

test('a key that goes with the way an issuer was made is named in the plan, and goes', async t => {
  const run = aRun([company]);
  await converge(run);
  const {issuers, lines} = run.plan([byName('another')]);
  t.regex(lines[0]?.summary ?? '', /then remove the key in Secret company-ca$/);
  await applyIssuers(run.session, {issuers, removed: []}, context);
  t.deepEqual(secretsOf(run), []);
  t.false(JSON.stringify(run.record.state.actions).includes('company-ca'));
});

test('issuers that are not Ready are all told, with what their conditions say', async t => {
  const run = aRun([company, own], {
    admit: object => {
      if (!object.kind.endsWith('Issuer')) return controllers(object);
      const message = `${object.metadata.name} lacks something`;
      return {...object, status: {conditions: [{type: 'Ready', status: 'False', message}]}};
    },
  });
  const {issuers} = run.plan();
  const short = {...context, readyTimeoutMs: 1_000};
  const applying = applyIssuers(run.session, {issuers, removed: []}, short);
  const error = await t.throwsAsync(applying, {instanceOf: ProblemsError});
  const messages = error.problems.map(({code, message}) => `${code} ${message}`).sort();
  t.regex(messages[0] ?? '', /^ERR_ISSUER_NOT_READY ClusterIssuer company .*company lacks something/); // prettier-ignore
  t.regex(messages[1] ?? '', /^ERR_ISSUER_NOT_READY Issuer web\/own .*own lacks something/);
});

test('an issuer that left cluster.yaml goes with its Secret, and is forgotten', async t => {
  const run = aRun([company, own]);
  await converge(run);
  const {issuers, removedIssuers: removed} = run.plan([own]);
  t.is(await applyIssuers(run.session, {issuers, removed}, context), 1);
  t.false(run.names().some(name => name.includes('company')));
  t.true(run.names().includes('Issuer/own'));
  t.deepEqual(run.plan([own]).lines, []);
});

test('a controller that is taken away leaves its kinds; wanted again, all is applied again', async t => {
  const run = aRun([]);
  await converge(run);
  const {controllerRemoval = []} = run.plan([], false);
  await removeCertificateController(run.session, controllerRemoval, context);
  t.deepEqual(run.names().sort(), ['CustomResourceDefinition/certificates.cert-manager.io', 'Lease/cert-manager-controller', 'Namespace/cert-manager']); // prettier-ignore
  t.deepEqual(run.plan([], false).lines, []);
  t.deepEqual(run.plan().lines.map(({id}) => id), ['certificates:apis', 'certificates:controller', 'certificates:test']); // prettier-ignore
});

test('a controller whose pod does not come is told with what the pod says', async t => {
  const pod: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name: 'slipway-certs-1', namespace: 'cert-manager'},
    status: {
      phase: 'Pending',
      containerStatuses: [{state: {waiting: {reason: 'ErrImagePull', message: 'no such image'}}}],
    },
  };
  const admit = (object: KubernetesObject) => object;
  const run = aRun([], {admit, objects: [pod]});
  const {controller} = run.plan();
  if (controller === undefined) return t.fail();
  const timeoutMs = {available: 50, lease: 50};
  await t.throwsAsync(runCertificateController(run.session, controller, {...context, timeoutMs}), {
    code: 'ERR_CERTIFICATES_NOT_RUNNING',
    message: /slipway-certs-1: the pod is Pending: ErrImagePull: no such image/,
  });
  t.deepEqual(run.statuses(), ['certificates:controller pending']);
});

test('a lease that nobody holds is a controller that does not work', async t => {
  const run = aRun([], {objects: []});
  const {controller} = run.plan();
  if (controller === undefined) return t.fail();
  const timeoutMs = {available: 5_000, lease: 50};
  await t.throwsAsync(runCertificateController(run.session, controller, {...context, timeoutMs}), {
    code: 'ERR_CERTIFICATES_NOT_RUNNING',
    message: /nobody holds the lease/,
  });
});

/** Issues like a controller would, at once. */
function issuing(object: KubernetesObject): KubernetesObject {
  if (object.kind !== 'Certificate') return object;
  return {...object, status: {conditions: [{type: 'Ready', status: 'True'}]}};
}

const issuedSecret = (name: string, namespace: string): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {name, namespace},
  data: {
    'tls.crt': base64(leaf.certificate),
    'tls.key': base64(leaf.privateKey),
    'ca.crt': base64(ca.certificate),
  },
});

test('issuers are tried in a namespace of the moment; nothing of it stays', async t => {
  const fake = createFakeKubernetes({
    admit: object => {
      const issued = issuing(object);
      const {name, namespace = ''} = object.metadata;
      if (object.kind === 'Certificate') fake.put(issuedSecret(name, namespace));
      return issued;
    },
  });
  const issuers = [
    {name: 'company', namespace: undefined, authority: ca.certificate},
    {name: 'own', namespace: 'web'},
  ];
  const trials = await tryIssuers(fake.api, issuers, {signal, now: () => new Date()});
  t.deepEqual(
    trials.map(({id, verdict}) => [id, verdict]),
    [
      ['ClusterIssuer/company', {ok: true, signedBy: 'CN=company'}],
      ['Issuer/web/own', {ok: true, signedBy: 'CN=company'}],
    ],
  );
  t.deepEqual(fake.objects().map(({kind}) => kind), []); // prettier-ignore
});

test('without any issuer, one of the moment proves the controller', async t => {
  const fake = createFakeKubernetes({admit: issuing});
  const [trial] = await tryIssuers(fake.api, [], {signal, now: () => new Date()});
  t.is(trial?.id, 'a throw-away issuer');
  t.like(trial?.verdict, {ok: false, reason: 'tls.crt holds no certificates'});
  t.true(fake.requests.some(request => request.startsWith('PATCH') && request.includes('/issuers/'))); // prettier-ignore
});

test('an issuance that has failed is not waited for; the request says why', async t => {
  const fake = createFakeKubernetes({
    admit: object => {
      if (object.kind !== 'Certificate') return object;
      const {name, namespace = ''} = object.metadata;
      fake.put({
        apiVersion: 'cert-manager.io/v1',
        kind: 'CertificateRequest',
        metadata: {
          name: `${name}-1`,
          namespace,
          annotations: {
            'cert-manager.io/certificate-name': name,
            'cert-manager.io/certificate-revision': '1',
          },
        },
        status: {conditions: [{type: 'Ready', status: 'False', message: 'the CA has expired'}]},
      });
      const conditions = [{type: 'Issuing', status: 'False', message: 'refused'}];
      return {...object, status: {lastFailureTime: '2026-01-01T00:00:00Z', conditions}};
    },
  });
  const issuers = [{name: 'company', namespace: undefined}];
  const [trial] = await tryIssuers(fake.api, issuers, {signal, now: () => new Date()});
  t.false(trial?.verdict.ok);
  t.regex(JSON.stringify(trial?.verdict), /no certificate issued: .*refused; .*-1: the CA has expired/); // prettier-ignore
});

test('what a test left that was killed in a namespace of somebody else is removed first', async t => {
  const left = {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name: 'old', namespace: 'web', labels: {'provision.dev/proof': 'true'}},
    spec: {secretName: 'old', issuerRef: {name: 'own'}},
  };
  const theirs = {...left, metadata: {name: 'theirs', namespace: 'web'}};
  const objects = [left, theirs, issuedSecret('old', 'web')];
  const fake = createFakeKubernetes({admit: issuing, objects});
  await tryIssuers(fake.api, [{name: 'own', namespace: 'web'}], {signal, now: () => new Date()});
  t.deepEqual(
    fake.objects().map(({kind, metadata}) => `${kind} ${metadata.name}`),
    ['Certificate theirs'],
  );
});
