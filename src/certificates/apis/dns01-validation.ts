import type {AcmeSolver} from './acme-solver.ts';
import {DNS01_PROVIDERS} from './issuer-policy.ts';
import {isFilled, when} from './problems.ts';

type Dns01 = NonNullable<AcmeSolver['dns01']>;

const TSIG_ALGORITHMS = ['HMACMD5', 'HMACSHA1', 'HMACSHA256', 'HMACSHA512'];
/** `host` or `host:port`; IPv6 in brackets. */
const SERVER = /^(?:\[[0-9A-Fa-f:.]+\]|[^[\]:\s]+)(?::[0-9]{1,5})?$/;

/** What is wrong with `dns01` of a solver: one provider, with all that it cannot do without. */
export function providerProblems(path: string, dns01: Dns01): readonly string[] {
  const found = DNS01_PROVIDERS.filter(provider => dns01[provider] !== undefined);
  return [
    ...when(
      found.length !== 1,
      `${path} has ${found.length === 0 ? 'no provider' : found.join(' and ')}: set exactly one of ${DNS01_PROVIDERS.join(', ')}`,
    ),
    ...[...cloudProblems(dns01), ...serverProblems(dns01)].map(problem => `${path}.${problem}`),
  ];
}

/** Providers with an account of a company that runs clouds. */
function cloudProblems({
  azureDNS,
  cloudDNS,
  cloudflare,
  digitalocean,
  route53,
}: Dns01): readonly string[] {
  return [
    ...azureProblems(azureDNS),
    ...when(cloudDNS?.project === '', 'cloudDNS needs project'),
    ...when(
      cloudflare !== undefined &&
        (isSet(cloudflare.apiTokenSecretRef) === isSet(cloudflare.apiKeySecretRef) ||
          (isSet(cloudflare.apiKeySecretRef) && !isFilled(cloudflare.email))),
      'cloudflare needs apiTokenSecretRef, or email and apiKeySecretRef',
    ),
    ...when(digitalocean?.tokenSecretRef.name === '', 'digitalocean needs tokenSecretRef'),
    ...when(
      isFilled(route53?.accessKeyID) && isSet(route53?.accessKeyIDSecretRef),
      'route53 takes accessKeyID or accessKeyIDSecretRef, not both',
    ),
  ];
}

function azureProblems(azure: Dns01['azureDNS']): readonly string[] {
  if (azure === undefined) return [];
  const {clientID, clientSecretSecretRef, tenantID, managedIdentity} = azure;
  const secretParts = [isFilled(clientID), isSet(clientSecretSecretRef)];
  const isWhole = secretParts.every(Boolean) && isFilled(tenantID) && !managedIdentity;
  return [
    ...when(
      azure.subscriptionID === '' || azure.resourceGroupName === '',
      'azureDNS needs subscriptionID and resourceGroupName',
    ),
    ...when(
      secretParts.some(Boolean) && !isWhole,
      'azureDNS needs clientID, clientSecretSecretRef and tenantID together, and then no managedIdentity',
    ),
    ...when(
      isFilled(managedIdentity?.clientID) && isFilled(managedIdentity?.resourceID),
      'azureDNS takes clientID or resourceID of a managedIdentity, not both',
    ),
  ];
}

/** Providers that are a server, named in the issuer. */
function serverProblems({acmeDNS, akamai, rfc2136, webhook}: Dns01): readonly string[] {
  return [
    ...when(
      acmeDNS !== undefined && (acmeDNS.host === '' || acmeDNS.accountSecretRef.name === ''),
      'acmeDNS needs host and accountSecretRef',
    ),
    ...when(
      akamai !== undefined &&
        [
          akamai.serviceConsumerDomain,
          akamai.accessTokenSecretRef.name,
          akamai.clientSecretSecretRef.name,
          akamai.clientTokenSecretRef.name,
        ].includes(''),
      'akamai needs serviceConsumerDomain and the three tokens',
    ),
    ...when(
      rfc2136 !== undefined && !SERVER.test(rfc2136.nameserver),
      'rfc2136 needs nameserver as host or host:port',
    ),
    ...when(
      isFilled(rfc2136?.tsigAlgorithm) &&
        !TSIG_ALGORITHMS.includes(rfc2136?.tsigAlgorithm?.toUpperCase() ?? ''),
      `rfc2136 knows the tsigAlgorithm ${TSIG_ALGORITHMS.join(', ')}`,
    ),
    ...when(
      isFilled(rfc2136?.tsigKeyName) !== isFilled(rfc2136?.tsigSecretSecretRef?.name),
      'rfc2136 needs tsigKeyName and tsigSecretSecretRef together',
    ),
    ...when(webhook?.solverName === '', 'webhook needs solverName'),
  ];
}

function isSet(reference: object | undefined): boolean {
  return reference !== undefined;
}
