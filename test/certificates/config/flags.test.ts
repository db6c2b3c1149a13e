import {readFileSync} from 'node:fs';
import test from 'ava';
import {CONTROLLERS, enabledControllers} from '#certificates/config/controller-names';
import {FLAGS} from '#certificates/config/flag-table';
import {parseFlags} from '#certificates/config/flags';
import {flagRows, formatHelp, partRows} from '#certificates/config/help';

const refused = (...argv: readonly string[]) => {
  try {
    parseFlags(argv);
  } catch (error) {
    return error as {readonly code: string; readonly message: string; readonly hint: string};
  }
  throw new Error(`accepted: ${argv.join(' ')}`);
};

test("without flags everything is as in cert-manager's controller", t => {
  t.deepEqual(parseFlags([]), {
    clusterResourceNamespace: 'kube-system',
    controllers: [
      'certificaterequests-approver',
      'certificaterequests-issuer-ca',
      'certificaterequests-issuer-selfsigned',
    ],
    concurrentWorkers: 5,
    certificateOwnerRef: false,
    copiedAnnotationPrefixes: ['*', '-kubectl.kubernetes.io/', '-fluxcd.io/', '-argocd.argoproj.io/'], // prettier-ignore
    minimumBackoffMs: 3_600_000,
    maximumBackoffMs: 32 * 3_600_000,
    leaderElection: {
      enabled: true,
      namespace: 'kube-system',
      leaseMs: 60_000,
      renewMs: 40_000,
      retryMs: 15_000,
    },
    metricsAddress: '0.0.0.0:9402',
    healthAddress: ':9403',
    logLevel: 'info',
    logFormat: 'json',
  });
});

test('every flag changes the configuration', t => {
  const examples: Readonly<Record<string, string>> = {
    kubeconfig: '/etc/kubeconfig',
    namespace: 'shop',
    'cluster-resource-namespace': 'cert-manager',
    controllers: '*,-certificaterequests-approver',
    'concurrent-workers': '9',
    'enable-certificate-owner-ref': 'true',
    'copied-annotation-prefixes': '*',
    'certificate-request-minimum-backoff-duration': '5m',
    'certificate-request-maximum-backoff-duration': '6h',
    'leader-elect': 'false',
    'leader-election-namespace': 'cert-manager',
    'leader-election-lease-duration': '90s',
    'leader-election-renew-deadline': '30s',
    'leader-election-retry-period': '5s',
    'metrics-listen-address': '127.0.0.1:1',
    'internal-healthz-listen-address': '[::1]:2',
    'logging-format': 'text',
    v: '6',
  };
  t.deepEqual(Object.keys(examples), FLAGS.map(({name}) => name)); // prettier-ignore
  for (const [name, value] of Object.entries(examples)) {
    t.notDeepEqual(parseFlags([`--${name}=${value}`]), parseFlags([]), name);
  }
});

test('flags are written as Go programs take them; the last one counts', t => {
  t.is(parseFlags(['--namespace', 'a', '--namespace=b']).namespace, 'b');
  t.is(parseFlags(['-namespace=a']).namespace, 'a');
  t.is(parseFlags(['-v', '4']).logLevel, 'debug');
  t.is(parseFlags(['--v=0']).logLevel, 'warn');
  t.true(parseFlags(['--enable-certificate-owner-ref', '--v=1']).certificateOwnerRef);
  t.deepEqual(parseFlags(['--copied-annotation-prefixes', '-a,*']).copiedAnnotationPrefixes, ['-a', '*']); // prettier-ignore
  t.deepEqual(parseFlags(['--copied-annotation-prefixes=']).copiedAnnotationPrefixes, []);
});

test('an unknown flag is refused with the one that it may be', t => {
  t.like(refused('--namespac=x'), {code: 'ERR_USAGE', hint: 'write --namespace, or see --help'});
  t.like(refused('--xyz-unheard-of'), {code: 'ERR_USAGE', hint: 'see --help'});
  t.is(refused('run').code, 'ERR_USAGE');
  t.is(refused('--').code, 'ERR_USAGE');
});

