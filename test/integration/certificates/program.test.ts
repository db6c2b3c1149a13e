import {readFileSync, writeFileSync} from 'node:fs';
import {request} from 'node:https';
import {join} from 'node:path';
import {json} from 'node:stream/consumers';
import test from 'ava';
import {setCondition} from '#certificates/apis/conditions';
import * as kinds from '#certificates/apis/resources';
import {manifests, NAME, NAMESPACE} from '#certificates/manifests/manifests';
import type {Rule} from '#certificates/manifests/rules';
import {generatePrivateKey} from '#certificates/x509/keys';
import {createSigningRequest} from '#certificates/x509/certificate-request';
import type {KubernetesObject} from '#shared/kube/object';
import {waitFor} from '#shared/wait-for';
import {openControllerSite, type ControllerSite} from '#test/certificates/a-controller';
import {buildProgram, startProgram} from '#test/certificates/the-program';
import {temporaryFolder} from '#test/temporary-folder';

const signal = AbortSignal.timeout(600_000);
const ACCOUNT = `system:serviceaccount:${NAMESPACE}:${NAME}`;
const objects = manifests({image: 'not-used', version: '0.0.0', signingRequests: true});
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{level: 'Metadata', users: [ACCOUNT]}, {level: 'None'}],
};

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let site: ControllerSite;
let kubeconfigPath: string;

