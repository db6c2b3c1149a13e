import type {JsonSchema} from './json-schema.ts';

/** What `kubectl explain` says about fields, by their path: `.spec.dnsNames`, lists as `[]`. */
export type Descriptions = Readonly<Record<string, string>>;

const reference: Descriptions = {
  '.spec.issuerRef': 'Who signs.',
  '.spec.issuerRef.name': 'Name of the issuer; an Issuer is in the same namespace.',
  '.spec.issuerRef.kind': 'Issuer (default) or ClusterIssuer; any kind of another group.',
  '.spec.issuerRef.group': 'Default cert-manager.io; another group is left to its own controller.',
};

const conditions: Descriptions = {
  '.status.conditions': 'What the controller has to say, one entry for each type.',
  '.status.conditions[].reason': 'One word for programs.',
  '.status.conditions[].message': 'What was found, and what to do, for people.',
};

export const certificateDescriptions: Descriptions = {
  ...reference,
  ...conditions,
  '.': 'A certificate that is kept in a Secret and renewed in time.',
  '.spec': 'What the certificate has to be; a change issues it again.',
  '.spec.secretName': 'Secret for the key and the certificate, in the same namespace.',
  '.spec.secretTemplate': 'Labels and annotations that the Secret gets, too.',
  '.spec.additionalOutputFormats': 'Further forms in the Secret: key.der, tls-combined.pem.',
  '.spec.keystores': 'Keystores in the Secret: keystore.jks and keystore.p12, with truststores.',
  '.spec.keystores.jks.alias': 'Default certificate.',
  '.spec.keystores.pkcs12.profile': 'Algorithms; LegacyRC2 (default) suits Java 8.',
  '.spec.commonName': 'At most 64 characters; servers are known by dnsNames.',
  '.spec.dnsNames': 'Host names, also with a wildcard: *.example.com.',
  '.spec.ipAddresses': 'IPv4 and IPv6 addresses.',
  '.spec.uris': 'URIs, e.g. spiffe://example.com/service.',
  '.spec.emailAddresses': 'Addresses alone: jane@example.com.',
  '.spec.otherNames': 'Names of other kinds, by object identifier, e.g. a UPN.',
  '.spec.subject': 'The subject beside the common name.',
  '.spec.literalSubject': 'The whole subject as RFC 4514 writes it, most specific part first.',
  '.spec.duration': 'Lifetime asked for, e.g. 2160h (default, 90 days); at least 1h.',
  '.spec.renewBefore': 'How long before its end it is renewed; default a third of the lifetime.',
  '.spec.renewBeforePercentage': 'The same as a share of the lifetime that is left.',
  '.spec.renewal.policy': 'RenewBefore (default), or Disabled.',
  '.spec.renewal.windows': 'Renew only within these times, where one is in time.',
  '.spec.renewal.windows[].cron': 'When a window opens: minute, hour, day, month, weekday.',
  '.spec.renewal.windows[].timezone': 'E.g. Europe/Berlin; default UTC.',
  '.spec.isCA': 'The certificate may sign others.',
  '.spec.nameConstraints': 'Names that a CA may and may not sign for.',
  '.spec.usages': 'What it may be used for; default digital signature and key encipherment.',
  '.spec.encodeUsagesInRequest': 'Whether the usages are in the signing request; default true.',
  '.spec.privateKey.algorithm': 'RSA (default), ECDSA or Ed25519.',
  '.spec.privateKey.size': 'RSA 2048 (default) to 8192; ECDSA 256 (default), 384 or 521.',
  '.spec.privateKey.encoding': 'PKCS1 (default; SEC 1 for ECDSA) or PKCS8.',
  '.spec.privateKey.rotationPolicy': 'Always (default): a new key with each issuance; or Never.',
  '.spec.signatureAlgorithm': 'Of the signing request; must suit the key.',
  '.spec.revisionHistoryLimit': 'How many CertificateRequests are kept; default 1.',
  '.status.notBefore': 'Of the certificate in the Secret.',
  '.status.notAfter': 'Of the certificate in the Secret.',
  '.status.renewalTime': 'When it will be renewed.',
  '.status.revision': 'Number of the issuance that the Secret holds.',
  '.status.lastFailureTime': 'When an issuance failed last; absent after a success.',
  '.status.failedIssuanceAttempts': 'Failures in a row; each doubles the pause before the next.',
  '.status.nextPrivateKeySecretName': 'Secret with the key of the issuance under way.',
};

export const certificateRequestDescriptions: Descriptions = {
  ...reference,
  ...conditions,
  '.': 'A signing request to an issuer. It never changes; it is approved or denied, once.',
  '.spec.request': 'PEM of a PKCS#10 request.',
  '.spec.duration': 'Lifetime asked for; default 2160h.',
  '.spec.isCA': 'Ask for a certificate that may sign others.',
  '.spec.usages': 'What it may be used for; must agree with those in the request, if any.',
  '.spec.username': 'Who asked; written by the API server.',
  '.spec.uid': 'Who asked; written by the API server.',
  '.spec.groups': 'Who asked; written by the API server.',
  '.spec.extra': 'Who asked; written by the API server.',
  '.status.certificate': 'PEM of the certificate and those between it and the root.',
  '.status.ca': 'PEM of the topmost certificate that the issuer knows.',
  '.status.failureTime': 'When it was denied or failed.',
};

export const issuerDescriptions: Descriptions = {
  ...conditions,
  '.': 'Signs certificates; exactly one type has to be set.',
  '.spec.selfSigned': 'Certificates are signed with their own keys.',
  '.spec.ca': 'Certificates are signed by a CA whose key is in a Secret.',
  '.spec.ca.secretName':
    'Secret with tls.crt and tls.key; of a ClusterIssuer, in the namespace of the controller.',
  '.spec.ca.crlDistributionPoints': 'URLs of revocation lists, written into certificates.',
  '.spec.ca.ocspServers': 'URLs of OCSP servers, written into certificates.',
  '.spec.ca.issuingCertificateURLs': 'URLs of the CA certificate, written into certificates.',
  '.spec.acme': 'Certificates come from an ACME server such as that of Let’s Encrypt.',
  '.spec.vault': 'Certificates come from the PKI secrets engine of Vault.',
  '.spec.venafi': 'Certificates come from a Venafi platform.',
};

/** The schema with descriptions at their paths. */
export function describe(schema: JsonSchema, descriptions: Descriptions, path = ''): JsonSchema {
  const {properties, items} = schema;
  const description = descriptions[path === '' ? '.' : path];
  const below = Object.entries(properties ?? {}).map(([name, child]) => [
    name,
    describe(child, descriptions, `${path}.${name}`),
  ]);
  return {
    ...schema,
    ...(description === undefined ? {} : {description}),
    ...(properties === undefined
      ? {}
      : {properties: Object.fromEntries(below) as typeof properties}),
    ...(items === undefined ? {} : {items: describe(items, descriptions, `${path}[]`)}),
  };
}
