import {object, oneOf, text, texts} from './json-schema.ts';
import {secretKeyReferenceSchema as secretKey} from './references.ts';
import {serviceAccountReferenceSchema} from './references.ts';

const azureDNS = object(
  {
    clientID: text,
    clientSecretSecretRef: secretKey,
    environment: oneOf(
      'AzurePublicCloud',
      'AzureChinaCloud',
      'AzureGermanCloud',
      'AzureUSGovernmentCloud',
    ),
    hostedZoneName: text,
    managedIdentity: object({clientID: text, resourceID: text, tenantID: text}),
    resourceGroupName: text,
    subscriptionID: text,
    tenantID: text,
    zoneType: oneOf('AzurePublicZone', 'AzurePrivateZone'),
  },
  'resourceGroupName',
  'subscriptionID',
);

const akamai = object(
  {
    accessTokenSecretRef: secretKey,
    clientSecretSecretRef: secretKey,
    clientTokenSecretRef: secretKey,
    serviceConsumerDomain: text,
  },
  'accessTokenSecretRef',
  'clientSecretSecretRef',
  'clientTokenSecretRef',
  'serviceConsumerDomain',
);

const rfc2136 = object(
  {
    nameserver: text,
    protocol: oneOf('TCP', 'UDP'),
    tsigAlgorithm: text,
    tsigKeyName: text,
    tsigSecretSecretRef: secretKey,
  },
  'nameserver',
);

const route53 = object({
  accessKeyID: text,
  accessKeyIDSecretRef: secretKey,
  auth: object(
    {
      kubernetes: object({serviceAccountRef: serviceAccountReferenceSchema}, 'serviceAccountRef'),
    },
    'kubernetes',
  ),
  hostedZoneID: text,
  region: text,
  role: text,
  secretAccessKeySecretRef: secretKey,
});

/** `dns01` of a solver: one provider, and how the record's name is found. */
export const dns01Schema = object({
  acmeDNS: object({accountSecretRef: secretKey, host: text}, 'accountSecretRef', 'host'),
  akamai,
  azureDNS,
  cloudDNS: object(
    {hostedZoneName: text, project: text, serviceAccountSecretRef: secretKey},
    'project',
  ),
  cloudflare: object({apiKeySecretRef: secretKey, apiTokenSecretRef: secretKey, email: text}),
  cnameStrategy: oneOf('None', 'Follow'),
  digitalocean: object({tokenSecretRef: secretKey}, 'tokenSecretRef'),
  nameservers: texts,
  rfc2136,
  route53,
  webhook: object(
    {
      config: {'x-kubernetes-preserve-unknown-fields': true},
      groupName: text,
      solverName: text,
    },
    'groupName',
    'solverName',
  ),
});
