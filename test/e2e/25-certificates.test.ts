/** What people do with certificates in a cluster: issuers, a pod that serves one, renewal, faults. */
import test from 'ava';
import {X509Certificate} from 'node:crypto';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {CertificateStatus} from '#provisioner/certificates/certificate-status';
import type {IssuerRow} from '#provisioner/certificates/list-issuers';
import {formatYamlDocuments} from '#shared/yaml';
import {aKeyPair} from '#test/a-ca';
import {ownIssuers, servingPod, tlsCertificate} from '#test/e2e/certificate-objects';
import {eventOf, provision, type RunningProvision, startProvision} from '#test/e2e/command-line';
import {Kubectl} from '#test/e2e/kubectl';
import {CLUSTER, eventually, FOLDER, must, setKey, writeVariant} from '#test/e2e/the-lab';

const kubectl = Kubectl.open();
const company = aKeyPair({commonName: 'company CA', notAfter: new Date(Date.now() + 86_400_000)});
/** A kubelet looks for changed Secrets when it syncs a pod: once a minute, and a bit. */
const RENEWED_TIMEOUT_MS = 240_000;
const CROWD = 20;
/** Waits for its issuer, and holds the hosts' locks, while tests look at the controller. */
let runOfBroken: RunningProvision | undefined;

test.before('a cluster with the issuers of the lab', async () => {
  await must([CLUSTER, '--yes']);
  const namespace = {apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'certificates'}};
  await apply([namespace, ...servingPod('certificates')]);
});

test('the issuers of cluster.yaml are Ready, and a certificate of each has a sound chain', async t => {
  const rows = await issuers();
  for (const id of ['ClusterIssuer/lab-ca', 'ClusterIssuer/self-signed']) {
    t.like(
      rows.find(row => row.id === id),
      {ready: true, inClusterFile: true},
      id,
    );
  }
  const {stdout} = await must(['issuers', 'test', 'lab-ca']);
  t.regex(stdout, /^ClusterIssuer\/lab-ca: issued in [\d.]+ s, signed by CN=Lab CA/m);
  t.deepEqual(await leftOfTests(), []);
});

test('issuers of a company CA and of a namespace are planned, made, and tried', async t => {
  await writeFile(join(FOLDER, 'company.crt'), company.certificate);
  const file = await withIssuers(ownIssuers);
  const env = {E2E_CA_KEY: company.privateKey};
  const planned = await provision(['plan', file, '--output', 'json'], {env});
  t.deepEqual(plannedOfCluster(planned), [
    'run issuer:ClusterIssuer/company',
    'run issuer:Issuer/certificates/own',
    'run certificates:test',
  ]);
  const finished = await provision([file, '--yes', '--output', 'json'], {env});
  t.is(finished.exitCode, 0, finished.stderr);
  t.is(eventOf(finished, 'run-finished')?.changes, 3);
  const {stdout} = await must(['issuers', 'test', 'company']);
  t.regex(stdout, /signed by CN=company CA/);
  t.regex((await must(['issuers', 'test', 'own', '-n', 'certificates'])).stdout, /signed by CN=lab own; /); // prettier-ignore
  const again = await provision([file, '--yes', '--output', 'json'], {env});
  t.is(eventOf(again, 'run-finished')?.changes, 0, again.stderr);
  t.deepEqual(await leftOfTests(), []);
});

test('the key of the company CA is in its Secret and nowhere else', async t => {
  const secret = ['secret', '--namespace', 'cert-manager', 'company-ca'];
  const {data} = await (await kubectl).get<{data: Record<string, string>}>(secret);
  t.is(Buffer.from(data['tls.key'] ?? '', 'base64').toString(), company.privateKey);
  const body = company.privateKey.split('\n')[1] ?? '';
  const encoded = Buffer.from(company.privateKey).toString('base64').slice(0, 60);
  for (const file of await filesBelow(join(FOLDER, '.provision'))) {
    const text = await readFile(file, 'utf8');
    t.false(text.includes(body) || text.includes(encoded), file);
  }
});

