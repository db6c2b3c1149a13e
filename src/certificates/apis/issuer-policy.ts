import type {KubernetesObject} from '#shared/kube/object';
import {specChanged, validatingPolicy, type Validation} from './admission-policy.ts';
import {countOf, GO_DURATION, isEmpty, isFilled, literal} from './cel.ts';
import {GROUP} from './names.ts';

/** The keys of `dns01` that are providers. */
export const DNS01_PROVIDERS = [
  'acmeDNS',
  'akamai',
  'azureDNS',
  'cloudDNS',
  'cloudflare',
  'digitalocean',
  'rfc2136',
  'route53',
  'webhook',
] as const;

/** Rules of issuers that look at each entry of a list: URLs, and the solvers of ACME. */
export function issuerPolicy(): readonly KubernetesObject[] {
  const lists = ['ca.crlDistributionPoints', 'ca.ocspServers', 'ca.issuingCertificateURLs'];
  return validatingPolicy({
    name: `issuers.${GROUP}`,
    match: {
      group: GROUP,
      resources: ['issuers', 'clusterissuers'],
      operations: ['CREATE', 'UPDATE'],
    },
    optional: true,
    conditions: specChanged,
    variables: [
      {
        name: 'solvers',
        expression:
          'has(object.spec.acme) && has(object.spec.acme.solvers) ? object.spec.acme.solvers : []',
      },
      {name: 'http01', expression: having('variables.solvers', 'http01')},
      {name: 'ingress', expression: having('variables.http01', 'ingress')},
      {name: 'gateway', expression: having('variables.http01', 'gatewayHTTPRoute')},
      {name: 'dns01', expression: having('variables.solvers', 'dns01')},
    ],
    validations: [
      ...[...lists, 'selfSigned.crlDistributionPoints'].map(urlList),
      ...solverValidations(),
      ...providerValidations(),
    ],
  });
}

function urlList(path: string): Validation {
  const [type = ''] = path.split('.');
  const list = `object.spec.${path}`;
  return {
    expression: `!has(object.spec.${type}) || !has(${list}) || ${list}.all(url, url.matches(${literal('^[!-~]+$')}))`,
    message: `spec.${path}: each must be a URL, e.g. http://crl.example.com/ca.crl`,
  };
}

function solverValidations(): readonly Validation[] {
  const solver = (expression: string, message: string): Validation => ({
    expression,
    message: `spec.acme.solvers: ${message}`,
  });
  const service = `!has(http.serviceType) || http.serviceType in ['', 'ClusterIP', 'NodePort']`;
  const ingressNames = ['class', 'ingressClassName', 'name'].map(
    field => `(${isFilled(`http.${field}`)} ? 1 : 0)`,
  );
  return [
    solver(
      `variables.solvers.all(solver, ${countOf('solver', ['http01', 'dns01'])} == 1)`,
      'each needs exactly one of http01 and dns01',
    ),
    solver(
      `variables.http01.all(http, ${countOf('http', ['ingress', 'gatewayHTTPRoute'])} == 1)`,
      'http01 needs exactly one of ingress and gatewayHTTPRoute',
    ),
    solver(
      `variables.ingress.all(http, ${ingressNames.join(' + ')} <= 1)`,
      'ingress takes at most one of class, ingressClassName and name',
    ),
    solver(
      `(variables.ingress + variables.gateway).all(http, ${service})`,
      'serviceType must be ClusterIP or NodePort',
    ),
    solver(
      `variables.solvers.all(solver, !has(solver.waitInsteadOfSelfCheck) || solver.waitInsteadOfSelfCheck.matches(${literal(GO_DURATION)}))`,
      'waitInsteadOfSelfCheck must be a duration that is not negative, e.g. 2m',
    ),
    solver(
      `variables.dns01.all(dns, ${countOf('dns', DNS01_PROVIDERS)} == 1)`,
      `dns01 needs exactly one of ${DNS01_PROVIDERS.join(', ')}`,
    ),
  ];
}

/** What each provider cannot do without, beyond what its schema requires. */
function providerValidations(): readonly Validation[] {
  const provider = (name: string, holds: string, message: string): Validation => ({
    expression: `variables.dns01.all(dns, !has(dns.${name}) || (${holds.replaceAll('self.', `dns.${name}.`)}))`,
    message: `spec.acme.solvers: ${name} ${message}`,
  });
  const named = (...references: readonly string[]): string =>
    references.map(reference => `self.${reference}.name.size() > 0`).join(' && ');
  const server = literal('^([[][0-9A-Fa-f:.]+[]]|[^[\\]:\\s]+)(:[0-9]{1,5})?$');
  return [
    provider(
      'acmeDNS',
      `self.host.size() > 0 && ${named('accountSecretRef')}`,
      'needs host and accountSecretRef',
    ),
    provider(
      'akamai',
      `self.serviceConsumerDomain.size() > 0 && ${named('accessTokenSecretRef', 'clientSecretSecretRef', 'clientTokenSecretRef')}`,
      'needs serviceConsumerDomain and the three tokens',
    ),
    provider(
      'azureDNS',
      `self.subscriptionID.size() > 0 && self.resourceGroupName.size() > 0`,
      'needs subscriptionID and resourceGroupName',
    ),
    provider(
      'azureDNS',
      `!(${isFilled('self.clientID')} || has(self.clientSecretSecretRef)) || (${isFilled('self.clientID')} && has(self.clientSecretSecretRef) && ${isFilled('self.tenantID')} && !has(self.managedIdentity))`,
      'needs clientID, clientSecretSecretRef and tenantID together, and then no managedIdentity',
    ),
    provider(
      'azureDNS',
      `!has(self.managedIdentity) || ${isEmpty('self.managedIdentity.clientID')} || ${isEmpty('self.managedIdentity.resourceID')}`,
      'takes clientID or resourceID of a managedIdentity, not both',
    ),
    provider('cloudDNS', 'self.project.size() > 0', 'needs project'),
    provider(
      'cloudflare',
      `has(self.apiTokenSecretRef) != has(self.apiKeySecretRef) && (!has(self.apiKeySecretRef) || ${isFilled('self.email')})`,
      'needs apiTokenSecretRef, or email and apiKeySecretRef',
    ),
    provider('digitalocean', named('tokenSecretRef'), 'needs tokenSecretRef'),
    provider(
      'rfc2136',
      `self.nameserver.matches(${server})`,
      'needs nameserver as host or host:port',
    ),
    provider(
      'rfc2136',
      `${isEmpty('self.tsigAlgorithm')} || self.tsigAlgorithm.upperAscii() in ['HMACMD5', 'HMACSHA1', 'HMACSHA256', 'HMACSHA512']`,
      'knows the tsigAlgorithm HMACMD5, HMACSHA1, HMACSHA256 and HMACSHA512',
    ),
    provider(
      'rfc2136',
      `${isFilled('self.tsigKeyName')} == (has(self.tsigSecretSecretRef) && self.tsigSecretSecretRef.name.size() > 0)`,
      'needs tsigKeyName and tsigSecretSecretRef together',
    ),
    provider(
      'route53',
      `${isEmpty('self.accessKeyID')} || !has(self.accessKeyIDSecretRef)`,
      'takes accessKeyID or accessKeyIDSecretRef, not both',
    ),
    provider('webhook', 'self.solverName.size() > 0', 'needs solverName'),
  ];
}

/** The values of one field, of those entries of a list that have it. */
function having(list: string, field: string): string {
  return `${list}.filter(entry, has(entry.${field})).map(entry, entry.${field})`;
}