test.before(async t => {
  t.timeout(180_000);
  folder = await temporaryFolder();
  const policyPath = join(folder.path, 'audit-policy.json');
  writeFileSync(policyPath, JSON.stringify(AUDIT_POLICY));
  const flags = [`--audit-policy-file=${policyPath}`, `--audit-log-path=${auditPath()}`];
  [site] = await Promise.all([openControllerSite({signal, flags}), buildProgram(folder.path)]);
  await site.apply(...objects);
  kubeconfigPath = join(folder.path, 'kubeconfig');
  writeFileSync(kubeconfigPath, site.server.kubeconfigWith({token: await accountToken()}));
});
test.after.always(async () => {
  await site[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

test.serial(
  'the bundle issues with the rights of its ServiceAccount alone, and needs each of them',
  async t => {
    t.timeout(180_000);
    const flags = flagsOfThePod();
    await using program = startProgram({folder: folder.path, kubeconfigPath, flags, signal});
    await program.logged('working');
    t.is(await program.health('/readyz'), '200 ok: working');
    t.is(await program.health('/livez'), '200 ok: working');
    const namespace = await site.namespace();
    await issueEverything(namespace);

    const metrics = await program.metrics();
    const ready = `certmanager_certificate_ready_status{condition="True",issuer_group="cert-manager.io",issuer_kind="Issuer",issuer_name="ca",name="leaf",namespace="${namespace}"} 1`;
    t.true(metrics.includes(ready));
    t.regex(metrics, /^slipway_certs_leader 1$/m);
    t.regex(metrics, /^slipway_certs_issuance_duration_seconds_count [3-9]$/m);
    t.log(`memory ${JSON.stringify(program.memory())}, CPU ${program.cpuSeconds()} s`);

    t.is(await program.end(), 0);
    t.deepEqual(program.other, []);
    for (const line of program.lines) {
      t.deepEqual(Object.keys(line).slice(0, 3), ['time', 'level', 'message']);
      t.not(line['level'], 'error', JSON.stringify(line)); // a defect; what the world lacks is a warning
    }
    t.false(JSON.stringify(program.lines).includes('PRIVATE KEY'));
    const lease = await site.client.get(kinds.leases, {namespace: 'kube-system', name: 'cert-manager-controller'}, {signal}); // prettier-ignore
    t.is((lease?.['spec'] as {holderIdentity?: string}).holderIdentity ?? '', '', 'given back');

    const asked = askedFor();
    const granted = grantedRights();
    t.deepEqual([...asked.refused], [], 'refused');
    t.deepEqual([...asked.rights].filter(right => !granted.has(right)).sort(), []);
    const unused = [...granted].filter(right => !asked.rights.has(right) && !UNSEEN.has(right));
    t.deepEqual(unused.sort(), []);
  },
);

test.serial('a second replica stands by, is ready, and takes over when the first ends', async t => {
  t.timeout(120_000);
  const flags = [...flagsOfThePod(), '--leader-election-retry-period=1s'];
  const start = (identity: string) =>
    startProgram({folder: folder.path, kubeconfigPath, flags, identity, signal});
  await using first = start('first');
  await first.logged('working');
  await using second = start('second');
  await second.logged('started');
  t.is(await second.health('/readyz'), '200 ok: standing by');
  t.regex(await second.metrics(), /^slipway_certs_leader 0$/m);
  t.is(await first.end(), 0);
  const {readMs} = await second.logged('working');
  t.is(await second.health('/readyz'), '200 ok: working');
  t.log(`read in ${String(readMs)} ms`);
  t.is(await second.end(), 0);
});

test.serial(
  'a token that the API server does not know ends in a message, not in a loop',
  async t => {
    t.timeout(60_000);
    const path = join(folder.path, 'wrong-kubeconfig');
    writeFileSync(path, site.server.kubeconfigWith({token: 'nobody'}));
    await using program = startProgram({
      folder: folder.path,
      kubeconfigPath: path,
      flags: ['--leader-election-retry-period=500ms'],
      signal,
    });
    await waitFor(
      () => Promise.resolve(program.lines.find(({level}) => level === 'warn' || level === 'error')),
      {signal, timeoutMs: 30_000},
    );
    t.regex(await program.health('/livez'), /^200/);
    t.true(program.lines.length < 20, JSON.stringify(program.lines));
    t.is(await program.end(), 0);
  },
);

/** SelfSigned, CA, a renewal by hand, and a CertificateSigningRequest of Kubernetes. */
async function issueEverything(namespace: string): Promise<void> {
  const certificate = (name: string, spec: object) => ({
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name, namespace},
    spec: {secretName: name, privateKey: {algorithm: 'ECDSA'}, ...spec},
  });
  const issuer = (kind: string, name: string, spec: object) => ({
    apiVersion: 'cert-manager.io/v1',
    kind,
    metadata: {name, ...(kind === 'Issuer' ? {namespace} : {})},
    spec,
  });
  await site.apply(
    orphan(namespace, 'leaf'),
    issuer('Issuer', 'own', {selfSigned: {}}),
    issuer('ClusterIssuer', `cluster-${namespace}`, {selfSigned: {}}),
    certificate('ca', {isCA: true, commonName: 'ca', issuerRef: {name: 'own'}}),
    certificate('other', {
      commonName: 'other',
      issuerRef: {name: `cluster-${namespace}`, kind: 'ClusterIssuer'},
    }),
    issuer('Issuer', 'ca', {ca: {secretName: 'ca'}}),
    certificate('leaf', {dnsNames: ['leaf.example'], issuerRef: {name: 'ca'}}),
  );
  for (const name of ['ca', 'other', 'leaf']) await site.ready({namespace, name});
  for (const revision of [2, 3]) await renew({namespace, name: 'leaf'}, revision);
  await signForKubernetes(namespace);
}

/** The first request of an earlier Certificate of this name, which nobody has collected yet. */
function orphan(namespace: string, certificate: string): KubernetesObject {
  const owner = {apiVersion: 'cert-manager.io/v1', kind: 'Certificate', name: certificate, uid: 'gone', controller: true}; // prettier-ignore
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {name: `${certificate}-1`, namespace, ownerReferences: [owner]},
    spec: {request: Buffer.from('its CSR').toString('base64'), issuerRef: {name: 'gone'}},
  };
}

/** What `cmctl renew` does. */
async function renew(name: {namespace: string; name: string}, revision: number): Promise<void> {
  const leaf = await site.ready(name);
  const condition = {type: 'Issuing', status: 'True', reason: 'ManuallyTriggered', message: ''} as const; // prettier-ignore
  const conditions = setCondition(leaf.status?.conditions, condition, new Date());
  await site.client.updateStatus(kinds.certificates, {...leaf, status: {...leaf.status, conditions}}, {signal}); // prettier-ignore
  await site.certificate(name, ({status}) => status?.revision === revision);
  await site.ready(name);
}

async function signForKubernetes(namespace: string): Promise<void> {
  const key = await generatePrivateKey({kind: 'ECDSA', size: 256});
  const names = [{kind: 'dns', value: 'kubernetes.example'}] as const;
  const pem = createSigningRequest({subject: [], names, key});
  const name = `for-${namespace}`;
  const signingRequest = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: {name},
    spec: {
      request: Buffer.from(pem).toString('base64'),
      signerName: `issuers.cert-manager.io/${namespace}.ca`,
      usages: ['digital signature', 'server auth'],
    },
  };
  const created = await site.client.create<KubernetesObject>(kinds.signingRequests, signingRequest, {signal}); // prettier-ignore
  const approved = {type: 'Approved', status: 'True', reason: 'Test', message: 'by the test'};
  await site.client.update<KubernetesObject>(
    kinds.signingRequests,
    {...created, status: {conditions: [approved]}},
    {signal, subresource: 'approval'},
  );
  await site.object<KubernetesObject>(kinds.signingRequests, {name}, ({status}) =>
    Boolean((status as {certificate?: string} | undefined)?.certificate),
  );
}