test('without its key in the environment a run is refused, and looking is not', async t => {
  const file = join(FOLDER, 'e2e-issuers.yaml');
  const refused = await provision([file, '--yes']);
  t.is(refused.exitCode, 10);
  t.deepEqual(refused.codes, ['ERR_CONFIG_ENVIRONMENT']);
  t.is((await provision(['issuers', 'list', file])).exitCode, 0);
});

test('issuers that left cluster.yaml are removed with their keys', async t => {
  const planned = await provision(['plan', CLUSTER, '--output', 'json']);
  t.deepEqual(plannedOfCluster(planned), [
    'remove issuer:ClusterIssuer/company',
    'remove issuer:Issuer/certificates/own',
  ]);
  await must([CLUSTER, '--yes']);
  const rows = await issuers();
  t.false(rows.some(({name}) => name === 'company' || name.startsWith('own')));
  const {exitCode} = await (
    await kubectl
  ).try(['get', 'secret', '-n', 'cert-manager', 'company-ca']);
  t.is(exitCode, 1);
});

test('an issuer that is not Ready is waited for, and can be looked at meanwhile', async t => {
  const file = await withIssuers([{name: 'broken', ca: {secretName: 'not-there'}}]);
  runOfBroken = startProvision([file, '--yes']);
  const broken = await eventually(async () =>
    (await issuers()).find(({name, message}) => name === 'broken' && message.includes('not-there')),
  );
  t.false(broken.ready);
});

test('a certificate that a pod has mounted is renewed in place; the controller may die meanwhile', async t => {
  const kube = await kubectl;
  const [first] = await served();
  t.is(first?.checkHost('web.certificates.svc'), 'web.certificates.svc');
  const web = ['pod', 'web', '--namespace', 'certificates'];
  const pod = await kube.get<PodStatus>(web);
  await kube.run(['delete', 'pod', '--namespace', 'cert-manager', '--all', '--wait=false']);
  const renewed = await eventually(
    async () => {
      // A kubelet looks at the volumes of a pod about once a minute, of one that has changed at once.
      await kube.run(['annotate', ...web, '--overwrite', `looked-at=${Date.now()}`]);
      const [now] = await served();
      return now === undefined || now.serialNumber === first?.serialNumber ? undefined : now;
    },
    {timeoutMs: RENEWED_TIMEOUT_MS, intervalMs: 2_000},
  );
  t.true(renewed.validFromDate > (first?.validFromDate ?? new Date()));
  const after = await kube.get<PodStatus>(web);
  t.is(after.metadata.uid, pod.metadata.uid);
  t.is(after.status.containerStatuses[0]?.restartCount, 0);
  const {revision = 0} = await status('web');
  t.true(revision >= 2);
});

test('certificates that are asked for while the controller dies are all issued, each once', async t => {
  const kube = await kubectl;
  const names = Array.from({length: CROWD}, (_, index) => `crowd-${index}`);
  await apply(names.map(name => tlsCertificate('certificates', name)));
  await kube.run(['delete', 'pod', '-n', 'cert-manager', '--all', '--grace-period=0', '--force']);
  const rows = await eventually(
    async () => {
      const found = (await statuses()).filter(({name}) => names.includes(name));
      return found.length === CROWD && found.every(({ready}) => ready) ? found : undefined;
    },
    {timeoutMs: 120_000, intervalMs: 1_000},
  );
  t.true(rows.every(({revision}) => revision === 1));
  const requests = await kube.run([
    'get',
    'certificaterequest',
    '-n',
    'certificates',
    '-o',
    'name',
  ]);
  t.is(requests.split('\n').filter(line => line.includes('/crowd-')).length, CROWD);
});

test('certs status says why a certificate is not there', async t => {
  await apply([tlsCertificate('certificates', 'orphan', {name: 'nobody', kind: 'ClusterIssuer'})]);
  const orphan = await eventually(async () => {
    const found = await status('orphan').catch(() => undefined);
    return found !== undefined && found.why.join('').includes('nobody') ? found : undefined;
  });
  t.like(orphan, {ready: false, issuer: {kind: 'ClusterIssuer', name: 'nobody'}});
  const {stdout} = await must(['certs', 'status', '--namespace', 'certificates']);
  t.regex(stdout, /^NAMESPACE +NAME +READY +ISSUER +EXPIRES +RENEWAL +LAST FAILURE$/m);
  t.regex(stdout, /^certificates +web +yes +ClusterIssuer\/lab-ca +\d{4}-/m);
  t.regex(stdout, /^certificates\/orphan: .*nobody/m);
  await (await kubectl).run(['delete', 'namespace', 'certificates', '--wait=false']);
});