for (const flag of [
  '--dns01-recursive-nameservers=1.1.1.1:53',
  '--acme-http01-solver-image=x',
  '--max-concurrent-challenges=60',
  '--issuer-ambient-credentials',
  '--default-issuer-kind=ClusterIssuer',
  '--enable-gateway-api',
  '--kube-api-qps=20',
  '--max-certificate-size=1',
  '--feature-gates=AllAlpha=true',
  '--config=/x',
]) {
  test(`a flag of cert-manager that would change nothing is refused with the reason: ${flag}`, t => {
    const {code, message} = refused(flag);
    t.is(code, 'ERR_USAGE');
    t.regex(message, /would have no effect/);
  });
}

for (const argument of [
  '--concurrent-workers=0',
  '--concurrent-workers=many',
  '--leader-elect=yes',
  '--leader-election-retry-period=5',
  '--certificate-request-minimum-backoff-duration=-1h',
  '--logging-format=xml',
  '--v=11',
  '--controllers=certificates',
  '--controllers=orders',
  '--controllers=*,-certificates-trigger',
  '--namespace',
]) {
  test(`a value that cannot be is a usage error: ${argument}`, t => {
    t.is(refused(argument).code, 'ERR_USAGE');
  });
}

for (const argv of [
  ['--leader-election-lease-duration=10s'],
  ['--leader-election-retry-period=40s'],
  ['--certificate-request-maximum-backoff-duration=59m'],
  ['--metrics-listen-address=9402'],
  ['--internal-healthz-listen-address=:99999'],
  ['--namespace=Shop'],
  ['--cluster-resource-namespace='],
  ['--leader-election-namespace=a/b'],
]) {
  test(`what does not go together, or is no address or name, is refused: ${argv.join(' ')}`, t => {
    t.is(refused(...argv).code, 'ERR_CONTROLLER_CONFIG_INVALID');
  });
}

test('all contradictions are named at once', t => {
  const {message} = refused('--namespace=A', '--metrics-listen-address=x');
  t.regex(message, /metrics-listen-address.*namespace/);
});

test('parts are added and taken away by name, and what is taken away stays away', t => {
  const all = Object.keys(CONTROLLERS);
  t.deepEqual(enabledControllers(['certificaterequests-issuer-ca']), ['certificaterequests-issuer-ca']); // prettier-ignore
  t.deepEqual(
    enabledControllers(['*', 'certificatesigningrequests-issuer-ca', 'certificatesigningrequests-issuer-selfsigned']), // prettier-ignore
    all,
  );
  t.deepEqual(
    enabledControllers(['-certificaterequests-approver', '*', '-orders', 'certificates-trigger']),
    ['certificaterequests-issuer-ca', 'certificaterequests-issuer-selfsigned'],
  );
  t.deepEqual(enabledControllers([]), []);
});

test('the help names every flag and every part', t => {
  const help = formatHelp();
  for (const {name} of FLAGS) t.true(help.includes(`--${name}`), name);
  for (const name of Object.keys(CONTROLLERS)) t.true(help.includes(`  ${name}: `), name);
});

test('the version is that of package.json', async t => {
  const {version} = JSON.parse(
    readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
  ) as {version: string};
  const {VERSION} = await import('#certificates/version');
  t.is(VERSION, version);
});

test('docs/certificates.md has the tables of flags and parts as they are', t => {
  const text = readFileSync(new URL('../../../docs/certificates.md', import.meta.url), 'utf8');
  const table = (name: string): readonly string[] =>
    (new RegExp(`<!-- ${name}: .*-->\n.*\n.*\n((?:\\|.*\n)+)`).exec(text)?.[1] ?? '')
      .trim()
      .split('\n');
  t.deepEqual(table('flags'), flagRows());
  t.deepEqual(table('parts'), partRows());
});