/** Rights that no request shows: admission asks for them behind it. */
const UNSEEN: ReadonlySet<string> = new Set([
  'cert-manager.io certificates/finalizers update', // OwnerReferencesPermissionEnforcement, off here
  'cert-manager.io signers approve', // our own policy, when a request is approved
  'certificates.k8s.io signers sign', // CertificateSigning, when a certificate is written
]);

interface AuditEvent {
  readonly verb: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
  };
  readonly responseStatus?: {readonly code?: number; readonly message?: string};
  readonly requestURI: string;
}

/** What the account asked of the API server, by the server's own audit log. */
function askedFor(): {readonly rights: ReadonlySet<string>; readonly refused: ReadonlySet<string>} {
  const events = readFileSync(auditPath(), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as AuditEvent);
  const refused = events
    .filter(({responseStatus}) => [401, 403].includes(responseStatus?.code ?? 0))
    .map(({verb, requestURI}) => `${verb} ${requestURI}`);
  const rights = events.flatMap(({verb, objectRef}) => {
    if (objectRef?.resource === undefined) return [];
    const {apiGroup = '', resource, subresource} = objectRef;
    return [`${apiGroup} ${resource}${subresource === undefined ? '' : `/${subresource}`} ${verb}`];
  });
  return {rights: new Set(rights), refused: new Set(refused)};
}

function grantedRights(): ReadonlySet<string> {
  const bound = objects
    .filter(({kind}) => kind.endsWith('RoleBinding'))
    .map(binding => (binding['roleRef'] as {kind: string; name: string}).name);
  const roles = objects.filter(({kind, metadata}) => /Role$/.test(kind) && bound.includes(metadata.name)); // prettier-ignore
  const rules = roles.flatMap(role => role['rules'] as readonly Rule[]);
  return new Set(
    rules.flatMap(({apiGroups, resources, verbs}) =>
      apiGroups.flatMap(group =>
        resources.flatMap(resource => verbs.map(verb => `${group} ${resource} ${verb}`)),
      ),
    ),
  );
}

function flagsOfThePod(): readonly string[] {
  const deployment = objects.at(-1) as unknown as {
    spec: {template: {spec: {containers: readonly [{args: readonly string[]}]}}};
  };
  return deployment.spec.template.spec.containers[0].args;
}

function auditPath(): string {
  return join(folder.path, 'audit.log');
}

/** A token of the ServiceAccount (authentication.k8s.io/v1 TokenRequest). */
async function accountToken(): Promise<string> {
  const {port, serving, kubeconfig} = site.server;
  const admin = /token: (\S+)/.exec(kubeconfig)?.[1] ?? '';
  const body = JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {expirationSeconds: 3600},
  });
  const answer = await new Promise<unknown>((resolve, reject) => {
    request(
      {
        port,
        host: '127.0.0.1',
        ca: serving.cert,
        method: 'POST',
        path: `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${NAME}/token`,
        headers: {authorization: `Bearer ${admin}`, 'content-type': 'application/json'},
      },
      response => {
        resolve(json(response));
      },
    )
      .on('error', reject)
      .end(body);
  });
  return (answer as {status: {token: string}}).status.token;
}