test('an issuer that does not become Ready ends the run with its own words', async t => {
  const finished = await runOfBroken?.ended;
  t.is(finished?.exitCode, 19, finished?.stderr);
  t.true(finished?.codes.includes('ERR_ISSUER_NOT_READY'));
  t.regex(finished?.stderr ?? '', /ClusterIssuer broken is not Ready after \d+ s: .*not-there/);
  await must([CLUSTER, '--yes']); // takes it away again
  t.false((await issuers()).some(({name}) => name === 'broken'));
});

test('an issuer that nobody made cannot be tried', async t => {
  const unknown = await provision(['issuers', 'test', 'nobody']);
  t.is(unknown.exitCode, 19);
  t.deepEqual(unknown.codes, ['ERR_ISSUER_UNKNOWN']);
});

test('after all of it a run changes nothing', async t => {
  const finished = await provision([CLUSTER, '--yes', '--output', 'json']);
  t.is(finished.exitCode, 0, finished.stderr);
  t.is(eventOf(finished, 'plan')?.changes, 0);
});

interface PodStatus {
  readonly metadata: {readonly uid: string};
  readonly status: {readonly containerStatuses: readonly {readonly restartCount: number}[]};
}

async function apply(objects: readonly object[]): Promise<void> {
  await (await kubectl).run(['apply', '--filename', '-'], formatYamlDocuments(objects));
}

async function issuers(): Promise<readonly IssuerRow[]> {
  return JSON.parse((await must(['issuers', 'list', '--output', 'json'])).stdout) as IssuerRow[];
}

async function statuses(): Promise<readonly CertificateStatus[]> {
  const {stdout} = await must(['certs', 'status', '-n', 'certificates', '--output', 'json']);
  return JSON.parse(stdout) as CertificateStatus[];
}

async function status(name: string): Promise<CertificateStatus> {
  const found = (await statuses()).find(each => each.name === name);
  if (found === undefined) throw new Error(`no certificate ${name}`);
  return found;
}

/** What the pod's own file system has now. */
async function served(): Promise<readonly X509Certificate[]> {
  const kube = await kubectl;
  const pem = await eventually(async () => {
    const words = ['exec', '--namespace', 'certificates', 'web', '--', 'cat', '/tls/tls.crt'];
    const {exitCode, stdout} = await kube.try(words);
    return exitCode === 0 ? stdout : undefined;
  });
  return (pem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map(
    text => new X509Certificate(text),
  );
}

async function withIssuers(added: readonly object[]): Promise<string> {
  return await writeVariant('cluster.yaml', 'e2e-issuers.yaml', (document: Document) => {
    setKey(document, 'spec.certificates.issuers', [
      ...document.spec.certificates.issuers,
      ...added,
    ]);
  });
}

type Document = Record<string, unknown> & {
  readonly spec: {readonly certificates: {readonly issuers: readonly object[]}};
};

const plannedOfCluster = (finished: Awaited<ReturnType<typeof provision>>) =>
  (eventOf(finished, 'plan')?.hosts ?? []).flatMap(({changes}) =>
    changes.map(({action, id}) => `${action} ${id}`),
  );

/** Certificates and Secrets that a test of issuers should have deleted. */
async function leftOfTests(): Promise<readonly string[]> {
  const names = ['get', 'certificate,secret', '--all-namespaces', '--output', 'name'];
  return await eventually(async () => {
    const left = (await (await kubectl).run(names)).split('\n');
    const found = left.filter(name => name.includes('provision-proof-'));
    return found.length === 0 ? found : undefined;
  });
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, {recursive: true, withFileTypes: true});
  return entries.filter(each => each.isFile()).map(each => join(each.parentPath, each.name));
}
